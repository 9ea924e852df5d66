//! Power cuts, and what a TPM makes of them: a key whose failures count towards lockout (no noDA) costs
//! one at each cut after it was used (TPM 2.0 Part 1, section 19.8.4), since the TPM cannot know what was
//! tried just before.

use hsm_tests::processes::await_that;
use keystead::backend::tpm::{AuthProblem, KeyPlace, TpmError, Warning};
use keystead::core::key::SignError;

use crate::rig::{AUTH, HANDLE, open, sign, try_open, with_key, with_key_that_counts};

#[test]
fn a_key_with_noda_signs_after_ten_power_cuts() {
    let mut tpm = with_key();
    for _ in 0..10 {
        sign(&mut open(&tpm)).unwrap();
        tpm.restart();
    }
    let lockout = tpm.lockout();
    assert!(!lockout.locked && lockout.failures == 0, "{lockout:?}");
    sign(&mut open(&tpm)).unwrap();
}

#[test]
fn a_daemon_with_it_does_not_notice_ten_power_cuts() {
    let mut tpm = with_key();
    let mut signer = open(&tpm);
    for _ in 0..10 {
        sign(&mut signer).unwrap();
        tpm.restart();
    }
    sign(&mut signer).unwrap();
    drop(signer);
    let lockout = tpm.lockout();
    assert!(!lockout.locked && lockout.failures == 0, "{lockout:?}");
}

#[test]
fn three_power_cuts_lock_a_tpm_whose_key_counts_and_so_there_is_a_warning() {
    let mut tpm = with_key_that_counts();
    let key = KeyPlace::Handle(HANDLE);
    for cuts in 1..=3 {
        let mut opened = try_open(&tpm, &key, AUTH).unwrap();
        assert_eq!(
            opened.warnings,
            [Warning::CountsTowardsLockout(key.to_string())]
        );
        sign(&mut opened.signer).unwrap();
        drop(opened);
        tpm.restart();
        assert_eq!(tpm.lockout().failures, cuts);
    }
    assert!(tpm.lockout().locked);
    assert_is_locked(try_and_sign(&tpm, AUTH));
    // Keys with noDA are not meant.
    let other = 0x8100_0012;
    tpm.make_key("ecc256:null:null", "|sign|noda", AUTH, other);
    let opened = try_open(&tpm, &KeyPlace::Handle(other), AUTH);
    sign(&mut opened.unwrap().signer).unwrap();
    // The right auth value is not remembered as a wrong one.
    tpm.unlock();
    sign(&mut open(&tpm)).unwrap();
}

#[test]
fn three_wrong_tries_lock_a_tpm_and_time_unlocks_it() {
    let tpm = with_key_that_counts();
    tpm.set_up_lockout(3, 1000);
    for (tries, wrong) in (1..).zip(["first", "second", "third"]) {
        for _ in 0..2 {
            match try_and_sign(&tpm, wrong).unwrap_err() {
                Failure::Open(TpmError::Auth { .. })
                | Failure::Sign(SignError::PinRefused | SignError::PinLocked) => {}
                other => panic!("{other:?}"),
            }
            // It is tried once.
            assert_eq!(tpm.lockout().failures, tries, "{wrong}");
        }
    }
    assert!(tpm.lockout().locked);
    assert_is_locked(try_and_sign(&tpm, AUTH));
    // Now it forgets one failure each second.
    tpm.set_up_lockout(3, 1);
    await_that("the end of the lockout", || !tpm.lockout().locked);
    sign(&mut open(&tpm)).unwrap();
}

/// Why there was no signature.
#[derive(Debug)]
enum Failure {
    Open(TpmError),
    Sign(SignError),
}

fn try_and_sign(tpm: &hsm_tests::Swtpm, auth: &str) -> Result<(), Failure> {
    let opened = try_open(tpm, &KeyPlace::Handle(HANDLE), auth);
    sign(&mut opened.map_err(Failure::Open)?.signer).map_err(Failure::Sign)
}

#[track_caller]
fn assert_is_locked(result: Result<(), Failure>) {
    match result.unwrap_err() {
        Failure::Open(TpmError::Auth {
            problem: AuthProblem::Locked,
            ..
        })
        | Failure::Sign(SignError::PinLocked) => {}
        other => panic!("{other:?}"),
    }
}
