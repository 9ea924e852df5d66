//! How many commands a signature costs, counted from the TPM's own log.

use hsm_tests::Swtpm;
use keystead::backend::tpm::{KeyPlace, OpenKey};
use keystead::core::key::Signer as _;

use crate::support::*;

/// The commands of the first signature and of the second by a key at a handle.
fn commands(
    tpm: &Swtpm,
    plain_auth: bool,
    request: &OpenKey,
    auth: Option<&'static str>,
) -> (Vec<String>, Vec<String>) {
    let mut access = tpm.access();
    access.plain_auth = plain_auth;
    let (mut signer, cold) = tpm.commands_of(|| {
        let mut signer = open(&access, request, auth).unwrap().signer;
        let scheme = signer.key().roles_anywhere_scheme();
        signs(&mut signer, scheme);
        signer
    });
    let scheme = signer.key().roles_anywhere_scheme();
    let ((), steady) = tpm.commands_of(|| signs(&mut signer, scheme));
    drop(signer);
    tpm.assert_nothing_left();
    (cold, steady)
}

/// A key whose certificate is known.
fn with_certificate(tpm: &Swtpm) -> OpenKey {
    let opened = open(&tpm.access(), &request(), Some("unused")).unwrap();
    let certificate = certificate(tpm, opened.signer.public_key());
    OpenKey {
        certificates: vec![certificate],
        ..request()
    }
}

#[test]
fn a_key_at_a_handle_costs_two_commands_and_then_one() {
    for algorithm in ["ecc256", "ecc384:ecdsa-sha256", "rsa2048"] {
        let tpm = Swtpm::new();
        tpm.make_storage_root();
        tpm.make_key(algorithm, "|noda|sign", "", HANDLE);
        let request = with_certificate(&tpm);
        let (cold, steady) = commands(&tpm, false, &request, None);
        assert_eq!(cold, ["ReadPublic", "Sign"], "{algorithm}");
        assert_eq!(steady, ["Sign"], "{algorithm}");
    }
}

#[test]
fn without_a_certificate_the_public_area_is_read_once_more() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign|decrypt", "", HANDLE);
    let (cold, steady) = commands(&tpm, true, &request(), None);
    assert_eq!(cold, ["ReadPublic", "ReadPublic", "Sign"]);
    assert_eq!(steady, ["Sign"]);
}

/// Before the first use of a key that counts towards lockout the TPM writes down that it is used, and has
/// the command sent again (TPM_RC_RETRY).
#[test]
fn a_command_that_was_put_off_is_sent_again() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|sign", "keypin", HANDLE);
    let request = with_certificate(&tpm);
    let (cold, steady) = commands(&tpm, true, &request, Some("keypin"));
    assert_eq!(cold, ["ReadPublic", "Sign", "Sign"]);
    assert_eq!(steady, ["Sign"]);
}

#[test]
fn auth_values_in_clear_cost_nothing_more() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", "keypin", HANDLE);
    let request = with_certificate(&tpm);
    let (cold, steady) = commands(&tpm, true, &request, Some("keypin"));
    assert_eq!(cold, ["ReadPublic", "Sign"]);
    assert_eq!(steady, ["Sign"]);
}

#[test]
fn a_session_is_started_once() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", "keypin", HANDLE);
    let request = with_certificate(&tpm);
    let (cold, steady) = commands(&tpm, false, &request, Some("keypin"));
    assert_eq!(cold, ["ReadPublic", "StartAuthSession", "Sign"]);
    assert_eq!(steady, ["Sign"]);
}

#[test]
fn a_salted_session_costs_the_salt_key() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", "keypin", HANDLE);
    let request = OpenKey {
        salt: Some(salt(&tpm)),
        ..with_certificate(&tpm)
    };
    let (cold, steady) = commands(&tpm, false, &request, Some("keypin"));
    assert_eq!(
        cold,
        [
            "ReadPublic",
            "CreatePrimary",
            "StartAuthSession",
            "FlushContext",
            "Sign"
        ]
    );
    assert_eq!(steady, ["Sign"]);
}

/// A key file under the storage root key, by tpm2-tools.
fn file(tpm: &Swtpm, auth: &str) -> OpenKey {
    tpm.tool(&format!(
        "create -Q -C 0x81000001 -G ecc256 -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign \
         -u f.pub -r f.priv{auth}"
    ));
    tpm.tool("encodeobject -Q -C 0x81000001 -u f.pub -r f.priv -o f.tss2");
    // It leaves a session.
    tpm.tool("flushcontext -l");
    OpenKey {
        key: KeyPlace::File {
            name: "f.tss2".to_owned(),
            contents: std::fs::read(tpm.folder().join("f.tss2")).unwrap(),
        },
        ..request()
    }
}

#[test]
fn a_file_under_a_persistent_key_costs_three_commands_and_then_one() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let request = file(&tpm, "");
    let (cold, steady) = commands(&tpm, false, &request, None);
    assert_eq!(cold, ["ReadPublic", "Load", "Sign"]);
    assert_eq!(steady, ["Sign"]);
    let request = file(&tpm, " -p keypin");
    let (cold, steady) = commands(&tpm, true, &request, Some("keypin"));
    assert_eq!(cold, ["ReadPublic", "Load", "Sign"]);
    assert_eq!(steady, ["Sign"]);
    let (cold, _) = commands(&tpm, false, &request, Some("keypin"));
    assert_eq!(cold, ["ReadPublic", "Load", "StartAuthSession", "Sign"]);
}
