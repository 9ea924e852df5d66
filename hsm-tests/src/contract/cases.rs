//! The cases.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use keystead::backend::BoxedSigner;
use keystead::backend::signature;
use keystead::core::key::{Scheme, SignError, Signer};

use super::key::{self, Kind};
use super::{Bench, Refusal, making};
use crate::alone;

/// What came of one thing that was tried.
pub struct Finding {
    /// What was tried.
    pub name: String,
    /// Whether it can be done, and if not, why.
    pub result: Result<(), String>,
}

/// A case: what it does as a whole, and what its other processes do.
pub struct Case<B> {
    pub(super) whole: fn(B, &Path) -> Vec<Finding>,
    pub(super) part: fn(&B, &str),
}

const MAKES: &str = "keys are made in it";
const WRONG_PIN_TWICE: &str = "a wrong PIN is not tried twice";
const LOCKS: &str = "a locked PIN is told";
const REMOVED: &str = "it goes away and comes back";
const WRONG_PIN: &str = "a wrong PIN is told";
const SHARED: &str = "several have keys open at once";

/// The names of all findings that there may be.
pub(super) fn names() -> Vec<String> {
    let mut names: Vec<String> = [MAKES, WRONG_PIN, WRONG_PIN_TWICE, LOCKS, REMOVED, SHARED]
        .map(str::to_owned)
        .into();
    for kind in Kind::ALL {
        names.push(key_name(kind));
        names.extend(schemes(kind).iter().map(|scheme| signs_name(kind, *scheme)));
    }
    names
}

fn key_name(kind: Kind) -> String {
    format!("{kind} keys")
}

fn signs_name(kind: Kind, scheme: Scheme) -> String {
    format!("{kind} {scheme:?}")
}

fn schemes(kind: Kind) -> &'static [Scheme] {
    if kind.is_rsa() { &key::RSA } else { &key::EC }
}

fn finding(name: impl Into<String>, result: Result<(), String>) -> Finding {
    Finding {
        name: name.into(),
        result,
    }
}

impl<B: Bench> Case<B> {
    fn whole(whole: fn(B, &Path) -> Vec<Finding>) -> Self {
        Self {
            whole,
            part: |_, part| panic!("it has no part {part}"),
        }
    }

    /// Every kind of key in every scheme, judged by OpenSSL; and no scheme that is for other keys.
    pub fn signs() -> Self {
        Self::whole(|mut bench, folder| {
            let mut findings = Vec::new();
            for kind in Kind::ALL {
                let file = kind.make(folder);
                let taken = bench.put(kind, &file);
                let is_there = taken.is_ok();
                findings.push(finding(key_name(kind), taken));
                if !is_there {
                    continue;
                }
                let mut signer = open(&bench, kind);
                for &scheme in schemes(kind) {
                    let signed = sign(&mut signer, scheme, MESSAGE);
                    if let Ok(signature) = &signed {
                        key::verify(folder, &file, scheme, MESSAGE, signature);
                    }
                    let result = signed.map(drop).map_err(|error| error.to_string());
                    findings.push(finding(signs_name(kind, scheme), result));
                }
                let others: &[Scheme] = if kind.is_rsa() { &key::EC } else { &key::RSA };
                for &scheme in others {
                    let refused = sign(&mut signer, scheme, MESSAGE);
                    assert_eq!(
                        refused,
                        Err(SignError::UnsupportedScheme),
                        "{kind} {scheme:?}"
                    );
                }
                let mut short = [0; 7];
                let refused = signer.sign(schemes(kind)[0], MESSAGE, &mut short);
                assert_eq!(refused, Err(SignError::BufferTooSmall), "{kind}");
                sign(&mut signer, schemes(kind)[0], MESSAGE).expect("it signs after that");
            }
            findings
        })
    }

    /// Keys that keystead makes, with their certificates beside them.
    pub fn makes() -> Self {
        Self::whole(|bench, folder| {
            let workshop = bench.workshop();
            let result = workshop.map(|mut workshop| making::every_kind(&mut *workshop, folder));
            vec![finding(MAKES, result)]
        })
    }

    /// Messages of any length, in any order of keys.
    pub fn messages() -> Self {
        Self::whole(|mut bench, folder| {
            let shared = bench.is_shared();
            let messages = [0, 1, 63, 64, 65, 70_000].map(|len| vec![0xA5; len]);
            let kinds = [Kind::P256, Kind::Rsa2048];
            if shared.is_ok() {
                let mut signers = kinds.map(|kind| put_and_open(&mut bench, kind, folder));
                for message in &messages {
                    for signer in &mut signers {
                        check(signer, message);
                    }
                }
            } else {
                for kind in kinds {
                    let mut signer = put_and_open(&mut bench, kind, folder);
                    messages
                        .iter()
                        .for_each(|message| check(&mut signer, message));
                }
            }
            vec![finding(SHARED, shared)]
        })
    }

    /// A wrong PIN, and then the right one.
    pub fn pins() -> Self {
        Self::whole(|mut bench, folder| {
            let kind = Kind::P256;
            let file = kind.make(folder);
            bench
                .put(kind, &file)
                .unwrap_or_else(|error| panic!("{error}"));
            let mut refusals = Vec::new();
            for _ in 0..2 {
                match bench.open(kind, "98765432") {
                    Ok(_) => {
                        let opens = Err("it opens with a wrong PIN".to_owned());
                        return [WRONG_PIN, WRONG_PIN_TWICE]
                            .map(|name| finding(name, opens.clone()))
                            .into();
                    }
                    Err(Refusal { concerns_pin, text }) => {
                        assert!(concerns_pin, "{text}");
                        refusals.push(text);
                    }
                }
            }
            check(&mut open(&bench, kind), MESSAGE);
            let again = refusals.swap_remove(1);
            let is_remembered = again.contains("not tried again");
            vec![
                finding(WRONG_PIN, Ok(())),
                finding(WRONG_PIN_TWICE, is_remembered.then_some(()).ok_or(again)),
            ]
        })
    }

    /// A PIN that the device has locked.
    pub fn locks() -> Self {
        Self::whole(|mut bench, folder| {
            let kind = Kind::P256;
            let file = kind.make(folder);
            bench
                .put(kind, &file)
                .unwrap_or_else(|error| panic!("{error}"));
            let locked = bench.lock_pin();
            if locked.is_ok() {
                match bench.open(kind, B::PIN) {
                    Ok(_) => panic!("it opens with a locked PIN"),
                    Err(refusal) => assert!(refusal.text.contains("locked"), "{}", refusal.text),
                }
            }
            vec![finding(LOCKS, locked)]
        })
    }

    /// The device goes away while its key is open, and comes back.
    pub fn removed() -> Self {
        Self::whole(|mut bench, folder| {
            let mut signer = put_and_open(&mut bench, Kind::P256, folder);
            check(&mut signer, MESSAGE);
            let removed = bench.remove();
            if removed.is_ok() {
                for _ in 0..2 {
                    let error = sign(&mut signer, Scheme::EcdsaSha256, MESSAGE)
                        .expect_err("there is no device to sign");
                    assert!(error.is_retryable(), "{error}");
                }
                bench.insert();
                check(&mut signer, MESSAGE);
            }
            vec![finding(REMOVED, removed)]
        })
    }

    /// Several threads, each with a signer of its own.
    pub fn threads() -> Self {
        Self::whole(|mut bench, folder| {
            let shared = bench.is_shared();
            let mut signers = vec![put_and_open(&mut bench, Kind::P256, folder)];
            match &shared {
                Ok(()) => signers.extend((0..3).map(|_| open(&bench, Kind::P256))),
                Err(_) => signers.clear(),
            }
            let mut signers = signers.into_iter();
            thread::scope(|scope| {
                for number in 0..4 {
                    let (signer, bench) = (signers.next(), &bench);
                    let is_alone = signer.is_none();
                    let thread = scope.spawn(move || {
                        let mut signer = signer.unwrap_or_else(|| open(bench, Kind::P256));
                        for round in 0..10 {
                            let message = format!("thread {number}, round {round}");
                            check(&mut signer, message.as_bytes());
                        }
                    });
                    if is_alone {
                        thread.join().expect("it signs");
                    }
                }
            });
            vec![finding(SHARED, shared)]
        })
    }

    /// Several processes.
    pub fn processes() -> Self {
        Self {
            whole: |mut bench, folder| {
                let shared = bench.is_shared();
                let signer = put_and_open(&mut bench, Kind::P256, folder);
                let mut signer = shared.is_ok().then_some(signer);
                let start = |number| {
                    let mut part = alone::part(&format!("process {number}"));
                    part.stdin(Stdio::null()).stdout(Stdio::null());
                    part.spawn().expect("a process can be started")
                };
                let succeeds = |mut process: Child| {
                    let status = process.wait().expect("it is our process");
                    assert!(status.success(), "{status}");
                };
                match &mut signer {
                    Some(signer) => {
                        let processes: Vec<Child> = (0..4).map(start).collect();
                        check(signer, MESSAGE);
                        processes.into_iter().for_each(succeeds);
                    }
                    None => (0..4).map(start).for_each(succeeds),
                }
                let mut signer = signer.unwrap_or_else(|| open(&bench, Kind::P256));
                check(&mut signer, MESSAGE);
                vec![finding(SHARED, shared)]
            },
            part: |bench, part| {
                let mut signer = open(bench, Kind::P256);
                for round in 0..10 {
                    check(&mut signer, format!("{part}, round {round}").as_bytes());
                }
            },
        }
    }
}

const MESSAGE: &[u8] = b"AWS4-X509-ECDSA-SHA256: what is to be signed";

#[track_caller]
fn put_and_open<B: Bench>(bench: &mut B, kind: Kind, folder: &Path) -> BoxedSigner {
    let file = kind.make(folder);
    bench
        .put(kind, &file)
        .unwrap_or_else(|error| panic!("{error}"));
    open(bench, kind)
}

#[track_caller]
fn open<B: Bench>(bench: &B, kind: Kind) -> BoxedSigner {
    bench
        .open(kind, B::PIN)
        .unwrap_or_else(|refusal| panic!("{}", refusal.text))
}

fn sign(signer: &mut BoxedSigner, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let mut signature = vec![0; signer.key().max_signature_len()];
    let len = signer.sign(scheme, message, &mut signature)?;
    signature.truncate(len);
    Ok(signature)
}

/// Signs as for Roles Anywhere, and verifies it.
#[track_caller]
fn check(signer: &mut BoxedSigner, message: &[u8]) {
    let scheme = signer.key().roles_anywhere_scheme();
    let signature = sign(signer, scheme, message).unwrap_or_else(|error| panic!("{error}"));
    signature::verify(signer.public_key(), scheme, message, &signature)
        .expect("the signature is one of the key's");
}
