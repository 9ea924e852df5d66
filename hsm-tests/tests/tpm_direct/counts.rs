//! How many commands a key costs.

use hsm_tests::Swtpm;
use keystead::backend::tpm::OpenKey;
use keystead::core::key::{Scheme, Signer as _};

use crate::support::*;

const AUTH: &str = "the-auth-value";

/// The commands until the first signature was made, and those of the second.
fn commands(tpm: &Swtpm, request: &OpenKey, auth: Option<&'static str>) -> [Vec<String>; 2] {
    let (mut signer, cold) = tpm.commands_of(|| {
        let mut signer = open(&tpm.access(), request, auth).unwrap().signer;
        let scheme = signer.key().roles_anywhere_scheme();
        signs(&mut signer, scheme);
        signer
    });
    let scheme = signer.key().roles_anywhere_scheme();
    let ((), steady) = tpm.commands_of(|| signs(&mut signer, scheme));
    [cold, steady]
}

#[test]
fn at_a_handle() {
    for algorithm in ["ecc256", "ecc384:ecdsa-sha256", "rsa2048"] {
        let tpm = Swtpm::new();
        tpm.make_storage_root();
        tpm.make_key(algorithm, "|noda|sign", "", HANDLE);
        let [cold, steady] = commands(&tpm, &request(), None);
        assert_eq!(cold, ["ReadPublic", "Sign"], "{algorithm}");
        assert_eq!(steady, ["Sign"], "{algorithm}");
        tpm.assert_nothing_left();
    }
}

#[test]
fn with_an_auth_value() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", AUTH, HANDLE);
    let [cold, steady] = commands(&tpm, &request(), Some(AUTH));
    assert_eq!(cold, ["ReadPublic", "StartAuthSession", "Sign"]);
    assert_eq!(steady, ["Sign"]);
    // The salt key is read, and not made anew.
    let salted = OpenKey {
        salt: Some(salt(&tpm)),
        ..request()
    };
    let [cold, steady] = commands(&tpm, &salted, Some(AUTH));
    assert_eq!(
        cold,
        ["ReadPublic", "ReadPublic", "StartAuthSession", "Sign"]
    );
    assert_eq!(steady, ["Sign"]);
    tpm.assert_nothing_left();
}

#[test]
fn in_a_file() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.tool(
        "create -Q -C 0x81000001 -G ecc256 -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign \
         -u k.pub -r k.priv",
    );
    tpm.tool("encodeobject -Q -C 0x81000001 -u k.pub -r k.priv -o k.tss2");
    // It leaves a session.
    tpm.tool("flushcontext -l");
    let request = file(&tpm, "k.tss2");
    let [cold, steady] = commands(&tpm, &request, None);
    assert_eq!(cold, ["ReadPublic", "Load", "Sign"]);
    assert_eq!(steady, ["Sign"]);
    let mut signer = open(&tpm.access(), &request, None).unwrap().signer;
    assert!(sign(&mut signer, Scheme::EcdsaSha384).is_ok());
    drop(signer);
    tpm.assert_nothing_left();
}

/// The salt key is the parent, which was read to load the key.
#[test]
fn in_a_file_with_an_auth_value() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", AUTH, HANDLE);
    tpm.tool("encodeobject -Q -C 0x81000001 -u k.pub -r k.priv -o k.tss2");
    tpm.tool("flushcontext -l");
    let request = OpenKey {
        salt: Some(salt(&tpm)),
        ..file(&tpm, "k.tss2")
    };
    let [cold, steady] = commands(&tpm, &request, Some(AUTH));
    assert_eq!(cold, ["ReadPublic", "Load", "StartAuthSession", "Sign"]);
    assert_eq!(steady, ["Sign"]);
    tpm.assert_nothing_left();
}
