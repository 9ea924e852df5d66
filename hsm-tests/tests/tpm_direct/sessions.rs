//! Who reads along on the way to the TPM, or changes what it answers, learns no auth value.

use hsm_tests::{Interposer, Swtpm};
use keystead::backend::tpm::{
    Destination, Device as _, Done, GenerateKey, KeyAlgorithm, KeyPlace, Local, Object, OpenKey,
    Parent, Task, TpmError,
};
use keystead::core::key::{Scheme, SignError};
use sha2::{Digest as _, Sha256};

use crate::operator::Values;
use crate::support::*;

const AUTH: &str = "a-value-that-is-not-guessed";

/// TPM2_ReadPublic, whose answer has a public area, and TPM2_Sign.
const READ_PUBLIC: u32 = 0x173;
const SIGN: u32 = 0x15d;

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

/// Puts another area in its place, with the name that belongs to it or with the right one.
fn change_area(answer: &mut [u8], is_name_changed: bool) {
    let name = |area: &[u8]| [&[0, 11][..], &Sha256::digest(area)].concat();
    let len = usize::from(answer[10]) << 8 | usize::from(answer[11]);
    let place = 12..12 + len;
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
        // What is signed is encrypted on the way, too.
        assert!(!listener.has_seen(&Sha256::digest(b"message")));
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

/// The whole of a salt key is exchanged, or its area only.
#[test]
fn a_salt_key_of_somebody_elses_is_not_taken() {
    for is_name_changed in [true, false] {
        let tpm = tpm();
        let request = salted(&tpm);
        let interposer = Interposer::new(&tpm, move |command, answer| {
            // The key's own is longer than the storage root key's by the scheme's hash.
            let srk = usize::from(answer[11]) == 0x5a;
            if command == READ_PUBLIC && srk {
                change_area(answer, is_name_changed);
            }
        });
        let access = interposer.access(&tpm);
        let (result, commands) = tpm.commands_of(|| open(&access, &request, Some(AUTH)));
        let error = result.err().unwrap().to_string();
        assert!(
            error.contains("has not the name that was recorded"),
            "{error}"
        );
        assert!(!commands.contains(&"StartAuthSession".to_owned()));
        assert!(!commands.contains(&"Sign".to_owned()));
    }
}

/// A public area that has not the name which is beside it is none.
#[test]
fn a_key_whose_area_was_exchanged_is_not_taken() {
    let tpm = tpm();
    let interposer = Interposer::new(&tpm, |command, answer| {
        if command == READ_PUBLIC {
            change_area(answer, false);
        }
    });
    let error = open(&interposer.access(&tpm), &request(), Some(AUTH)).err();
    assert!(
        matches!(&error, Some(TpmError::Call { error, .. }) if error.call == "TPM2_ReadPublic"),
        "{error:?}"
    );
}

/// A TPM whose storage root key is on no curve; more arguments for `createprimary`.
fn under_rsa(more: &str) -> Swtpm {
    let tpm = Swtpm::new();
    tpm.tool(&format!(
        "createprimary -Q -C o -G rsa2048:aes128cfb -a \
         fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c srk.ctx{more}",
    ));
    tpm.tool("evictcontrol -Q -C o -c srk.ctx 0x81000001");
    tpm.tool("flushcontext -t");
    tpm
}

/// A key in a file, under the storage root key.
fn generated(tpm: &Swtpm, with_auth: bool, policy_pcrs: Vec<u8>, values: &mut Values) -> OpenKey {
    let task = Task::Generate(GenerateKey {
        to: Destination::File,
        parent: Parent::StorageRoot,
        algorithm: KeyAlgorithm::P256,
        with_auth,
        counts_towards_lockout: false,
        policy_pcrs,
    });
    let made = Local::new(tpm.access()).perform(&task, values);
    let Ok(Done::Generated(key)) = made else {
        panic!("{made:?}");
    };
    OpenKey {
        key: KeyPlace::File {
            name: "made.tss2".into(),
            contents: key.file.unwrap(),
        },
        ..request()
    }
}

/// A salt key that libtss2 alone can encrypt to is left to it; nobody is asked for the auth value before.
#[test]
fn rsa_salt_keys_are_left_to_libtss2() {
    let tpm = under_rsa("");
    tpm.make_key("ecc256", "|noda|sign", AUTH, HANDLE);
    let error = open(&tpm.access(), &salted(&tpm), Some(AUTH)).err();
    assert!(
        matches!(&error, Some(TpmError::Unsupported { what, .. }) if what.contains("libtss2")),
        "{error:?}"
    );
    tpm.assert_nothing_left();

    // A key with a policy wants its salt only when its auth value is there: that is too late to find out.
    let request = generated(
        &tpm,
        true,
        vec![7],
        &mut Values::none().and(Object::Key, AUTH),
    );
    let error = open(&tpm.access(), &request, Some(AUTH)).err();
    assert!(
        matches!(&error, Some(TpmError::Unsupported { what, .. }) if what.contains("libtss2")),
        "{error:?}"
    );
    tpm.assert_nothing_left();
}

/// A key without an auth value needs no salt: it is used whatever its parent is.
#[test]
fn keys_without_an_auth_value_are_used_under_rsa_keys() {
    let tpm = under_rsa("");
    let request = generated(&tpm, false, Vec::new(), &mut Values::none());
    let mut opened = open(&tpm.access(), &request, None).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
}

/// Nobody is asked twice: libtss2 asks for the parent's auth value again.
#[test]
fn a_parents_auth_value_is_not_asked_for_what_is_left_to_libtss2() {
    let tpm = under_rsa(" -p parentpin");
    let parent = || Values::none().and(Object::Parent, "parentpin");
    let request = generated(&tpm, true, Vec::new(), &mut parent().and(Object::Key, AUTH));
    let operator = parent();
    let opened = crate::device(tpm.access()).open(&request, Box::new(operator.clone()));
    assert!(matches!(opened, Err(TpmError::Unsupported { .. })));
    assert!(operator.asked().is_empty(), "{:?}", operator.asked());
    tpm.assert_nothing_left();
}

/// It has not to be made anew, as libtss2 has it.
#[test]
fn a_salt_key_serves_whatever_the_owners_password_is() {
    let tpm = tpm();
    let request = salted(&tpm);
    tpm.set_owner_password("owner");
    let mut signer = open(&tpm.access(), &request, Some(AUTH)).unwrap().signer;
    signs(&mut signer, Scheme::EcdsaSha256);
}

#[test]
fn a_signature_with_a_wrong_hmac_is_none() {
    let tpm = tpm();
    for request in [request(), salted(&tpm)] {
        let interposer = Interposer::new(&tpm, |command, answer| {
            if command == SIGN && answer.len() > 10 {
                let last = answer.len() - 1;
                answer[last] ^= 1;
            }
        });
        let access = interposer.access(&tpm);
        let mut signer = open(&access, &request, Some(AUTH)).unwrap().signer;
        let error = sign(&mut signer, Scheme::EcdsaSha256).unwrap_err();
        assert!(
            matches!(
                error,
                SignError::Device {
                    name: "TSS2_ESYS_RC_RSP_AUTH_FAILED",
                    ..
                }
            ),
            "{error:?}"
        );
        drop(signer);
        drop(interposer);
        tpm.assert_nothing_left();
    }
}

#[test]
fn a_wrong_value_in_a_session_is_told_as_such() {
    let tpm = tpm();
    let mut signer = open(&tpm.access(), &salted(&tpm), Some("wrong"))
        .unwrap()
        .signer;
    let error = sign(&mut signer, Scheme::EcdsaSha256).unwrap_err();
    assert_eq!(error, SignError::PinRefused);
    drop(signer);
    tpm.assert_nothing_left();
}
