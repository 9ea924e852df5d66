//! The challenges that a directory keeps.

use core::time::Duration;
use std::fs;

use super::*;
use crate::ca::challenges::remove;
use crate::ca::{CertifiedKey, Directory, Error, KeyType, NewAuthority, Template, Usage, Validity};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_challenge_is_spent_by_a_certificate_and_by_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca");
    let plan = NewAuthority {
        root: "CN=Root".parse().unwrap(),
        intermediate: None,
        key_type: KeyType::P256,
        validity: Validity::starting(NOW, 10 * DAY),
    };
    Directory::create(&path, &plan).unwrap();
    let mut directory = Directory::open(&path).unwrap();
    let mut bench = Bench::new();
    let roots = bench.roots();
    let challenge = directory
        .challenge(&bench.tpm.request, &roots, NOW, DAY)
        .unwrap();
    let answer = bench.tpm.answer(&challenge, |_| {});
    let key = bench.tpm.key.public_key();
    let prove = |directory: &Directory| directory.prove(&answer, &roots, key, NOW);
    let template = |lifetime| {
        let validity = Validity::starting(NOW, lifetime);
        Template::new(Usage::Client, "CN=hub".parse().unwrap(), validity)
    };
    let file = folder.path().join("hub.pem");
    let issue = |directory: &mut Directory, proof, lifetime| {
        directory.issue(
            &template(lifetime),
            CertifiedKey::Proven(proof),
            &file,
            None,
        )
    };

    let (first, second) = (prove(&directory).unwrap(), prove(&directory).unwrap());
    let error = issue(&mut directory, &first, 11 * DAY).unwrap_err();
    assert!(matches!(error, Error::OutlivesAuthority { .. }), "{error}");
    fs::write(&file, "taken").unwrap();
    let error = issue(&mut directory, &first, DAY).unwrap_err();
    assert!(matches!(error, Error::Exists(_)), "{error}");
    fs::remove_file(&file).unwrap();
    issue(&mut directory, &first, DAY).unwrap();
    assert_eq!(directory.records().len(), 1);

    // Nor does it count twice if it was looked at twice.
    fs::remove_file(&file).unwrap();
    for proof in [&first, &second] {
        let error = issue(&mut directory, proof, DAY).unwrap_err();
        assert!(
            matches!(error, Error::Attestation(AttestError::UnknownChallenge)),
            "{error}"
        );
    }
    assert!(!file.exists());
    assert_eq!(directory.records().len(), 1);
    let error = prove(&directory).unwrap_err();
    assert!(
        matches!(error, Error::Attestation(AttestError::UnknownChallenge)),
        "{error}"
    );
}

#[test]
fn what_another_process_forgot_first_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("challenge.json");
    fs::write(&path, "").unwrap();
    assert!(remove(&path).unwrap());
    assert!(!remove(&path).unwrap());
    remove(folder.path()).unwrap_err();
}
