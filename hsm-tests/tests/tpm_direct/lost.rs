//! Answers that do not come.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hsm_tests::{CharacterDevice, Interposer, Swtpm, program as programs, run};
use keystead::backend::tpm::Access;
use keystead::core::key::{Scheme, SignError};

use crate::support::*;

const AUTH: &str = "the-auth-value";
const SIGN: u32 = 0x15d;
const FLUSH_CONTEXT: u32 = 0x165;
const CREATE_PRIMARY: u32 = 0x131;

/// A key that counts, or one that does not.
fn tpm(more: &str) -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let attributes = format!("{more}|sign");
    tpm.make_key("ecc256:null:null", &attributes, AUTH, HANDLE);
    tpm
}

/// Who keeps the answers to a command to himself while he is told to.
fn who_swallows(tpm: &Swtpm, swallowed: u32) -> (Interposer, Arc<AtomicBool>) {
    let is_on = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&is_on);
    let interposer = Interposer::new(tpm, move |command, answer| {
        if command == swallowed && told.load(Ordering::SeqCst) {
            answer.clear();
        }
    });
    (interposer, is_on)
}

fn hasty(access: Access) -> Access {
    Access {
        timeout: Duration::from_secs(2),
        ..access
    }
}

fn sign_with(access: &Access, value: &'static str) -> Result<Vec<u8>, SignError> {
    let mut opened = open(access, &request(), Some(value)).unwrap();
    sign(&mut opened.signer, Scheme::EcdsaSha256)
}

#[test]
fn a_wrong_value_whose_answer_is_lost_is_tried_once() {
    let tpm = tpm("");
    // The first command with such a key is put off by the TPM, which writes down that there was one.
    sign_with(&tpm.access(), AUTH).unwrap();
    let (interposer, _on) = who_swallows(&tpm, SIGN);
    for plain_auth in [false, true] {
        let access = Access {
            plain_auth,
            ..hasty(interposer.access(&tpm))
        };
        for _ in 0..2 {
            assert_eq!(sign_with(&access, "wrong"), Err(SignError::PinRefused));
        }
    }
    // Where it leads to nobody else comes.
    drop(interposer);
    assert_eq!(tpm.lockout().failures, 1);
    // Nor does anybody else try it, in whichever way to the TPM.
    assert_eq!(
        sign_with(&tpm.access(), "wrong"),
        Err(SignError::PinRefused)
    );
    assert_eq!(tpm.lockout().failures, 1);
    sign_with(&tpm.access(), AUTH).unwrap();
}

/// A right value is not known to be one; a person may say so. A key that is open goes on by itself.
#[test]
fn a_right_value_whose_answer_is_lost_is_tried_again_when_a_person_says_so() {
    let tpm = tpm("");
    let (interposer, is_on) = who_swallows(&tpm, SIGN);
    let access = hasty(interposer.access(&tpm));
    assert_eq!(sign_with(&access, AUTH), Err(SignError::PinRefused));
    is_on.store(false, Ordering::SeqCst);
    assert_eq!(sign_with(&access, AUTH), Err(SignError::PinRefused));
    fs::remove_dir_all(access.state.as_ref().unwrap().join("refused-pins")).unwrap();
    let mut opened = open(&access, &request(), Some(AUTH)).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    drop((opened, interposer));
    assert_eq!(tpm.lockout().failures, 0);
}

/// The same in the program, whoever speaks to the TPM for it: what to do is said.
#[test]
fn the_program_says_what_to_do() {
    for (transport, says) in [
        (
            "direct",
            "may have been counted as wrong; it is not tried again",
        ),
        ("tss", "did not answer in time"),
    ] {
        let tpm = tpm("");
        fs::write(tpm.folder().join("auth"), "wrong").unwrap();
        sign_with(&tpm.access(), AUTH).unwrap();
        let (interposer, _on) = who_swallows(&tpm, SIGN);
        let mut failures = Vec::new();
        for _ in 0..2 {
            let mut command = tpm.command(programs::keystead());
            command.args([
                "sign-string",
                "--token-timeout",
                "3",
                "--tpm-transport",
                transport,
            ]);
            command.args(["--key", "tpm:handle=0x81000011;auth-source=file:auth"]);
            command.args(["--tcti", &interposer.access(&tpm).tcti]);
            command.env("XDG_STATE_HOME", tpm.folder());
            failures.push(run(&mut command).failure());
        }
        assert!(failures[0].contains(says), "{transport}: {failures:?}");
        assert!(
            failures[1].contains("its try was not answered"),
            "{failures:?}"
        );
        assert!(failures[1].contains("remove "), "{failures:?}");
        drop(interposer);
        assert_eq!(tpm.lockout().failures, 1, "{transport}");
    }
}

/// What nobody knows to be gone is written down for the next of us.
#[test]
fn what_was_not_flushed_is_left_to_the_next() {
    let tpm = tpm("|noda");
    let (interposer, is_on) = who_swallows(&tpm, FLUSH_CONTEXT);
    let access = hasty(interposer.access(&tpm));
    let files = || {
        fs::read_dir(access.state.as_ref().unwrap().join("tpm-handles"))
            .unwrap()
            .count()
    };
    sign_with(&access, AUTH).unwrap();
    assert_eq!(files(), 1);
    is_on.store(false, Ordering::SeqCst);
    sign_with(&access, AUTH).unwrap();
    assert_eq!(files(), 0);
    drop(interposer);
    tpm.assert_nothing_left();
}

/// A chip takes longer for a primary key than for anything else.
#[test]
fn a_primary_key_has_more_time() {
    let tpm = Swtpm::new();
    tpm.tool("createprimary -Q -C o -G ecc256:aes128cfb -g sha256 -a \
              fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c srk.ctx");
    tpm.tool(
        "create -Q -C srk.ctx -G ecc256 -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign \
         -u k.pub -r k.priv",
    );
    tpm.tool("encodeobject -Q -C srk.ctx -u k.pub -r k.priv -o k.tss2");
    tpm.tool("flushcontext -t");
    tpm.tool("flushcontext -l");
    let interposer = Interposer::new(&tpm, |command, _| {
        if command == CREATE_PRIMARY {
            let until = Instant::now() + Duration::from_secs(3);
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                thread::park_timeout(left);
            }
        }
    });
    let request = file(&tpm, "k.tss2");
    let mut opened = open(&hasty(interposer.access(&tpm)), &request, None).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
}

/// A character device answers as swtpm's socket does.
#[test]
fn keys_are_used_at_a_character_device() {
    let tpm = tpm("|noda");
    let device = CharacterDevice::new(&tpm);
    let salted = keystead::backend::tpm::OpenKey {
        salt: Some(salt(&tpm)),
        ..request()
    };
    for request in [request(), salted] {
        let mut opened = open(&device.access(&tpm), &request, Some(AUTH)).unwrap();
        signs(&mut opened.signer, Scheme::EcdsaSha256);
        signs(&mut opened.signer, Scheme::EcdsaSha256);
    }
    tpm.assert_nothing_left();
}

/// A device that does not answer keeps nobody: neither who signs, nor who ends.
#[test]
fn a_character_device_that_falls_silent_is_left_in_time() {
    let tpm = tpm("|noda");
    let device = CharacterDevice::new(&tpm);
    let mut opened = open(&hasty(device.access(&tpm)), &request(), Some(AUTH)).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    device.fall_silent();
    let began = Instant::now();
    let error = sign(&mut opened.signer, Scheme::EcdsaSha256).unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    drop(opened);
    // What is waited for once is not waited for with each step of recovery.
    assert!(began.elapsed() < Duration::from_secs(20));

    fs::write(tpm.folder().join("auth"), AUTH).unwrap();
    let mut command = tpm.command(programs::keystead());
    command.args([
        "sign-string",
        "--token-timeout",
        "2",
        "--tpm-transport",
        "direct",
    ]);
    command.args(["--key", "tpm:handle=0x81000011;auth-source=file:auth"]);
    command.args(["--tcti", &device.tcti()]);
    command.env("XDG_STATE_HOME", tpm.folder());
    let began = Instant::now();
    let told = run(&mut command).failure();
    assert!(told.contains("does not answer in time"), "{told}");
    assert!(began.elapsed() < Duration::from_secs(20));
}
