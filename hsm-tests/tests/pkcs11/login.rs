//! How the PIN gets to the token: typed by a person, on the token itself, for each signature, or not at all.

use std::path::Path;

use hsm_tests::operator::{Person, Stored};
use hsm_tests::program;
use hsm_tests::softhsm::PIN;
use keystead::backend::pkcs11::{Access, KeyAlgorithm, Notice, PinRole, PinState};

use crate::rig::{self, Rig, open_uri, sign};

/// No other processes.
fn none(_: &Path, _: &str) -> String {
    String::new()
}

#[test]
fn a_person_may_mistype() {
    Rig::run(
        |rig| {
            let person = Person::who_types(&["9999", "8888", PIN]);
            let mut key = rig
                .open_by(person.clone())
                .unwrap_or_else(|error| panic!("{error}"));
            let asked = person.asked();
            let refused: Vec<_> = asked.iter().map(|request| request.refused).collect();
            assert_eq!(refused, [false, true, true]);
            let states: Vec<_> = asked.iter().map(|request| request.state).collect();
            assert_eq!(
                states,
                [PinState::Ok, PinState::CountLow, PinState::CountLow]
            );
            assert!(
                asked
                    .iter()
                    .all(|request| request.token.serial == rig.hsm.serial)
            );
            sign(&mut key.signer).unwrap();
        },
        none,
    );
}

#[test]
fn a_login_that_is_not_needed_is_not_made() {
    Rig::run(
        |rig| {
            let key = rig.key_file();
            let key = key.to_str().expect("the test's paths are UTF-8");
            let mut write = vec!["--write", "--no-mark-private", "--mark-sign"];
            write.extend(["--load-privkey", key, "--label", "open", "--id", "05"]);
            rig.hsm.p11tool(&write, &rig.hsm.uri());
            let uri = format!("pkcs11:token={};object=open;type=private", rig::TOKEN);
            let certificate = rig.hsm.folder().join("certificate.der");
            program::self_signed(&rig.key_file(), "/CN=open", &certificate);
            rig.hsm.write_certificate(&certificate, 5, "open");
            let mut key = rig::open_with_leaf(&rig.access(), &uri, &certificate, Stored(None))
                .unwrap_or_else(|error| panic!("{error}"));
            sign(&mut key.signer).unwrap();
            assert_eq!(rig.module.count("C_Login"), 0);
        },
        none,
    );
}

#[test]
fn the_pin_is_typed_on_the_tokens_own_keys() {
    Rig::run(
        |mut rig| {
            rig.module
                .change(|plan| plan.pin_pad = Some(PIN.to_owned()));
            let person = Person::default();
            let mut key = rig
                .open_by(person.clone())
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(person.asked(), []);
            assert!(
                matches!(&person.told()[..], [Notice::PinPad(token)] if token.label == rig::TOKEN)
            );
            sign(&mut key.signer).unwrap();
        },
        none,
    );
}

/// The URI of a key that wants the PIN for each signature.
pub fn always(rig: &Rig, algorithm: KeyAlgorithm) -> String {
    rig.hsm.generate(algorithm, 6, "always", &["--always-auth"]);
    format!("pkcs11:token={};object=always;type=private", rig::TOKEN)
}

#[test]
fn some_ec_keys_want_the_pin_for_each_signature() {
    Rig::run(
        |rig| signs_with_confirmation(&rig, KeyAlgorithm::P256),
        none,
    );
}

#[test]
fn some_rsa_keys_want_the_pin_for_each_signature() {
    Rig::run(
        |rig| signs_with_confirmation(&rig, KeyAlgorithm::Rsa(2048)),
        none,
    );
}

fn signs_with_confirmation(rig: &Rig, algorithm: KeyAlgorithm) {
    let uri = always(rig, algorithm);
    let mut key =
        open_uri(&rig.access(), &uri, Stored::new(PIN)).unwrap_or_else(|error| panic!("{error}"));
    for _ in 0..3 {
        let (result, calls) = rig.module.during(|| sign(&mut key.signer));
        result.unwrap();
        let calls = calls.iter().filter(|call| *call != "C_GetTokenInfo");
        let calls: Vec<_> = calls.collect();
        assert_eq!(calls, ["C_SignInit", "C_Login", "C_Sign"]);
    }
    let calls = rig.module.calls();
    let last = calls.iter().rfind(|call| call.function == "C_Login");
    assert_eq!(last.map(|call| call.detail.as_str()), Some("context"));
}

#[test]
fn a_person_is_asked_for_each_signature_unless_the_pin_may_be_used_again() {
    Rig::run(
        |rig| {
            let uri = always(&rig, KeyAlgorithm::P256);
            // The first signature takes the PIN that was typed to open the key.
            for (reuse_pin, questions) in [(false, 2), (true, 0)] {
                let access = Access {
                    reuse_pin,
                    ..rig.access()
                };
                let person = Person::who_types(&[PIN]);
                let mut key = open_uri(&access, &uri, person.clone())
                    .unwrap_or_else(|error| panic!("{error}"));
                person.asked();
                person.will_type(&[PIN; 3]);
                (0..3).for_each(|_| sign(&mut key.signer).unwrap());
                let asked = person.asked();
                assert_eq!(asked.len(), questions, "--reuse-pin {reuse_pin}: {asked:?}");
                assert!(
                    asked
                        .iter()
                        .all(|request| request.role == PinRole::Signature)
                );
            }
        },
        none,
    );
}
