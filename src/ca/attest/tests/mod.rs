//! Forgeries: each alters one thing, and the error names it. What the tests do with real TPMs (swtpm) is
//! among the tests of hardware.

mod challenges;
mod soft_tpm;

use std::string::ToString as _;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use self::soft_tpm::{EK_LIFETIME, Maker, NOW, SoftTpm, Statement, name, signing_area, toggled};
use super::structure::{Attributes, Certified, PublicArea};
use super::{AttestError, challenge};
use crate::backend::attestation::{EndorsementError, Request};
use crate::backend::signature::VerifyError;
use crate::core::key::Signer as _;
use crate::core::time::UnixTime;

const MINUTE: i64 = 60;

fn expires() -> UnixTime {
    NOW.offset_by(2 * EK_LIFETIME)
}

struct Bench {
    maker: Maker,
    tpm: SoftTpm,
}

impl Bench {
    fn new() -> Self {
        let maker = Maker::new("CN=maker");
        let tpm = SoftTpm::new(&maker);
        Self { maker, tpm }
    }

    fn roots(&self) -> Vec<Vec<u8>> {
        vec![self.maker.root.clone()]
    }

    /// What becomes of a request after `change`.
    fn asked(&self, change: impl FnOnce(&mut Request)) -> Result<(), AttestError> {
        let mut request = self.tpm.request.clone();
        change(&mut request);
        challenge(&request, &self.roots(), NOW, expires()).map(|_| ())
    }

    /// What becomes of an answer whose statement was changed before it was signed.
    fn answered(&mut self, change: impl FnOnce(&mut Statement)) -> Result<(), AttestError> {
        let roots = self.roots();
        let (challenge, pending) = challenge(&self.tpm.request, &roots, NOW, expires())?;
        let answer = self.tpm.answer(&challenge, change);
        let key = self.tpm.key.public_key();
        pending.check(&answer, &roots, key, NOW).map(|_| ())
    }
}

#[test]
fn what_is_true_is_believed() {
    let mut bench = Bench::new();
    assert_eq!(bench.asked(|_| {}), Ok(()));
    assert_eq!(bench.answered(|_| {}), Ok(()));
}

#[test]
fn endorsement_keys_certificates() {
    let bench = Bench::new();
    let ek = |purpose, ca| {
        let area = PublicArea::read(&bench.tpm.request.ek_public).unwrap();
        bench.maker.certify(&area.public_key, purpose, ca)
    };
    let refused = |certificate: Vec<u8>| {
        let changed = bench.asked(|request| request.ek_certificate = certificate);
        match changed {
            Err(AttestError::Endorsement(error)) => error,
            other => panic!("{other:?}"),
        }
    };

    let stranger = Maker::new("CN=maker");
    let area = PublicArea::read(&bench.tpm.request.ek_public).unwrap();
    let forged = stranger.certify(&area.public_key, Some("2.23.133.8.1"), false);
    let error = refused(forged);
    assert!(error.to_string().contains("signature"), "{error}");
    let unknown = Maker::new("CN=other");
    let error = refused(unknown.certify(&area.public_key, Some("2.23.133.8.1"), false));
    assert!(
        error.to_string().contains("no root that was given"),
        "{error}"
    );

    // For another key: that of another TPM of the same maker.
    let other = SoftTpm::new(&bench.maker).request.ek_certificate;
    assert_eq!(refused(other), EndorsementError::OtherKey);
    assert_eq!(refused(ek(None, false)), EndorsementError::Purpose);
    assert_eq!(
        refused(ek(Some("2.23.133.8.3"), false)),
        EndorsementError::Purpose
    );
    assert_eq!(
        refused(ek(Some("2.23.133.8.1"), true)),
        EndorsementError::Authority
    );

    let late = NOW.offset_by(EK_LIFETIME + 1);
    let result = challenge(&bench.tpm.request, &bench.roots(), late, expires());
    assert_eq!(
        result.unwrap_err(),
        AttestError::Endorsement(EndorsementError::Expired(NOW.offset_by(EK_LIFETIME)))
    );
}

#[test]
fn what_was_good_when_it_was_asked_is_looked_at_again_when_it_is_answered() {
    let mut bench = Bench::new();
    let roots = bench.roots();
    let (challenge, pending) = challenge(&bench.tpm.request, &roots, NOW, expires()).unwrap();
    let answer = bench.tpm.answer(&challenge, |_| {});
    let key = bench.tpm.key.public_key();
    let check = |roots: &[Vec<u8>], now| pending.check(&answer, roots, key, now).map(|_| ());

    assert_eq!(check(&roots, NOW.offset_by(MINUTE)), Ok(()));
    let ended = NOW.offset_by(EK_LIFETIME);
    assert_eq!(
        check(&roots, ended.offset_by(1)),
        Err(AttestError::Endorsement(EndorsementError::Expired(ended)))
    );
    assert_eq!(
        check(&roots, expires().offset_by(1)),
        Err(AttestError::Expired(expires()))
    );
    let stranger = Maker::new("CN=stranger");
    assert!(matches!(
        check(&[stranger.root], NOW),
        Err(AttestError::Endorsement(EndorsementError::Path(_)))
    ));
}

#[test]
fn attributes() {
    let bench = Bench::new();
    let request = &bench.tpm.request;
    for (attribute, name) in [
        (Attributes::FIXED_TPM, "fixedTPM"),
        (Attributes::FIXED_PARENT, "fixedParent"),
        (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
    ] {
        let changed = bench.asked(|shown| {
            shown.key_public = toggled(&request.key_public, attribute);
        });
        assert_eq!(changed, Err(AttestError::Lacks("key", name)));
    }
    for (attribute, name) in [
        (Attributes::FIXED_TPM, "fixedTPM"),
        (Attributes::FIXED_PARENT, "fixedParent"),
        (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
        (Attributes::RESTRICTED, "restricted"),
        (Attributes::SIGN, "sign"),
    ] {
        let changed = bench.asked(|shown| {
            shown.ak_public = toggled(&request.ak_public, attribute);
        });
        assert_eq!(changed, Err(AttestError::Lacks("attestation key", name)));
    }
    for (attribute, name) in [
        (Attributes::RESTRICTED, "restricted"),
        (Attributes::DECRYPT, "decrypt"),
    ] {
        let changed = bench.asked(|shown| {
            shown.ek_public = toggled(&request.ek_public, attribute);
        });
        assert_eq!(changed, Err(AttestError::Lacks("endorsement key", name)));
    }
}

#[test]
fn statements() {
    let mut bench = Bench::new();
    let not_generated = bench.answered(|statement| statement.magic ^= 1);
    assert_eq!(not_generated, Err(AttestError::NotGenerated));
    // TPM_ST_ATTEST_QUOTE.
    let quote = bench.answered(|statement| statement.kind = 0x8018);
    assert_eq!(quote, Err(AttestError::NotCertify(0x8018)));
    let wrong_nonce = bench.answered(|statement| statement.nonce[0] ^= 1);
    assert_eq!(wrong_nonce, Err(AttestError::Nonce));
    let longer_nonce = bench.answered(|statement| statement.nonce.push(0));
    assert_eq!(longer_nonce, Err(AttestError::Nonce));
    let other_key = bench.answered(|statement| statement.name[5] ^= 1);
    assert_eq!(other_key, Err(AttestError::OtherKey));
}

#[test]
fn the_name_is_that_of_the_whole_public_area() {
    // The same key, but with other attributes: another object, of which nothing was certified.
    let mut bench = Bench::new();
    let no_da = 1 << 10;
    let area = toggled(&bench.tpm.request.key_public, no_da);
    let result = bench.answered(|statement| statement.name = name(&area));
    assert_eq!(result, Err(AttestError::OtherKey));
}

#[test]
fn another_certificate_request() {
    let mut bench = Bench::new();
    let roots = bench.roots();
    let (challenge, pending) = challenge(&bench.tpm.request, &roots, NOW, expires()).unwrap();
    let answer = bench.tpm.answer(&challenge, |_| {});
    let other = SoftTpm::new(&bench.maker);
    let result = pending.check(&answer, &roots, other.key.public_key(), NOW);
    assert_eq!(result, Err(AttestError::OtherRequest));
}

#[test]
fn answers_of_others() {
    let mut bench = Bench::new();
    let roots = bench.roots();
    let (first, _) = challenge(&bench.tpm.request, &roots, NOW, expires()).unwrap();
    let (_, second) = challenge(&bench.tpm.request, &roots, NOW, expires()).unwrap();
    let key = bench.tpm.key.public_key().to_vec();
    // To another challenge of the same TPM.
    let answer = bench.tpm.answer(&first, |_| {});
    let result = second.check(&answer, &roots, &key, NOW);
    assert_eq!(result, Err(AttestError::Nonce));

    // Another TPM cannot decrypt the challenge, also if it has got the certificate.
    let mut other = SoftTpm::new(&bench.maker);
    assert_eq!(other.activate(&first), None);
    // One that shows an attestation key of its own with an endorsement key of this one cannot, either.
    let mut mixed = bench.tpm.request.clone();
    mixed.ak_public = other.request.ak_public.clone();
    let (challenge, pending) = challenge(&mixed, &roots, NOW, expires()).unwrap();
    assert_eq!(other.activate(&challenge), None);
    assert_eq!(bench.tpm.activate(&challenge), None);

    // Signed by another attestation key.
    other.request.key_public = mixed.key_public;
    let forged = {
        let (challenge, _) = self::challenge(&other.request, &roots, NOW, expires()).unwrap();
        let expected = pending.nonce;
        other.answer(&challenge, |statement| statement.nonce = expected.to_vec())
    };
    assert_eq!(
        pending.check(&forged, &roots, &key, NOW).map(|_| ()),
        Ok(())
    );
    let (_, pending) = self::challenge(&bench.tpm.request, &roots, NOW, expires()).unwrap();
    assert_eq!(
        pending.check(&forged, &roots, &key, NOW),
        Err(AttestError::Signature(VerifyError::Invalid))
    );
}

#[test]
fn a_waiting_challenge_is_a_secret() {
    let bench = Bench::new();
    let (_, pending) = challenge(&bench.tpm.request, &bench.roots(), NOW, expires()).unwrap();
    let shown = std::format!("{pending:?}");
    assert!(!shown.contains("nonce"), "{shown}");
    let written = serde_json::to_string(&pending).unwrap();
    let read: super::Pending = serde_json::from_str(&written).unwrap();
    assert_eq!(read.nonce, pending.nonce);
    assert_eq!(read.request, pending.request);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..120) {
        let _ = PublicArea::read(&bytes);
        let _ = Certified::read(&bytes);
        // What is nearly right comes further.
        let key = [4; 65];
        let spki = crate::backend::public_key::ec(crate::core::x509::oid::P256, &key).unwrap();
        let mut area = signing_area(Attributes::SIGN, &spki);
        prop_assert!(PublicArea::read(&area).is_ok());
        if let Some(byte) = area.get_mut(at) {
            *byte ^= bytes.first().copied().unwrap_or(1);
        }
        let _ = PublicArea::read(&area);
    }
}
