//! How a signer comes back when its session, its token or its module goes: each step a test.

use hsm_tests::fault::{Effect, Fault, Renewal, When, sys};
use hsm_tests::operator::Stored;
use hsm_tests::program;
use hsm_tests::softhsm::PIN;
use keystead::backend::pkcs11::Access;
use keystead::core::key::SignError;

use crate::rig::{ID, LABEL, Rig, open, sign};

/// No other processes.
fn none(_: &std::path::Path, _: &str) -> String {
    String::new()
}

fn count(calls: &[String], function: &str) -> usize {
    calls.iter().filter(|call| *call == function).count()
}

#[test]
fn a_signature_takes_two_calls_and_the_key_is_found_once() {
    Rig::run(
        |rig| {
            let mut signer = rig.signer();
            for _ in 0..3 {
                let (result, calls) = rig.module.during(|| sign(&mut signer));
                result.unwrap();
                assert_eq!(calls, ["C_SignInit", "C_Sign"]);
            }
            // A second signer is in the same module.
            let mut second = rig.signer();
            sign(&mut second).unwrap();
            assert_eq!(rig.module.count("C_Initialize"), 1);
            assert_eq!(rig.module.count("C_Login"), 1, "the process is logged in");
            let calls = rig.module.calls();
            let mut sessions = calls.iter().filter(|call| call.function == "C_OpenSession");
            assert!(sessions.all(|call| call.detail == "read-only"));
            drop((signer, second));
            assert_eq!(rig.module.count("C_Finalize"), 1);
        },
        none,
    );
}

#[test]
fn a_lost_session_is_opened_and_logged_in_again() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            rig.module
                .mishap(Renewal::Session, sys::CKR_SESSION_HANDLE_INVALID);
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            result.unwrap();
            assert_eq!(count(&calls, "C_OpenSession"), 1, "{calls:?}");
            assert_eq!(count(&calls, "C_Login"), 1, "{calls:?}");
            assert_eq!(count(&calls, "C_Finalize"), 0, "{calls:?}");
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            result.unwrap();
            assert_eq!(calls, ["C_SignInit", "C_Sign"]);
        },
        none,
    );
}

#[test]
fn a_lost_login_is_made_again() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            rig.module
                .mishap(Renewal::Login, sys::CKR_USER_NOT_LOGGED_IN);
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            result.unwrap();
            assert_eq!(count(&calls, "C_Login"), 1, "{calls:?}");
            assert_eq!(count(&calls, "C_Finalize"), 0, "{calls:?}");
        },
        none,
    );
}

#[test]
fn a_module_that_needs_it_is_initialised_again() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            rig.module
                .mishap(Renewal::Initialize, sys::CKR_DEVICE_ERROR);
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            result.unwrap();
            assert_eq!(count(&calls, "C_Finalize"), 1, "{calls:?}");
            assert_eq!(count(&calls, "C_Initialize"), 1, "{calls:?}");
            assert_eq!(count(&calls, "C_Login"), 1, "{calls:?}");
        },
        none,
    );
}

#[test]
fn a_module_that_needs_it_is_loaded_again() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            rig.module.mishap(Renewal::Load, sys::CKR_GENERAL_ERROR);
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            result.unwrap();
            assert_eq!(calls.last().map(String::as_str), Some("C_Sign"));
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            result.unwrap();
            assert_eq!(calls, ["C_SignInit", "C_Sign"]);
        },
        none,
    );
}

#[test]
fn every_signer_of_the_process_survives_that_one_begins_anew() {
    Rig::run(
        |mut rig| {
            let (mut first, mut second) = (rig.signer(), rig.signer());
            rig.module
                .mishap(Renewal::Initialize, sys::CKR_DEVICE_ERROR);
            sign(&mut first).unwrap();
            let (result, calls) = rig.module.during(|| sign(&mut second));
            result.unwrap();
            assert_eq!(count(&calls, "C_Finalize"), 0, "{calls:?}");
            sign(&mut first).unwrap();
        },
        none,
    );
}

#[test]
fn signers_in_threads_survive_it_together() {
    Rig::run(
        |mut rig| {
            let mut signers: Vec<_> = (0..4).map(|_| rig.signer()).collect();
            for renewal in [Renewal::Session, Renewal::Initialize, Renewal::Load] {
                rig.module.mishap(renewal, sys::CKR_DEVICE_ERROR);
                std::thread::scope(|scope| {
                    for signer in &mut signers {
                        scope.spawn(|| (0..5).for_each(|_| sign(signer).unwrap()));
                    }
                });
            }
        },
        none,
    );
}

#[test]
fn one_call_that_fails_costs_nothing() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            for function in ["C_SignInit", "C_Sign"] {
                for code in [
                    sys::CKR_GENERAL_ERROR,
                    sys::CKR_FUNCTION_FAILED,
                    sys::CKR_DEVICE_ERROR,
                    sys::CKR_DEVICE_MEMORY,
                    sys::CKR_OPERATION_ACTIVE,
                    sys::CKR_KEY_HANDLE_INVALID,
                    sys::CKR_SESSION_CLOSED,
                    sys::CKR_CRYPTOKI_NOT_INITIALIZED,
                ] {
                    rig.module.heal();
                    rig.module
                        .fail(Fault::new(function, When::Nth(1), Effect::Return(code)));
                    sign(&mut signer).unwrap();
                }
            }
        },
        none,
    );
}

#[test]
fn what_cannot_be_recovered_is_named() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            rig.module
                .fail(Fault::always("C_Sign", sys::CKR_DEVICE_REMOVED));
            let (result, calls) = rig.module.during(|| sign(&mut signer));
            let error = result.unwrap_err();
            assert_eq!(error.to_string(), "C_Sign: CKR_DEVICE_REMOVED");
            assert!(error.is_retryable());
            assert_eq!(
                count(&calls, "C_Sign"),
                4,
                "once, and after each step: {calls:?}"
            );
            rig.module.heal();
            rig.module.fail(Fault::always("C_SignInit", 0x8000_0123));
            assert_eq!(
                sign(&mut signer).unwrap_err().to_string(),
                "C_SignInit: 0x80000123"
            );
            rig.module.heal();
            sign(&mut signer).unwrap();
        },
        none,
    );
}

#[test]
fn a_token_comes_back() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            for further in [0, 7] {
                rig.module.remove_token(sys::CKR_DEVICE_REMOVED);
                for _ in 0..2 {
                    let error = sign(&mut signer).unwrap_err();
                    assert!(error.is_retryable(), "{error}");
                    let removed = ["CKR_DEVICE_REMOVED", "CKR_TOKEN_NOT_PRESENT"];
                    let text = error.to_string();
                    assert!(removed.iter().any(|name| text.ends_with(name)), "{text}");
                }
                rig.module.insert_token(further);
                sign(&mut signer).unwrap();
            }
        },
        none,
    );
}

#[test]
fn a_token_that_was_pulled_out_between_two_signatures_is_not_noticed() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            rig.module.remove_token(sys::CKR_TOKEN_NOT_PRESENT);
            rig.module.insert_token(1);
            sign(&mut signer).unwrap();
        },
        none,
    );
}

#[test]
fn a_key_that_was_put_back_signs_again() {
    Rig::run(
        |rig| {
            let mut signer = rig.signer();
            sign(&mut signer).unwrap();
            rig.hsm.delete("privkey", ID);
            rig.hsm.delete("pubkey", ID);
            let error = sign(&mut signer).unwrap_err();
            assert!(
                matches!(error, SignError::KeyGone | SignError::Device { .. }),
                "{error}"
            );
            rig.import_key();
            sign(&mut signer).unwrap();
        },
        none,
    );
}

#[test]
fn another_key_in_its_place_is_told() {
    Rig::run(
        |rig| {
            let mut signer = rig.signer();
            rig.hsm.delete("privkey", ID);
            rig.hsm.delete("pubkey", ID);
            let other = rig.hsm.folder().join("other.pem");
            program::private_key("EC:P-256", &other);
            rig.hsm.import(&other, ID, LABEL);
            let error = sign(&mut signer).unwrap_err();
            assert!(
                matches!(error, SignError::KeyGone | SignError::WrongKey),
                "{error}"
            );
            assert!(!error.is_retryable());
            // The right one is known again.
            rig.hsm.delete("privkey", ID);
            rig.hsm.delete("pubkey", ID);
            rig.import_key();
            sign(&mut signer).unwrap();
        },
        none,
    );
}

#[test]
fn a_token_that_was_initialised_again_is_used_once_the_key_is_back() {
    Rig::run(
        |rig| {
            let mut signer = rig.signer();
            sign(&mut signer).unwrap();
            rig.hsm.initialise_again();
            let error = sign(&mut signer).unwrap_err();
            assert!(!error.to_string().is_empty());
            rig.import_key();
            sign(&mut signer).unwrap();
        },
        none,
    );
}

#[test]
fn a_module_that_another_part_of_the_process_uses_is_not_finalised() {
    Rig::run(
        |mut rig| {
            let already = Effect::Return(sys::CKR_CRYPTOKI_ALREADY_INITIALIZED);
            rig.module
                .fail(Fault::after("C_Initialize", When::Always, already));
            let mut signer = rig.signer();
            sign(&mut signer).unwrap();
            rig.module.change(|plan| plan.faults.clear());
            rig.module
                .fail(Fault::always("C_Sign", sys::CKR_GENERAL_ERROR));
            sign(&mut signer).unwrap_err();
            rig.module.heal();
            sign(&mut signer).unwrap();
            drop(signer);
            assert_eq!(rig.module.count("C_Finalize"), 0);
        },
        none,
    );
}

#[test]
fn a_module_that_its_other_users_ended_is_begun_anew() {
    Rig::run(
        |rig| {
            let first = rig.signer();
            // The same library under another name, of which nobody can tell.
            let module = rig.hsm.folder().join("other-name.so");
            std::os::unix::fs::symlink(rig.module.path(), &module)
                .expect("the test's folder can be written to");
            let access = Access {
                module,
                ..rig.access()
            };
            let mut second = open(&access, Stored::new(PIN))
                .unwrap_or_else(|error| panic!("{error}"))
                .signer;
            sign(&mut second).unwrap();
            drop(first);
            assert_eq!(rig.module.count("C_Finalize"), 1);
            sign(&mut second).unwrap();
            // Now it is its own.
            drop(second);
            assert_eq!(rig.module.count("C_Finalize"), 2);
        },
        none,
    );
}

#[test]
fn threads_that_close_and_open_the_same_module_do_not_meet_in_it() {
    Rig::run(
        |rig| {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..10 {
                            sign(&mut rig.signer()).unwrap();
                        }
                    });
                }
            });
            // Each C_Initialize had the module for itself.
            assert_eq!(
                rig.module.count("C_Initialize"),
                rig.module.count("C_Finalize")
            );
        },
        none,
    );
}

#[test]
fn a_pin_that_was_changed_meanwhile_is_tried_once() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            let before = rig.module.count("C_Login");
            // SoftHSM itself takes the old one until the process ends.
            rig.module
                .fail(Fault::always("C_Login", sys::CKR_PIN_INCORRECT));
            for _ in 0..3 {
                rig.module
                    .mishap(Renewal::Session, sys::CKR_SESSION_HANDLE_INVALID);
                let error = sign(&mut signer).unwrap_err();
                assert_eq!(error, SignError::PinRefused);
            }
            assert_eq!(rig.module.count("C_Login"), before + 1);
        },
        none,
    );
}
