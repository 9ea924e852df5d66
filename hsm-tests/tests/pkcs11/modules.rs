//! What modules are like: what they offer, what they claim, and what they lack.

use std::fs;
use std::path::Path;
use std::thread;

use hsm_tests::fault::{Attribute, Effect, Fault, When, sys};
use hsm_tests::operator::{Person, Stored};
use hsm_tests::processes::await_that;
use hsm_tests::program;
use hsm_tests::softhsm::PIN;
use keystead::backend::pkcs11::{
    Access, KeyAlgorithm, Leaf, Local, Notice, OpenKey, OpenedKey, TokenError, Tokens as _, Warning,
};
use keystead::core::key::SignError;

use crate::rig::{ID, LABEL, Rig, TOKEN, open, open_uri, open_with_leaf, refusal, sign};

/// No other processes.
fn none(_: &Path, _: &str) -> String {
    String::new()
}

/// The mechanisms of the signatures so far.
fn mechanisms(rig: &Rig) -> Vec<String> {
    let calls = rig.module.calls();
    let inits = calls.iter().filter(|call| call.function == "C_SignInit");
    let mechanism = |detail: &str| detail.split(' ').next().unwrap_or_default().to_owned();
    inits.map(|call| mechanism(&call.detail)).collect()
}

fn uri(label: &str) -> String {
    format!("pkcs11:token={TOKEN};object={label};type=private")
}

#[track_caller]
fn opened(result: Result<OpenedKey, TokenError>) -> OpenedKey {
    result.unwrap_or_else(|error| panic!("{error}"))
}

const ECDSA: &str = "0x1041";
const ECDSA_SHA256: &str = "0x1044";
const RSA_PKCS: &str = "0x1";
const SHA256_RSA_PKCS: &str = "0x40";

#[test]
fn a_token_hashes_where_it_can() {
    Rig::run(
        |mut rig| {
            rig.hsm.generate(KeyAlgorithm::Rsa(2048), 7, "rsa", &[]);
            let sign_both = |rig: &Rig| {
                sign(&mut rig.signer()).unwrap();
                let key = open_uri(&rig.access(), &uri("rsa"), Stored::new(PIN));
                sign(&mut opened(key).signer).unwrap();
            };
            sign_both(&rig);
            rig.module.change(|plan| {
                plan.hashes_ecdsa = true;
                plan.hidden_mechanisms = vec![sys::CKM_SHA256_RSA_PKCS];
            });
            sign_both(&rig);
            let expected = [ECDSA, SHA256_RSA_PKCS, ECDSA_SHA256, RSA_PKCS];
            assert_eq!(mechanisms(&rig), expected);
        },
        none,
    );
}

#[test]
fn a_mechanism_that_is_offered_and_then_refused_is_done_without() {
    Rig::run(
        |mut rig| {
            rig.module.change(|plan| plan.hashes_ecdsa = true);
            let mut signer = rig.signer();
            rig.module.fail(Fault::new(
                "C_SignInit",
                When::Nth(1),
                Effect::Return(sys::CKR_MECHANISM_INVALID),
            ));
            sign(&mut signer).unwrap();
            sign(&mut signer).unwrap();
            assert_eq!(mechanisms(&rig), [ECDSA_SHA256, ECDSA, ECDSA]);
        },
        none,
    );
}

#[test]
fn a_token_without_any_mechanism_for_it_cannot_sign() {
    Rig::run(
        |mut rig| {
            rig.module
                .change(|plan| plan.hidden_mechanisms = vec![sys::CKM_ECDSA]);
            let mut signer = rig.signer();
            assert_eq!(sign(&mut signer), Err(SignError::UnsupportedScheme));
            assert_eq!(rig.module.count("C_SignInit"), 0);
        },
        none,
    );
}

/// What a hardware token says of a key that was made in it.
const CLAIMS: [(sys::CK_ATTRIBUTE_TYPE, &str); 4] = [
    (sys::CKA_SENSITIVE, "CKA_SENSITIVE"),
    (sys::CKA_ALWAYS_SENSITIVE, "CKA_ALWAYS_SENSITIVE"),
    (sys::CKA_NEVER_EXTRACTABLE, "CKA_NEVER_EXTRACTABLE"),
    (sys::CKA_LOCAL, "CKA_LOCAL"),
];

fn claim(kind: sys::CK_ATTRIBUTE_TYPE, value: u8) -> Attribute {
    Attribute {
        class: sys::CKO_PRIVATE_KEY,
        kind,
        value: Some(vec![value]),
    }
}

fn open_in_hardware(rig: &Rig) -> Result<OpenedKey, TokenError> {
    let request = OpenKey {
        key: Some(uri(LABEL).parse().expect("the test's URIs are ones")),
        leaf: Leaf::None,
        require_hardware: true,
    };
    Local::new(rig.access()).open(&request, Box::new(Stored::new(PIN)))
}

#[test]
fn hardware_is_what_the_module_claims_in_every_point() {
    Rig::run(
        |mut rig| {
            // The key was imported into software.
            let TokenError::NotHardware { missing, .. } = refusal(open_in_hardware(&rig)) else {
                panic!("it is not hardware");
            };
            let expected = [
                "CKF_HW_SLOT",
                "CKA_ALWAYS_SENSITIVE",
                "CKA_NEVER_EXTRACTABLE",
                "CKA_LOCAL",
            ];
            assert_eq!(missing, expected);

            rig.module.change(|plan| {
                plan.slot_flags.0 = sys::CKF_HW_SLOT;
                plan.attributes = CLAIMS.iter().map(|(kind, _)| claim(*kind, 1)).collect();
            });
            let key = opened(open_in_hardware(&rig));
            assert!(matches!(&key.warnings[..], [Warning::HardwareClaimed(_)]));
            for (index, (kind, name)) in CLAIMS.iter().enumerate() {
                rig.module
                    .change(|plan| plan.attributes[index] = claim(*kind, 0));
                let TokenError::NotHardware { missing, .. } = refusal(open_in_hardware(&rig))
                else {
                    panic!("{name} is missing");
                };
                assert_eq!(missing, [*name]);
                // As if the module had no such attribute.
                rig.module
                    .change(|plan| plan.attributes[index].value = None);
                refusal(open_in_hardware(&rig));
                rig.module
                    .change(|plan| plan.attributes[index] = claim(*kind, 1));
            }
            rig.module.change(|plan| plan.slot_flags.0 = 0);
            let error = refusal(open_in_hardware(&rig)).to_string();
            assert!(error.ends_with("CKF_HW_SLOT missing"), "{error}");
        },
        none,
    );
}

#[test]
fn a_key_that_may_leave_its_token_is_named() {
    Rig::run(
        |mut rig| {
            assert_eq!(opened(rig.open(PIN)).warnings, []);
            rig.module.change(|plan| {
                plan.attributes =
                    vec![claim(sys::CKA_EXTRACTABLE, 1), claim(sys::CKA_SENSITIVE, 0)];
            });
            let warnings = opened(rig.open(PIN)).warnings;
            let [Warning::Extractable(one), Warning::NotSensitive(other)] = &warnings[..] else {
                panic!("{warnings:?}");
            };
            assert_eq!(one, other);
            assert_eq!(one.object.as_deref(), Some(LABEL));
        },
        none,
    );
}

#[test]
fn attributes_that_a_module_does_not_know_are_not_missed() {
    Rig::run(
        |mut rig| {
            for kind in [
                sys::CKA_ALWAYS_AUTHENTICATE,
                sys::CKA_SIGN,
                sys::CKA_SENSITIVE,
                sys::CKA_ALWAYS_SENSITIVE,
                sys::CKA_EXTRACTABLE,
                sys::CKA_LOCAL,
                sys::CKA_PUBLIC_KEY_INFO,
                sys::CKA_PRIVATE,
            ] {
                let unknown = Attribute {
                    class: sys::CKO_PRIVATE_KEY,
                    kind,
                    value: None,
                };
                rig.module.change(|plan| plan.attributes = vec![unknown]);
                let mut key = opened(rig.open(PIN));
                sign(&mut key.signer).unwrap_or_else(|error| panic!("{kind:#x}: {error}"));
            }
        },
        none,
    );
}

#[test]
fn a_token_without_public_keys_is_used_by_its_certificate() {
    Rig::run(
        |mut rig| {
            let hidden = vec![sys::CKO_PUBLIC_KEY];
            rig.module.change(|plan| plan.hidden_classes = hidden);
            let without = refusal(rig.open(PIN)).to_string();
            assert!(without.contains("give its certificate"), "{without}");

            let file = |name: &str| rig.hsm.folder().join(name);
            program::self_signed(&rig.key_file(), "/CN=right", &file("right.der"));
            let open =
                |name| open_with_leaf(&rig.access(), &uri(LABEL), &file(name), Stored::new(PIN));
            sign(&mut opened(open("right.der")).signer).unwrap();

            program::private_key("EC:P-256", &file("other.pem"));
            program::self_signed(&file("other.pem"), "/CN=wrong", &file("wrong.der"));
            let mut wrong = opened(open("wrong.der"));
            assert_eq!(sign(&mut wrong.signer), Err(SignError::WrongKey));
        },
        none,
    );
}

#[test]
fn of_several_keys_with_one_label_it_is_the_certificates() {
    Rig::run(
        |rig| {
            let file = |name: &str| rig.hsm.folder().join(name);
            program::private_key("EC:P-256", &file("other.pem"));
            rig.hsm.import(&file("other.pem"), ID + 1, LABEL);
            let TokenError::SeveralObjects { matches, .. } = refusal(rig.open(PIN)) else {
                panic!("there are two");
            };
            let mut ids: Vec<_> = matches.iter().filter_map(|uri| uri.id.clone()).collect();
            ids.sort();
            assert_eq!(ids, [[ID], [ID + 1]]);
            for key in ["key.pem", "other.pem"] {
                program::self_signed(&file(key), "/CN=one", &file("one.der"));
                let key = open_with_leaf(
                    &rig.access(),
                    &uri(LABEL),
                    &file("one.der"),
                    Stored::new(PIN),
                );
                sign(&mut opened(key).signer).unwrap();
            }
        },
        none,
    );
}

#[test]
fn a_module_that_cannot_lock_is_used_all_the_same() {
    Rig::run(
        |mut rig| {
            let cannot = Effect::Return(sys::CKR_CANT_LOCK);
            rig.module
                .fail(Fault::new("C_Initialize", When::Nth(1), cannot));
            let mut signers = [rig.signer(), rig.signer()];
            assert_eq!(rig.module.count("C_Initialize"), 2);
            thread::scope(|scope| {
                for signer in &mut signers {
                    scope.spawn(|| (0..20).for_each(|_| sign(signer).unwrap()));
                }
            });
        },
        none,
    );
}

#[test]
fn a_slot_that_cannot_be_read_does_not_hide_the_others() {
    Rig::run(
        |mut rig| {
            rig.hsm.add_token("another");
            for nth in 1..=3 {
                let broken = Effect::Return(sys::CKR_TOKEN_NOT_RECOGNIZED);
                let fault = Fault::new("C_GetSlotInfo", When::Nth(nth), broken);
                rig.module.change(|plan| plan.faults = vec![fault.clone()]);
                let result = open(&rig.access(), Stored::new(PIN));
                let is_ours = matches!(result, Err(TokenError::NoToken { .. }));
                assert!(result.is_ok() || is_ours, "{:?}", result.err());
                // Counted anew.
                rig.module.change(|plan| plan.faults = vec![fault]);
                let slots = Local::new(rig.access())
                    .inventory(&"pkcs11:".parse().unwrap(), false, &mut Stored(None))
                    .unwrap_or_else(|error| panic!("{error}"))
                    .slots;
                let problems = slots.iter().filter_map(|slot| slot.problem.as_deref());
                let problems: Vec<_> = problems.collect();
                assert_eq!(problems, ["C_GetSlotInfo: CKR_TOKEN_NOT_RECOGNIZED"]);
                assert_eq!(slots.len(), 3, "two tokens, and one that is free");
            }
        },
        none,
    );
}

#[test]
fn a_person_is_told_what_a_slow_signature_waits_for() {
    Rig::run(
        |mut rig| {
            let touched = rig.hsm.folder().join("touched");
            let person = Person::who_types(&[PIN]);
            let mut key = opened(rig.open_by(person.clone()));
            let wait = Effect::WaitFor(touched.clone());
            rig.module.fail(Fault::new("C_Sign", When::Always, wait));
            thread::scope(|scope| {
                let signature = scope.spawn(|| sign(&mut key.signer));
                let mut told = Vec::new();
                await_that("a notice", || {
                    told.extend(person.told());
                    !told.is_empty()
                });
                assert!(matches!(&told[..], [Notice::Touch(token)] if token.label == TOKEN));
                fs::write(touched, "").expect("the test's folder can be written to");
                signature.join().expect("it does not panic").unwrap();
            });
        },
        none,
    );
}

#[test]
fn what_is_no_module_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let open = |module: &Path| {
        let access = Access {
            module: module.to_owned(),
            state: None,
            reuse_pin: false,
            timeout: std::time::Duration::from_secs(30),
        };
        refusal(open(&access, Stored(None))).to_string()
    };
    let text = folder.path().join("text.so");
    fs::write(&text, "no library").expect("the test's folder can be written to");
    for module in [&text, &folder.path().join("missing.so")] {
        let error = open(module);
        let begin = format!("the PKCS#11 module {} cannot be loaded: ", module.display());
        assert!(error.starts_with(&begin), "{error}");
    }
    let error = open(&program::library("libc.so.6"));
    assert!(error.contains("no C_GetFunctionList"), "{error}");
}
