//! What a daemon's open key goes through: its TPM is reset, sleeps, is another one; its resource manager
//! starts anew.

use hsm_tests::Swtpm;
use hsm_tests::alone;
use hsm_tests::swtpm::{ResourceManager, Startup};
use keystead::backend::tpm::KeyPlace;
use keystead::core::key::SignError;

use crate::rig::{AUTH, HANDLE, file, sign, try_open, with_key};

#[test]
fn a_tpm_that_was_reset_is_used_again() {
    let mut tpm = with_key();
    for place in [KeyPlace::Handle(HANDLE), file(&tpm)] {
        let mut signer = try_open(&tpm, &place, AUTH).unwrap().signer;
        for _ in 0..3 {
            sign(&mut signer).unwrap();
            tpm.restart();
            sign(&mut signer).unwrap();
        }
        drop(signer);
        tpm.assert_nothing_left();
    }
}

#[test]
fn a_key_that_is_closed_leaves_nothing() {
    let tpm = with_key();
    for place in [KeyPlace::Handle(HANDLE), file(&tpm)] {
        for _ in 0..4 {
            sign(&mut try_open(&tpm, &place, AUTH).unwrap().signer).unwrap();
            // Also if it does not open.
            drop(try_open(&tpm, &place, "wrong").map(|opened| sign(&mut { opened.signer })));
        }
        tpm.assert_nothing_left();
    }
}

#[test]
fn a_tpm_that_lost_its_keys_has_none() {
    let places: [fn(&Swtpm) -> KeyPlace; 2] = [|_| KeyPlace::Handle(HANDLE), file];
    for place in places {
        let mut tpm = with_key();
        let mut signer = try_open(&tpm, &place(&tpm), AUTH).unwrap().signer;
        sign(&mut signer).unwrap();
        tpm.lose_state();
        tpm.start();
        for _ in 0..2 {
            assert_eq!(sign(&mut signer), Err(SignError::KeyGone));
        }
        drop(signer);
        // There is a storage key again, but it is another one.
        tpm.make_storage_root();
        tpm.assert_nothing_left();
    }
}

#[test]
fn another_key_in_its_place_is_no_wrong_auth_value() {
    let mut tpm = with_key();
    let mut signer = try_open(&tpm, &KeyPlace::Handle(HANDLE), AUTH)
        .unwrap()
        .signer;
    sign(&mut signer).unwrap();
    tpm.lose_state();
    tpm.start();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign|noda", "another-value", HANDLE);
    for _ in 0..2 {
        assert_eq!(sign(&mut signer), Err(SignError::KeyGone));
    }
}

#[test]
fn a_resource_manager_that_starts_anew_is_found_again_and_so_is_a_tpm_that_slept() {
    alone(ResourceManager::surroundings, |folder| {
        let mut tpm = Swtpm::managed(folder);
        tpm.make_storage_root();
        tpm.make_key("ecc256:null:null", "|sign|noda", AUTH, HANDLE);
        let places = [KeyPlace::Handle(HANDLE), file(&tpm)];
        let mut signers = places.map(|place| try_open(&tpm, &place, AUTH).unwrap().signer);
        for _ in 0..2 {
            signers.iter_mut().for_each(|signer| sign(signer).unwrap());
            tpm.manager().stop();
            for signer in &mut signers {
                assert!(sign(signer).unwrap_err().is_retryable());
            }
            tpm.manager().start_again();
            signers.iter_mut().for_each(|signer| sign(signer).unwrap());
        }
        // The machine sleeps.
        tpm.suspend();
        for signer in &mut signers {
            assert!(sign(signer).unwrap_err().is_retryable());
        }
        tpm.start_as(Startup::State);
        signers.iter_mut().for_each(|signer| sign(signer).unwrap());
    });
}
