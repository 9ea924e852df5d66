//! Care with auth values: one that is stored costs at most one failure, in all processes together.

use std::fs;
use std::thread;

use hsm_tests::Swtpm;
use keystead::backend::tpm::{
    Access, Destination, Device as _, Done, GenerateKey, KeyAlgorithm, Local, Object, Operator,
    Parent, Task,
};
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

/// The empty value of a key with a policy is tried in a session without salt. What a person types after that is not.
#[test]
fn what_is_typed_for_a_key_with_a_policy_goes_into_a_salted_session() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let task = Task::Generate(GenerateKey {
        to: Destination::File,
        parent: Parent::StorageRoot,
        algorithm: KeyAlgorithm::P256,
        with_auth: true,
        counts_towards_lockout: false,
        policy_pcrs: vec![7],
    });
    let mut values = Values::none().and(Object::Key, "keypin");
    let Ok(Done::Generated(key)) = Local::new(tpm.access()).perform(&task, &mut values) else {
        panic!("the key is not made");
    };
    fs::write(tpm.folder().join("policy.tss2"), key.file.unwrap()).unwrap();
    let mark = tpm.mark();
    let person = Values::typed(&["other", "keypin"]);
    let mut opened = crate::device(tpm.access())
        .open(&file(&tpm, "policy.tss2"), Box::new(person))
        .unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    let commands = tpm.commands_since(mark);
    let mut tries = commands.split(|command| command == "Sign");
    let sessions = |commands: &[String]| {
        let started = commands
            .iter()
            .filter(|command| *command == "StartAuthSession");
        started.count()
    };
    assert!(tries.next().is_some());
    // One for both that are typed, and the TPM is told of a key that a salt was encrypted to.
    assert_eq!(tries.map(sessions).sum::<usize>(), 1, "{commands:?}");
    let salted_to = |kind| tpm.heard_since(mark, &[0, 0, 1, 0x76, kind]);
    assert!(salted_to(0x80) || salted_to(0x81));
    let ((), steady) = tpm.commands_of(|| signs(&mut opened.signer, Scheme::EcdsaSha256));
    assert_eq!(steady, ["PolicyPCR", "PolicyAuthValue", "Sign"]);
    drop(opened);
    tpm.assert_nothing_left();
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
