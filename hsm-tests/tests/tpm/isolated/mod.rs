//! TPMs that another process speaks to, with the real program.

mod ends;
mod linked;

use std::time::{Duration, Instant};

use hsm_tests::{Swtpm, program};
use keystead::backend::BoxedSigner;
use keystead::backend::isolated::{Environment, IsolatedTpm, Launcher, Starter};
use keystead::backend::secret::{Secret, SecretError};
use keystead::backend::signature::verify;
use keystead::backend::tpm::{
    Access, AuthRequest, Device as _, KeyPlace, Object, OpenKey, Operator,
};
use keystead::core::key::{MAX_SIGNATURE_LEN, SignError, Signer as _};

const HANDLE: u32 = 0x8100_0011;
const AUTH: &str = "keypin";
const MESSAGE: &[u8] = b"what is signed";

/// A TPM with a key at a handle, and one in the file `key.tss2`; both have an auth value.
fn tpm() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign|noda", AUTH, HANDLE);
    let file = super::files::genpkey(
        &tpm,
        "EC:P-256",
        &["parent:0x81000001", &format!("user-auth:{AUTH}")],
    );
    assert_eq!(file.to_str(), Some("key.tss2"));
    tpm
}

fn at_handle() -> KeyPlace {
    KeyPlace::Handle(HANDLE)
}

fn in_file(tpm: &Swtpm) -> KeyPlace {
    let file = tpm.folder().join("key.tss2");
    KeyPlace::File {
        contents: std::fs::read(&file).unwrap(),
        name: file.display().to_string(),
    }
}

struct Stored;

impl Operator for Stored {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        Ok((request.of == Object::Key).then(|| Secret::new(AUTH.into())))
    }

    fn is_person(&self) -> bool {
        false
    }
}

fn direct() -> Starter {
    let environment = Environment {
        quiet: true,
        ..Environment::default()
    };
    Starter::direct(program::keystead_signer(), environment)
}

fn launcher() -> Starter {
    let environment = Environment::default();
    let launcher = Launcher::start(&program::keystead_signer(), &environment).unwrap();
    Starter::launcher(launcher)
}

#[track_caller]
fn open(starter: Starter, access: Access, key: KeyPlace) -> BoxedSigner {
    let request = OpenKey {
        key,
        certificates: Vec::new(),
        salt: None,
    };
    let opened = IsolatedTpm::new(starter, access).open(&request, Box::new(Stored));
    opened.unwrap_or_else(|error| panic!("{error}")).signer
}

/// Signs, and judges the signature.
#[track_caller]
fn sign(signer: &mut BoxedSigner) -> Result<(), SignError> {
    let scheme = signer.key().roles_anywhere_scheme();
    let mut signature = [0; MAX_SIGNATURE_LEN];
    let len = signer.sign(scheme, MESSAGE, &mut signature)?;
    verify(signer.public_key(), scheme, MESSAGE, &signature[..len]).unwrap();
    Ok(())
}

#[test]
fn keys_sign_in_another_process_and_leave_nothing() {
    let tpm = tpm();
    for starter in [direct(), launcher()] {
        for key in [at_handle(), in_file(&tpm)] {
            let mut signer = open(starter.clone(), tpm.access(), key);
            sign(&mut signer).unwrap();
            sign(&mut signer).unwrap();
            drop(signer);
            tpm.assert_nothing_left();
        }
    }
}

#[test]
fn a_tpm_that_hangs_costs_one_signature() {
    let tpm = tpm();
    let timeout = Duration::from_secs(2);
    let access = Access {
        timeout,
        ..tpm.access()
    };
    let mut signer = open(direct(), access, at_handle());
    sign(&mut signer).unwrap();
    tpm.hang();
    let start = Instant::now();
    assert_eq!(sign(&mut signer), Err(SignError::TimedOut));
    assert!(start.elapsed() >= timeout);
    tpm.go_on();
    sign(&mut signer).unwrap();
    drop(signer);
    tpm.assert_nothing_left();
}

#[test]
fn a_tpm_that_cannot_be_reached_is_named() {
    let mut tpm = tpm();
    tpm.kill();
    let request = OpenKey {
        key: at_handle(),
        certificates: Vec::new(),
        salt: None,
    };
    let opened = IsolatedTpm::new(direct(), tpm.access()).open(&request, Box::new(Stored));
    let error = opened.err().unwrap().to_string();
    assert!(error.contains(&tpm.tcti()), "{error}");
}
