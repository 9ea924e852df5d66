//! The whole exchange with TPMs, without the command line.

use std::fs;
use std::path::Path;

use hsm_tests::Swtpm;
use keystead::backend::attestation::{Answer, Challenge, Request};
use keystead::backend::file::parse_certificates;
use keystead::backend::tpm::{
    AttestAnswer, AttestRequest, EkTemplate, KeyPlace, Local, Object, OpenKey, TpmError,
    attest_answer, attest_request,
};
use keystead::ca::attest::{AttestError, Pending, challenge};
use keystead::core::time::UnixTime;

use crate::operator::Values;

const HANDLE: u32 = 0x8100_0011;

fn key(handle: u32) -> OpenKey {
    OpenKey {
        key: KeyPlace::Handle(handle),
        certificates: Vec::new(),
        salt: None,
    }
}

/// A TPM with a key.
fn tpm(algorithm: &str, attributes: &str) -> Swtpm {
    let tpm = Swtpm::certified();
    tpm.make_storage_root();
    tpm.make_key(algorithm, attributes, "keypin", HANDLE);
    tpm
}

fn operator() -> Values {
    Values::none().and(Object::Key, "keypin")
}

fn request(tpm: &Swtpm, ek: Option<EkTemplate>) -> Request {
    let request = AttestRequest {
        key: key(HANDLE),
        ek,
    };
    let mut device = Local::new(tpm.access());
    attest_request(&mut device, &request, &mut operator()).unwrap()
}

fn answer(tpm: &Swtpm, challenge: &Challenge) -> Result<Answer, TpmError> {
    let answer = AttestAnswer {
        key: key(HANDLE),
        challenge: challenge.clone(),
    };
    let mut device = Local::new(tpm.access());
    attest_answer(&mut device, &answer, &mut operator())
}

fn now() -> UnixTime {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    UnixTime::from_secs(now.unwrap().as_secs())
}

/// The certificates of the maker of a TPM.
fn roots(tpm: &Swtpm) -> Vec<Vec<u8>> {
    let read = |path: &Path| parse_certificates(&fs::read(path).unwrap(), path).unwrap();
    [read(&tpm.ek_root()), read(&tpm.ek_issuer())].concat()
}

fn challenged(tpm: &Swtpm, request: &Request) -> Result<(Challenge, Pending), AttestError> {
    challenge(request, &roots(tpm), now(), now().offset_by(3600))
}

/// The public key that the TPM has at the handle, as OpenSSL would have it.
fn public_key(tpm: &Swtpm, handle: u32) -> Vec<u8> {
    tpm.tool(&format!("readpublic -Q -c {handle:#x} -f der -o key.der"));
    fs::read(tpm.folder().join("key.der")).unwrap()
}

#[test]
fn keys_are_proven_by_every_endorsement_key() {
    for (algorithm, ek) in [
        ("ecc256:null:null", None),
        ("rsa2048:null:null", Some(EkTemplate::L1)),
    ] {
        let tpm = tpm(algorithm, "|sign|noda");
        let request = request(&tpm, ek);
        let (challenge, pending) = challenged(&tpm, &request).unwrap();
        let answer = answer(&tpm, &challenge).unwrap();
        let key = public_key(&tpm, HANDLE);
        pending.check(&answer, &roots(&tpm), &key, now()).unwrap();
        tpm.assert_nothing_left();

        // Nothing has to be kept for it, and it survives the night.
        let stranger = Swtpm::certified();
        let error = pending.check(&answer, &roots(&stranger), &key, now());
        assert!(
            matches!(error, Err(AttestError::Endorsement(_))),
            "{error:?}"
        );
    }
}

#[test]
fn an_answer_can_wait_for_a_reboot() {
    let mut tpm = tpm("ecc256:null:null", "|sign|noda");
    let (challenge, pending) = challenged(&tpm, &request(&tpm, None)).unwrap();
    tpm.reboot();
    let answer = answer(&tpm, &challenge).unwrap();
    let key = public_key(&tpm, HANDLE);
    pending.check(&answer, &roots(&tpm), &key, now()).unwrap();
}

#[test]
fn another_tpm_cannot_answer() {
    let (tpm, other) = (
        tpm("ecc256:null:null", "|sign|noda"),
        tpm("ecc256:null:null", "|sign|noda"),
    );
    let own = request(&tpm, None);
    let theirs = request(&other, None);
    // Their keys, but the endorsement key of a TPM that is trusted.
    let mixed = Request {
        ak_public: theirs.ak_public,
        key_public: theirs.key_public,
        ..own
    };
    let (challenge, _) = challenged(&tpm, &mixed).unwrap();
    let refused = |tpm: &Swtpm, challenge: &Challenge| {
        let error = answer(tpm, challenge).unwrap_err().to_string();
        tpm.assert_nothing_left();
        error
    };
    let error = refused(&tpm, &challenge);
    assert!(error.contains("another attestation key"), "{error}");
    let error = refused(&other, &challenge);
    assert!(error.contains("another endorsement key"), "{error}");
    // One that does not look at the names: the TPMs themselves refuse.
    let forged = Challenge {
        ek_name: challenged(&other, &request(&other, None))
            .unwrap()
            .0
            .ek_name,
        ..challenge.clone()
    };
    let error = refused(&other, &forged);
    assert!(error.contains("not encrypted for this TPM"), "{error}");
    let forged = Challenge {
        ak_name: challenged(&tpm, &request(&tpm, None)).unwrap().0.ak_name,
        ..challenge
    };
    let error = refused(&tpm, &forged);
    assert!(error.contains("not encrypted for this TPM"), "{error}");
}

#[test]
fn keys_that_can_leave_the_tpm_or_came_into_it_are_not_proven() {
    let tpm = tpm("ecc256:null:null", "|sign|noda");
    // One that was imported.
    let file = tpm.folder().join("software.pem");
    hsm_tests::program::private_key("EC:P-256", &file);
    tpm.import_key(
        &file,
        "ecc",
        "userwithauth|sign|noda",
        "keypin",
        0x8100_0012,
    )
    .unwrap();
    let asked = AttestRequest {
        key: key(0x8100_0012),
        ek: None,
    };
    let mut device = Local::new(tpm.access());
    let shown = attest_request(&mut device, &asked, &mut operator()).unwrap();
    let error = challenged(&tpm, &shown).unwrap_err();
    assert_eq!(error, AttestError::Lacks("key", "fixedTPM"));
}

#[test]
fn a_tpm_without_a_certificate_says_so() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign|noda", "keypin", HANDLE);
    let asked = AttestRequest {
        key: key(HANDLE),
        ek: None,
    };
    let mut device = Local::new(tpm.access());
    let error = attest_request(&mut device, &asked, &mut operator()).unwrap_err();
    assert!(error.to_string().contains("no certificate"), "{error}");
    assert!(error.remedy().unwrap().contains("maker"));
    drop(device);
    tpm.assert_nothing_left();
}

#[test]
fn a_wrong_auth_value_is_said_to_be_one() {
    let tpm = tpm("ecc256:null:null", "|sign|noda");
    let (challenge, _) = challenged(&tpm, &request(&tpm, None)).unwrap();
    let asked = AttestAnswer {
        key: key(HANDLE),
        challenge,
    };
    let mut device = Local::new(tpm.access());
    let mut wrong = Values::none().and(Object::Key, "wrong");
    let error = attest_answer(&mut device, &asked, &mut wrong).unwrap_err();
    assert!(error.concerns_auth(), "{error}");
    drop(device);
    tpm.assert_nothing_left();
}
