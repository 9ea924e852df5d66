//! Whatever function fails, in whatever way: it is survived or named, and nothing is left open.

use std::fs;
use std::path::Path;
use std::thread;

use hsm_tests::fault::{Effect, Fault, Renewal, When, sys};
use hsm_tests::operator::Stored;
use hsm_tests::processes::await_that;
use hsm_tests::softhsm::PIN;
use keystead::backend::pkcs11::return_value_name;

use crate::rig::{Rig, open, refusal, sign};

/// No other processes.
fn none(_: &Path, _: &str) -> String {
    String::new()
}

/// What is called to open a key and to sign.
const FUNCTIONS: [&str; 13] = [
    "C_Initialize",
    "C_GetSlotList",
    "C_GetSlotInfo",
    "C_GetTokenInfo",
    "C_GetMechanismList",
    "C_OpenSession",
    "C_GetSessionInfo",
    "C_Login",
    "C_FindObjectsInit",
    "C_FindObjects",
    "C_GetAttributeValue",
    "C_SignInit",
    "C_Sign",
];

const CODES: [sys::CK_RV; 4] = [
    sys::CKR_DEVICE_ERROR,
    sys::CKR_GENERAL_ERROR,
    sys::CKR_HOST_MEMORY,
    sys::CKR_TOKEN_NOT_PRESENT,
];

#[test]
fn the_functions_are_these() {
    Rig::run(
        |rig| {
            let mut signer = rig.signer();
            sign(&mut signer).unwrap();
            for function in FUNCTIONS {
                assert_ne!(rig.module.count(function), 0, "{function}");
            }
        },
        none,
    );
}

#[test]
fn a_function_that_always_fails_is_named_while_a_key_is_opened() {
    Rig::run(
        |mut rig| {
            for function in &FUNCTIONS[..11] {
                for code in CODES {
                    rig.module
                        .change(|plan| plan.faults = vec![Fault::always(function, code)]);
                    let error = refusal(rig.open(PIN)).to_string();
                    let code = u32::try_from(code).expect("it is a small number");
                    let named = format!("{function}: {}", return_value_name(code));
                    // A slot that cannot be read is passed over.
                    let is_slot = matches!(*function, "C_GetSlotInfo" | "C_GetTokenInfo");
                    let is_named = error.ends_with(&named);
                    assert!(is_named || is_slot && error.contains("no token"), "{error}");
                }
            }
            rig.module.heal();
            sign(&mut rig.signer()).unwrap();
        },
        none,
    );
}

#[test]
fn a_function_that_fails_once_on_the_way_back_is_survived() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            for function in FUNCTIONS {
                for renewal in [Renewal::Session, Renewal::Initialize] {
                    let code = match function {
                        // Any other failure may have cost a try, and is not repeated.
                        "C_Login" => sys::CKR_DEVICE_REMOVED,
                        _ => sys::CKR_DEVICE_ERROR,
                    };
                    let fault = Fault::new(function, When::Nth(1), Effect::Return(code));
                    rig.module.change(|plan| plan.faults = vec![fault]);
                    rig.module.mishap(renewal, sys::CKR_DEVICE_ERROR);
                    sign(&mut signer).unwrap_or_else(|error| panic!("{function}: {error}"));
                }
            }
        },
        none,
    );
}

#[test]
fn a_function_that_fails_for_long_is_survived_in_the_end() {
    Rig::run(
        |mut rig| {
            let mut signer = rig.signer();
            for function in FUNCTIONS {
                let fault = Fault::always(function, sys::CKR_DEVICE_ERROR);
                rig.module.change(|plan| plan.faults = vec![fault]);
                rig.module
                    .mishap(Renewal::Initialize, sys::CKR_DEVICE_ERROR);
                for _ in 0..3 {
                    let error = sign(&mut signer).expect_err(function);
                    assert!(error.is_retryable(), "{function}: {error}");
                }
                rig.module.heal();
                sign(&mut signer).unwrap_or_else(|error| panic!("{function}: {error}"));
            }
        },
        none,
    );
}

#[test]
fn no_session_stays_open() {
    Rig::run(
        |mut rig| {
            let open =
                |rig: &Rig| rig.module.count("C_OpenSession") - rig.module.count("C_CloseSession");
            let mut signer = rig.signer();
            assert_eq!(open(&rig), 1);
            for function in [
                "C_GetAttributeValue",
                "C_FindObjects",
                "C_SignInit",
                "C_Sign",
            ] {
                let device = Effect::Return(sys::CKR_DEVICE_ERROR);
                let fault = Fault::new(function, When::Nth(1), device);
                rig.module.change(|plan| plan.faults = vec![fault]);
                let _ = rig.open(PIN).map(|mut key| sign(&mut key.signer));
                sign(&mut signer).unwrap();
            }
            assert_eq!(open(&rig), 1);
            drop(signer);
            assert_eq!(open(&rig), 0);
        },
        none,
    );
}

#[test]
fn a_token_that_is_not_there_at_first_is_looked_for_again() {
    Rig::run(
        |mut rig| {
            let go_on = rig.hsm.folder().join("go-on");
            rig.module.remove_token(sys::CKR_DEVICE_REMOVED);
            let wait = Effect::WaitFor(go_on.clone());
            rig.module
                .fail(Fault::new("C_Initialize", When::Nth(2), wait));
            let access = rig.access();
            thread::scope(|scope| {
                let opened = scope.spawn(|| open(&access, Stored::new(PIN)).map(drop));
                await_that("another look", || rig.module.count("C_Initialize") == 2);
                rig.module.insert_token(0);
                fs::write(go_on, "").expect("the test's folder can be written to");
                let opened = opened.join().expect("it does not panic");
                opened.unwrap_or_else(|error| panic!("{error}"));
            });
        },
        none,
    );
}
