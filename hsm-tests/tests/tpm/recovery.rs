//! A key that a daemon has open comes back by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hsm_tests::{Interposer, Startup, Swtpm};
use keystead::backend::tpm::{Access, OpenKey};
use keystead::core::key::{Scheme, SignError};

use crate::support::*;

const SCHEME: Scheme = Scheme::EcdsaSha256;

fn tpm() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", "keypin", HANDLE);
    tpm
}

/// By a session without salt, by one with salt, and in clear.
fn each_way(test: impl Fn(&mut Swtpm, &Access, &OpenKey)) {
    for (is_salted, plain_auth) in [(false, false), (true, false), (false, true)] {
        let mut tpm = tpm();
        let mut request = request();
        if is_salted {
            request.salt = Some(salt(&tpm));
        }
        let mut access = tpm.access();
        access.plain_auth = plain_auth;
        test(&mut tpm, &access, &request);
    }
}

#[test]
fn after_a_power_cut() {
    each_way(|tpm, access, request| {
        let mut signer = open(access, request, Some("keypin")).unwrap().signer;
        for _ in 0..2 {
            signs(&mut signer, SCHEME);
            tpm.restart();
        }
        signs(&mut signer, SCHEME);
        let ((), steady) = tpm.commands_of(|| signs(&mut signer, SCHEME));
        assert_eq!(steady, ["Sign"]);
        drop(signer);
        tpm.assert_nothing_left();
    });
}

#[test]
fn after_sleep() {
    each_way(|tpm, access, request| {
        let interposer = Interposer::who_listens(tpm);
        let access = Access {
            plain_auth: access.plain_auth,
            ..interposer.access(tpm)
        };
        let mut signer = open(&access, request, Some("keypin")).unwrap().signer;
        signs(&mut signer, SCHEME);
        // TPM2_Shutdown(TPM_SU_STATE)
        let answer = interposer.send(&[0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 1]);
        assert_eq!(answer, [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0]);
        tpm.kill();
        tpm.start_as(Startup::State);
        signs(&mut signer, SCHEME);
        let ((), steady) = tpm.commands_of(|| signs(&mut signer, SCHEME));
        assert_eq!(steady, ["Sign"]);
    });
}

#[test]
fn while_there_is_no_tpm_an_error_says_so_and_then_it_signs() {
    each_way(|tpm, access, request| {
        let mut signer = open(access, request, Some("keypin")).unwrap().signer;
        signs(&mut signer, SCHEME);
        tpm.kill();
        let error = sign(&mut signer, SCHEME).unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert!(matches!(error, SignError::Device { .. }), "{error:?}");
        tpm.start();
        signs(&mut signer, SCHEME);
    });
}

#[test]
fn another_tpm_has_another_key() {
    let mut tpm = tpm();
    let mut signer = open(&tpm.access(), &request(), Some("keypin"))
        .unwrap()
        .signer;
    signs(&mut signer, SCHEME);
    tpm.lose_state();
    tpm.start();
    assert_eq!(sign(&mut signer, SCHEME), Err(SignError::KeyGone));
    // A key is there, but it is not that one.
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", "keypin", HANDLE);
    assert_eq!(sign(&mut signer, SCHEME), Err(SignError::KeyGone));
}

#[test]
fn a_key_that_was_removed_is_gone_and_may_come_back() {
    let mut tpm = tpm();
    let mut signer = open(&tpm.access(), &request(), Some("keypin"))
        .unwrap()
        .signer;
    signs(&mut signer, SCHEME);
    tpm.restart();
    tpm.tool(&format!("evictcontrol -Q -C o -c {HANDLE:#x}"));
    assert_eq!(sign(&mut signer, SCHEME), Err(SignError::KeyGone));
    tpm.tool("load -Q -C 0x81000001 -u k.pub -r k.priv -c k.ctx");
    tpm.tool(&format!("evictcontrol -Q -C o -c k.ctx {HANDLE:#x}"));
    tpm.tool("flushcontext -t");
    signs(&mut signer, SCHEME);
}

/// A key file under the storage root key, by tpm2-tools.
fn file_request(tpm: &Swtpm) -> OpenKey {
    tpm.tool(
        "create -Q -C 0x81000001 -G ecc256 -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign \
         -u k.pub -r k.priv",
    );
    tpm.tool("encodeobject -Q -C 0x81000001 -u k.pub -r k.priv -o k.tss2");
    // It leaves a session.
    tpm.tool("flushcontext -l");
    file(tpm, "k.tss2")
}

#[test]
fn a_key_from_a_file_is_loaded_again() {
    let mut tpm = Swtpm::new();
    tpm.make_storage_root();
    let request = file_request(&tpm);
    let mut signer = open(&tpm.access(), &request, None).unwrap().signer;
    signs(&mut signer, SCHEME);
    tpm.restart();
    signs(&mut signer, SCHEME);
    let ((), steady) = tpm.commands_of(|| signs(&mut signer, SCHEME));
    assert_eq!(steady, ["Sign"]);
    tpm.lose_state();
    tpm.start();
    assert_eq!(sign(&mut signer, SCHEME), Err(SignError::KeyGone));
    drop(signer);
    tpm.assert_nothing_left();
}

/// As a resource manager answers that lost its sessions or objects.
#[test]
fn what_a_resource_manager_lost_is_there_again() {
    /// TPM_RC_REFERENCE_S0, TPM_RC_VALUE of the first session, TPM_RC_REFERENCE_H0, TPM_RC_HANDLE of the
    /// first handle, and the last by a resource manager.
    const LOST: [u32; 5] = [0x918, 0x984, 0x910, 0x18b, 0xb_018b];
    for code in LOST {
        let tpm = tpm();
        let is_lost = Arc::new(AtomicBool::new(false));
        let looks = Arc::clone(&is_lost);
        let interposer = Interposer::new(&tpm, move |command, answer| {
            if command == 0x15d && looks.swap(false, Ordering::SeqCst) {
                *answer = [&[0x80, 1, 0, 0, 0, 10], &code.to_be_bytes()[..]].concat();
            }
        });
        let access = interposer.access(&tpm);
        let mut signer = open(&access, &request(), Some("keypin")).unwrap().signer;
        signs(&mut signer, SCHEME);
        is_lost.store(true, Ordering::SeqCst);
        signs(&mut signer, SCHEME);
        drop(signer);
        drop(interposer);
        tpm.assert_nothing_left();
    }
}

/// TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_NV_RATE; also more often than libtss2 tries.
#[test]
fn a_busy_tpm_is_waited_for() {
    for code in [0x922_u32, 0x908, 0x90a, 0x920, 0xb_0922] {
        let tpm = tpm();
        let left = Arc::new(std::sync::Mutex::new(12));
        let interposer = Interposer::new(&tpm, move |command, answer| {
            let mut left = left.lock().unwrap();
            if command == 0x15d && *left > 0 {
                *left -= 1;
                *answer = [&[0x80, 1, 0, 0, 0, 10], &code.to_be_bytes()[..]].concat();
            }
        });
        let mut access = interposer.access(&tpm);
        access.plain_auth = true;
        let mut signer = open(&access, &request(), Some("keypin")).unwrap().signer;
        let result = sign(&mut signer, SCHEME);
        // Through libtss2 only what it tries itself is tried as often.
        match code {
            0x920 | 0xb_0922 if !crate::IS_DIRECT => assert!(
                matches!(
                    result,
                    Err(SignError::Device {
                        call: "TPM2_Sign",
                        ..
                    })
                ),
                "{code:#x}: {result:?}"
            ),
            _ => assert!(result.is_ok(), "{code:#x}: {result:?}"),
        }
    }
}

#[test]
fn a_tpm_that_was_not_started_is_told_as_such() {
    let tpm = tpm();
    let interposer = Interposer::new(&tpm, |_, answer| {
        *answer = vec![0x80, 1, 0, 0, 0, 10, 0, 0, 1, 0];
    });
    let error = open(&interposer.access(&tpm), &request(), None)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("TPM_RC_INITIALIZE (0x100)"),
        "{error}"
    );
    assert!(error.remedy().unwrap().contains("tpm2_startup"));
}

/// Also what is persistent takes a place while it is used. What other programs left is theirs.
#[test]
fn a_full_tpm_is_told_as_such() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let request = file_request(&tpm);
    for _ in 0..3 {
        tpm.tool("createprimary -Q -C o -G ecc -c other.ctx");
    }
    let left = tpm.left();
    assert_eq!(left.objects.len(), 3);
    let error = open(&tpm.access(), &request, None).err().unwrap();
    assert!(
        error.to_string().contains("TPM_RC_OBJECT_MEMORY (0x902)"),
        "{error}"
    );
    assert!(
        error
            .remedy()
            .unwrap()
            .contains("other programs have filled the TPM")
    );
    assert_eq!(tpm.left(), left);
    tpm.tool("flushcontext -t");
    signs(
        &mut open(&tpm.access(), &request, None).unwrap().signer,
        SCHEME,
    );
}
