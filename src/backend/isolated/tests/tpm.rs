//! TPMs.

use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::time::Instant;
use std::vec::Vec;

use super::fake_tpm::{Bench, Owner, Step, access, key};
use super::{SIGNED, TIMEOUT, public_key, saying, sign};
use crate::backend::isolated::IsolatedTpm;
use crate::backend::tpm::{
    AuthProblem, Destination, Device as _, Done, GenerateKey, KeyAlgorithm, Object, Parent, Task,
    TpmError, Warning,
};
use crate::core::key::SignError;

fn generate() -> Task {
    Task::Generate(GenerateKey {
        to: Destination::File,
        parent: Parent::StorageRoot,
        algorithm: KeyAlgorithm::Rsa(2048),
        with_auth: true,
        counts_towards_lockout: false,
        policy_pcrs: Vec::from([7]),
    })
}

#[test]
fn every_task_gets_its_answer_from_one_worker() {
    let bench = Bench::new(&[]);
    let mut tpm = bench.tpm();
    let mut owner = Owner::with("auth");
    let Ok(Done::Status(status)) = tpm.perform(&Task::Status, &mut owner) else {
        panic!("there is no status")
    };
    assert_eq!((&*status.manufacturer, status.lockout.most), ("ACME", 3));
    // It looks for primes longer than a call may take.
    let Ok(Done::Generated(made)) = tpm.perform(&generate(), &mut owner) else {
        panic!("no key was made")
    };
    assert_eq!(made.public_key, public_key(0));
    assert_eq!(*owner.asked.lock().unwrap(), [Object::Owner]);
    let opened = tpm
        .open(&key(), Box::new(owner))
        .unwrap_or_else(|_| panic!());
    assert_eq!(opened.name, [0, 0xb, 1, 2, 3]);
    assert_eq!(
        opened.warnings,
        [Warning::NoResourceManager("device".into())]
    );
    let mut signer = opened.signer;
    assert_eq!(signer.public_key(), public_key(0));
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 1);
    assert_eq!(bench.seen(), ["auth", "auth"]);
    // The worker now is the signer's.
    assert!(tpm.perform(&Task::Status, &mut Owner::default()).is_ok());
    assert_eq!(bench.workers(), 2);
}

#[test]
fn an_auth_value_that_is_not_to_be_had_is_what_the_tpm_says() {
    let open = |owner: Owner| match Bench::new(&[]).tpm().open(&key(), Box::new(owner)) {
        Err(TpmError::Auth { problem, .. }) => problem,
        _ => panic!("no auth value is missing"),
    };
    assert_eq!(open(Owner::default()), AuthProblem::Needed);
    let owner = Owner {
        unreadable: Some("no such file"),
        ..Owner::default()
    };
    assert_eq!(open(owner), AuthProblem::Source("no such file".into()));
}

#[test]
fn errors_of_the_tpm_keep_their_names_and_the_worker() {
    let locked = SignError::Device {
        call: "TPM2_Sign",
        code: 0x921,
        name: "TPM_RC_LOCKOUT",
    };
    let bench = Bench::new(&[Step::Fail(locked), Step::Fail(SignError::PinLocked)]);
    let mut signer = bench.open(Owner::with("auth"));
    assert_eq!(sign(&mut signer), Err(locked));
    assert_eq!(sign(&mut signer), Err(SignError::PinLocked));
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 1);
}

#[test]
fn a_crash_or_a_hang_costs_one_signature() {
    let bench = Bench::new(&[Step::Crash, Step::Hang]);
    let mut signer = bench.open(Owner::with("auth"));
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
    let start = Instant::now();
    assert_eq!(sign(&mut signer), Err(SignError::TimedOut));
    assert!(start.elapsed() >= TIMEOUT);
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 3);
    assert_eq!(bench.seen(), ["auth", "auth", "auth"]);
}

#[test]
fn a_process_without_memory_is_started_anew_and_a_full_tpm_is_not() {
    let full = |code, name| SignError::Device {
        call: "TPM2_Load",
        code,
        name,
    };
    let (tpm, process) = (full(0x902, "TPM_RC_OBJECT_MEMORY"), full(0x7_0017, ""));
    let bench = Bench::new(&[Step::Fail(tpm), Step::Fail(process)]);
    let mut signer = bench.open(Owner::with("auth"));
    assert_eq!(sign(&mut signer), Err(tpm));
    assert_eq!(bench.workers(), 1);
    assert_eq!(sign(&mut signer), Err(process));
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
    assert_eq!(bench.workers(), 2);
}

#[test]
fn another_key_in_its_place_is_not_used() {
    let bench = Bench::new(&[Step::Crash]);
    let mut signer = bench.open(Owner::with("auth"));
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
    bench.key.store(1, Ordering::Relaxed);
    assert_eq!(sign(&mut signer), Err(SignError::KeyGone));
    bench.key.store(0, Ordering::Relaxed);
    assert_eq!(sign(&mut signer).unwrap(), SIGNED);
}

#[test]
fn a_tpm_that_asks_forever_is_left() {
    let mut signer = Bench::new(&[Step::AskForever]).open(Owner::with("auth"));
    assert_eq!(sign(&mut signer), Err(SignError::ProcessEnded));
}

fn failure(bytes: &[u8]) -> String {
    let mut tpm = IsolatedTpm::new(saying(bytes), access());
    let status = tpm.perform(&Task::Status, &mut Owner::default());
    status.unwrap_err().to_string()
}

#[test]
fn a_worker_for_other_devices_alone_is_named() {
    for families in ["", " pkcs11", " pkcs11 tpm2"] {
        let greeting = format!(
            "keystead-signer {} 2{families}\n",
            env!("CARGO_PKG_VERSION")
        );
        let without = failure(greeting.as_bytes());
        assert_eq!(
            without,
            "keystead-signer: it was built without the feature `tpm`"
        );
    }
}

#[test]
fn nonsense_is_an_error() {
    let greeting = format!("keystead-signer {} 2 tpm\n", env!("CARGO_PKG_VERSION"));
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"\0\0\0\0",
        // A notice: a TPM has none.
        b"\x02\0\0\0\x01\0",
        // An answer that does not belong to the question: Signature.
        b"\x02\0\0\0\x03\0",
    ] {
        let error = failure(&[greeting.as_bytes(), nonsense].concat());
        assert!(error.contains("no message"), "{nonsense:?}: {error}");
    }
}
