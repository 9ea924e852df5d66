//! Tokens.

use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::thread;
use std::time::Instant;
use std::vec;

use super::fake_tokens::{Answer, Bench, Person, Step, access, key, token, uri};
use super::{ECDSA, SIGNED, TIMEOUT, public_key, saying, sign};
use crate::backend::isolated::Isolated;
use crate::backend::pkcs11::{
    GenerateKey, KeyAlgorithm, Notice, PinProblem, PinRole, StoreCertificate, TokenError,
    Tokens as _, Uri, Warning,
};
use crate::core::key::{KeyKind, SignError};

#[test]
fn every_request_gets_its_answer_from_one_worker() {
    let bench = Bench::new(&[]);
    let mut tokens = bench.tokens();
    let mut person = Person {
        is_person: true,
        ..Person::file()
    };
    let name = uri("pkcs11:token=hub?pin-value=5555");
    let found = tokens.certificates(&name, &mut person).unwrap();
    assert_eq!(
        (found[0].uri.pin_value.as_ref(), &*found[0].der),
        (None, &[3; 3][..])
    );
    assert_eq!(*person.told.lock().unwrap(), [Notice::PinPad(token())]);
    let inventory = tokens.inventory(&name, true, &mut person).unwrap();
    assert_eq!(inventory.module, "pkcs11:token=hub true");
    let request = GenerateKey {
        uri: name.clone(),
        algorithm: KeyAlgorithm::Rsa(3072),
        allow_duplicate: false,
        role: PinRole::User,
    };
    let made = tokens.generate(&request, &mut person).unwrap();
    assert_eq!(made.public_key, [4; 4]);
    let request = StoreCertificate {
        key: name,
        certificate: vec![5],
        replace: true,
        role: PinRole::User,
    };
    let refused = tokens.store(&request, &mut person).unwrap_err();
    assert_eq!(refused.remedy().as_deref(), Some("ykman"));
    let opened = tokens
        .open(&key(), Box::new(person))
        .unwrap_or_else(|_| panic!());
    assert_eq!(opened.certificates[0].len(), 70_000);
    assert_eq!(opened.warnings, [Warning::Extractable(opened.uri.clone())]);
    let mut signer = opened.signer;
    assert_eq!(signer.key(), KeyKind::P256);
    assert_eq!(signer.public_key(), public_key(0));
    assert_eq!(sign(&mut signer).unwrap(), b"\x01message");
    assert_eq!(bench.workers(), 1);
    // The worker now is the signer's.
    assert!(
        tokens
            .inventory(&uri("pkcs11:"), false, &mut Person::file())
            .is_ok()
    );
    assert_eq!(bench.workers(), 2);
}

#[test]
fn a_pin_that_is_not_to_be_had_is_what_the_token_says() {
    let open = |person: Person| {
        let opened = Bench::new(&[]).tokens().open(&key(), Box::new(person));
        match opened {
            Err(TokenError::Pin { problem, .. }) => problem,
            _ => panic!("no PIN is missing"),
        }
    };
    assert_eq!(open(Person::default()), PinProblem::Needed);
    let unreadable = PinProblem::Source("no such file".into());
    assert_eq!(open(Person::with([Answer::Unreadable])), unreadable);
    assert_eq!(
        open(Person::with([Answer::Cancelled])),
        PinProblem::Cancelled
    );
}

#[test]
fn errors_of_the_device_keep_their_names_and_the_worker() {
    let removed = SignError::Device {
        call: "C_Sign",
        code: 0x32,
        name: "CKR_DEVICE_REMOVED",
    };
    let bench = Bench::new(&[Step::Fail(removed), Step::Fail(SignError::PinLocked)]);
    let mut signer = bench.open(Person::file());
    assert_eq!(sign(&mut signer), Err(removed));
    assert_eq!(sign(&mut signer), Err(SignError::PinLocked));
    assert_eq!(
        signer.sign(ECDSA, b"m", &mut [0]),
        Err(SignError::BufferTooSmall)
    );
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 1);
}

#[test]
fn a_crash_costs_one_signature() {
    let bench = Bench::new(&[Step::Crash]);
    let mut signer = bench.open(Person::file());
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 2);
    assert_eq!(bench.seen(), ["PIN", "PIN"]);
}

#[test]
fn a_hang_costs_one_signature() {
    let bench = Bench::new(&[Step::Hang]);
    let mut signer = bench.open(Person::file());
    let start = Instant::now();
    assert_eq!(sign(&mut signer), Err(SignError::TimedOut));
    assert!(start.elapsed() >= TIMEOUT);
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
}

#[test]
fn a_module_without_memory_is_loaded_anew() {
    let full = SignError::Device {
        call: "C_Sign",
        code: 0x02,
        name: "CKR_HOST_MEMORY",
    };
    let bench = Bench::new(&[Step::Fail(full)]);
    let mut signer = bench.open(Person::file());
    assert_eq!(sign(&mut signer), Err(full));
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 2);
}

#[test]
fn a_pin_that_cannot_be_had_again_is_needed() {
    let bench = Bench::new(&[Step::Crash]);
    let person = Person::with([Answer::Pin("1234")]);
    let answers = person.pins.clone();
    let mut signer = bench.open(person);
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
    assert_eq!(sign(&mut signer), Err(SignError::PinNeeded));
    assert_eq!(sign(&mut signer), Err(SignError::PinNeeded));
    answers.lock().unwrap().push(Answer::Pin("1234"));
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    // What waits for a PIN waits in the worker that is there.
    assert_eq!(bench.workers(), 2);
}

#[test]
fn another_key_in_its_place_is_not_used() {
    let bench = Bench::new(&[Step::Crash]);
    let mut signer = bench.open(Person::file());
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
    bench.key.store(1, Ordering::Relaxed);
    assert_eq!(sign(&mut signer), Err(SignError::KeyGone));
    bench.key.store(0, Ordering::Relaxed);
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
}

#[test]
fn a_module_that_always_crashes_starts_few_processes() {
    let bench = Bench::new(&[Step::Crash; 1000]);
    let mut signer = bench.open(Person::file());
    let start = Instant::now();
    for _ in 0..500 {
        assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
    }
    // One for the key, three at once, and one for each second that the test took.
    let seconds = u32::try_from(start.elapsed().as_secs()).unwrap();
    assert!(bench.workers() <= 4 + seconds);
}

#[test]
fn a_person_has_time_and_a_module_has_not() {
    let bench = Bench::new(&[Step::AskPin, Step::Touch]);
    let answers = [Answer::Slowly("1234"), Answer::Slowly("1234")];
    let person = Person::with(answers);
    let told = person.told.clone();
    let mut signer = bench.open(person);
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.seen(), ["PIN", "PIN for the signature"]);
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(*told.lock().unwrap(), [Notice::Touch(token())]);
}

#[test]
fn the_login_after_a_question_has_the_whole_time() {
    let bench = Bench::new(&[Step::AskPinLate]);
    let mut signer = bench.open(Person::file());
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 1);
}

#[test]
fn a_token_has_time_to_look_for_primes() {
    let request = GenerateKey {
        uri: uri("pkcs11:object=key"),
        algorithm: KeyAlgorithm::Rsa(4096),
        allow_duplicate: false,
        role: PinRole::User,
    };
    let mut tokens = Bench::new(&[]).tokens();
    assert!(tokens.generate(&request, &mut Person::file()).is_ok());
}

#[test]
fn a_module_that_asks_forever_is_ended() {
    let bench = Bench::new(&[Step::AskForever]);
    let mut signer = bench.open(Person::file());
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
}

#[test]
fn keys_in_threads_do_not_wait_for_each_other() {
    let bench = Bench::new(&[]);
    thread::scope(|scope| {
        for _ in 0..8 {
            let mut signer = bench.open(Person::file());
            scope.spawn(move || {
                for _ in 0..200 {
                    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
                }
            });
        }
    });
    assert_eq!(bench.workers(), 8);
}

fn failure(bytes: &[u8]) -> String {
    let mut tokens = Isolated::new(saying(bytes), access());
    let listed = tokens.inventory(&Uri::default(), false, &mut Person::default());
    listed.unwrap_err().to_string()
}

#[test]
fn another_program_or_version_is_named() {
    let other = failure(b"keystead-signer 0.0.1 2 pkcs11\n");
    assert!(
        other.contains("`keystead-signer 0.0.1 2 pkcs11`"),
        "{other}"
    );
    assert!(other.contains("from one package"), "{other}");
    let other = failure(&[b'x'; 500]);
    assert!(other.contains("no message"), "{other}");
    let other = failure(b"");
    assert!(other.contains("closed the pipe"), "{other}");
}

#[test]
fn nonsense_is_an_error() {
    let greeting = std::format!(
        "keystead-signer {} 2 tpm pkcs11\n",
        env!("CARGO_PKG_VERSION")
    );
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"\0\0\0\0",
        b"\x01\0\0\0\xff",
        // An answer that does not belong to the question: Signature.
        b"\x02\0\0\0\x03\0",
        // An Inventory that promises more slots than there is memory.
        b"\x0a\0\0\0\x05\x01\0\xff\xff\xff\xff\xff\xff\x7f",
    ] {
        let error = failure(&[greeting.as_bytes(), nonsense].concat());
        assert!(error.contains("no message"), "{nonsense:?}: {error}");
    }
}
