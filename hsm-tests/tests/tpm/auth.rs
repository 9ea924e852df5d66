//! Care with auth values: one that is stored costs at most one failure, in all processes together.

use std::fs;
use std::thread;

use hsm_tests::Swtpm;
use keystead::backend::tpm::{Access, Device as _, Operator};
use keystead::core::key::{Scheme, SignError};

use crate::operator::Values;
use crate::support::*;

/// A key that counts, or one that does not, with the auth value `keypin`.
fn tpm(more: &str) -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key(
        "ecc256:null:null",
        &format!("{more}|sign"),
        "keypin",
        HANDLE,
    );
    tpm
}

fn sign_by(access: &Access, operator: impl Operator + 'static) -> Result<(), SignError> {
    let mut device = crate::device(access.clone());
    let mut opened = device.open(&request(), Box::new(operator)).unwrap();
    sign(&mut opened.signer, Scheme::EcdsaSha256).map(drop)
}

fn sign_with(access: &Access, value: &'static str) -> Result<(), SignError> {
    sign_by(access, Stored(Some(value)))
}

#[test]
fn three_wrong_values_lock_it_and_its_owner_unlocks_it() {
    let tpm = tpm("");
    let access = tpm.access();
    sign_with(&access, "keypin").unwrap();
    for (failures, wrong) in (1..).zip(["first", "second", "third"]) {
        assert_eq!(sign_with(&access, wrong), Err(SignError::PinRefused));
        // A second time it is not tried.
        assert_eq!(sign_with(&access, wrong), Err(SignError::PinRefused));
        assert_eq!(tpm.lockout().failures, failures);
    }
    assert!(tpm.lockout().locked);
    assert_eq!(sign_with(&access, "keypin"), Err(SignError::PinLocked));
    assert_eq!(sign_with(&access, "fourth"), Err(SignError::PinLocked));
    tpm.unlock();
    assert!(!tpm.lockout().locked);
    // The TPM never judged it.
    sign_with(&access, "keypin").unwrap();
    assert_eq!(sign_with(&access, "fourth"), Err(SignError::PinRefused));
    assert_eq!(tpm.lockout().failures, 1);
    tpm.assert_nothing_left();
}

#[test]
fn twenty_at_once_spend_one_failure() {
    let tpm = tpm("");
    let access = tpm.access();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                assert_eq!(sign_with(&access, "wrong"), Err(SignError::PinRefused));
            });
        }
    });
    assert_eq!(tpm.lockout().failures, 1);
    sign_with(&access, "keypin").unwrap();
}

#[test]
fn a_person_may_mistype() {
    let tpm = tpm("");
    let person = Values::typed(&["kepyin", "keypin"]);
    sign_by(&tpm.access(), person.clone()).unwrap();
    let asked: Vec<bool> = person.asked().iter().map(|asked| asked.refused).collect();
    assert_eq!(asked, [false, true]);
    assert_eq!(tpm.lockout().failures, 1);
    // Until the TPM locks itself.
    let person = Values::typed(&["1", "2", "3", "4", "5"]);
    assert_eq!(
        sign_by(&tpm.access(), person.clone()),
        Err(SignError::PinLocked)
    );
    assert_eq!(person.asked().len(), 3);
}

#[test]
fn what_does_not_count_is_tried_once_all_the_same() {
    let tpm = tpm("|noda");
    let access = tpm.access();
    let try_it = |value| {
        let (result, commands) = tpm.commands_of(|| sign_with(&access, value));
        let tries = commands.iter().filter(|command| *command == "Sign").count();
        (result, tries)
    };
    let refused = Err(SignError::PinRefused);
    let (result, tries) = try_it("wrong");
    assert_eq!((result, tries > 0), (refused, true));
    assert_eq!(try_it("wrong"), (refused, 0));
    assert_eq!(try_it("keypin").0, Ok(()));
    assert_eq!(tpm.lockout().failures, 0);
}

#[test]
fn without_a_state_directory_only_what_costs_nothing_is_tried() {
    let counting = tpm("");
    let access = |tpm: &Swtpm| Access {
        state: None,
        ..tpm.access()
    };
    let refused = sign_with(&access(&counting), "keypin");
    assert_eq!(refused, Err(SignError::PinRefused));
    let person = Values::typed(&["keypin"]);
    sign_by(&access(&counting), person).unwrap();
    sign_with(&access(&tpm("|noda")), "keypin").unwrap();
}

#[test]
fn a_key_without_a_value_needs_none() {
    for more in ["", "|noda"] {
        let tpm = Swtpm::new();
        tpm.make_storage_root();
        let attributes =
            format!("fixedtpm|fixedparent|sensitivedataorigin|userwithauth{more}|sign");
        tpm.tool(&format!(
            "create -Q -C 0x81000001 -G ecc256:null:null -a {attributes} -u k.pub -r k.priv -c k.ctx"
        ));
        tpm.tool(&format!("evictcontrol -Q -C o -c k.ctx {HANDLE:#x}"));
        tpm.tool("flushcontext -t");
        sign_by(&tpm.access(), Stored(None)).unwrap();
        sign_by(&tpm.access(), Values::typed(&[""])).unwrap();
        assert_eq!(tpm.lockout().failures, 0);
    }
}

#[test]
fn a_value_that_was_taken_costs_no_file_any_more() {
    let tpm = tpm("");
    let access = tpm.access();
    let mut opened = open(&access, &request(), Some("keypin")).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    let memory = access.state.unwrap().join("refused-pins");
    fs::remove_dir_all(&memory).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    assert!(!memory.exists());
}
