//! Who reads along on the way to the TPM, or changes what it answers, learns no auth value.

use hsm_tests::{Interposer, Swtpm};
use keystead::backend::tpm::{OpenKey, TpmError};
use keystead::core::key::Scheme;
use sha2::{Digest as _, Sha256};

use crate::support::*;

const AUTH: &str = "a-value-that-is-not-guessed";

/// The commands whose answers have a public area.
const CREATE_PRIMARY: u32 = 0x131;
const READ_PUBLIC: u32 = 0x173;

/// A TPM with a storage root key, and a key with an auth value.
fn tpm() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", AUTH, HANDLE);
    tpm
}

fn salted(tpm: &Swtpm) -> OpenKey {
    OpenKey {
        salt: Some(salt(tpm)),
        ..request()
    }
}

/// Where the public area is in an answer, after its length.
fn area(command: u32, answer: &[u8]) -> std::ops::Range<usize> {
    let place = match command {
        // A handle, and the length of the parameters.
        CREATE_PRIMARY => 18,
        _ => 10,
    };
    let len = usize::from(answer[place]) << 8 | usize::from(answer[place + 1]);
    place + 2..place + 2 + len
}

/// Puts another area in its place, with the name that belongs to it or with the right one.
fn change_area(command: u32, answer: &mut [u8], is_name_changed: bool) {
    let name = |area: &[u8]| [&[0, 11][..], &Sha256::digest(area)].concat();
    let place = area(command, answer);
    let old = name(&answer[place.clone()]);
    answer[place.end - 1] ^= 1;
    let new = name(&answer[place.clone()]);
    if is_name_changed {
        for place in place.end..answer.len() - old.len() + 1 {
            if answer[place..place + old.len()] == old {
                answer[place..place + old.len()].copy_from_slice(&new);
            }
        }
    }
}

#[test]
fn auth_values_do_not_leave_the_process() {
    let tpm = tpm();
    for request in [request(), salted(&tpm)] {
        let listener = Interposer::who_listens(&tpm);
        let access = listener.access(&tpm);
        let mut signer = open(&access, &request, Some(AUTH)).unwrap().signer;
        signs(&mut signer, Scheme::EcdsaSha256);
        signs(&mut signer, Scheme::EcdsaSha256);
        drop(signer);
        assert!(!listener.has_seen(AUTH.as_bytes()));
    }
    tpm.assert_nothing_left();
}

#[test]
fn auth_values_in_clear_are_seen() {
    let tpm = tpm();
    let listener = Interposer::who_listens(&tpm);
    let mut access = listener.access(&tpm);
    access.plain_auth = true;
    let mut signer = open(&access, &request(), Some(AUTH)).unwrap().signer;
    signs(&mut signer, Scheme::EcdsaSha256);
    assert!(listener.has_seen(AUTH.as_bytes()));
}

/// The whole of a salt key is exchanged, or its area only: libtss2 takes an area that has not the name
/// that is beside it.
#[test]
fn a_salt_key_of_somebody_elses_is_not_taken() {
    for is_name_changed in [true, false] {
        let tpm = tpm();
        let request = salted(&tpm);
        let interposer = Interposer::new(&tpm, move |command, answer| {
            if command == CREATE_PRIMARY {
                change_area(command, answer, is_name_changed);
            }
        });
        let access = interposer.access(&tpm);
        let (result, commands) = tpm.commands_of(|| open(&access, &request, Some(AUTH)));
        let error = result.err().unwrap();
        let says = match is_name_changed {
            true => {
                "has not the name that was recorded: it was made in another way, or somebody between"
            }
            false => "TSS2_ESYS_RC_MALFORMED_RESPONSE",
        };
        assert!(error.to_string().contains(says), "{error}");
        assert!(!commands.contains(&"StartAuthSession".to_owned()));
        assert!(!commands.contains(&"Sign".to_owned()));
    }
}

/// One that is not made by the usual template is read first.
#[test]
fn other_storage_root_keys_are_salt_keys_too() {
    for (algorithm, attributes) in [("rsa2048:aes128cfb", "|noda"), ("ecc384:aes256cfb", "")] {
        let tpm = Swtpm::new();
        tpm.tool(&format!(
            "createprimary -Q -C o -G {algorithm} -a \
             fixedtpm|fixedparent|sensitivedataorigin|userwithauth{attributes}|restricted|decrypt -c srk.ctx"
        ));
        tpm.tool("evictcontrol -Q -C o -c srk.ctx 0x81000001");
        tpm.tool("flushcontext -t");
        tpm.make_key("ecc256", "|noda|sign", AUTH, HANDLE);
        let request = salted(&tpm);
        let mut signer = open(&tpm.access(), &request, Some(AUTH)).unwrap().signer;
        signs(&mut signer, Scheme::EcdsaSha256);
        drop(signer);
        let interposer = Interposer::new(&tpm, |command, answer| {
            // Of the key itself it is the first one that is answered.
            if command == READ_PUBLIC {
                change_area(command, answer, false);
            }
        });
        let error = open(&interposer.access(&tpm), &request, Some(AUTH)).err();
        assert!(
            matches!(&error, Some(TpmError::Key { key, .. }) if key.contains("salt key")),
            "{algorithm}: {error:?}"
        );
    }
}

#[test]
fn without_the_hierarchys_password_there_is_no_salt_key() {
    let tpm = tpm();
    let request = salted(&tpm);
    tpm.set_owner_password("owner");
    let error = open(&tpm.access(), &request, Some(AUTH)).err().unwrap();
    assert!(
        error.to_string().contains("its hierarchy has a password"),
        "{error}"
    );
}

#[test]
fn a_wrong_value_in_a_session_is_told_as_such() {
    let tpm = tpm();
    let mut signer = open(&tpm.access(), &salted(&tpm), Some("wrong"))
        .unwrap()
        .signer;
    let error = sign(&mut signer, Scheme::EcdsaSha256).unwrap_err();
    assert_eq!(error, keystead::core::key::SignError::PinRefused);
    drop(signer);
    tpm.assert_nothing_left();
}
