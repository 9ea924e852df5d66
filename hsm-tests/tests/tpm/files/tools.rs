//! Files made by tpm2-tools.

use std::path::Path;

use hsm_tests::Swtpm;

use super::{NONE, Stored, sign};

const ATTRIBUTES: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign";

/// A key under a parent, and its file: `create` and `encode` are more arguments for both.
fn encoded(tpm: &Swtpm, parent: &str, create: &str, encode: &str) -> &'static Path {
    tpm.tool(&format!(
        "create -Q -C {parent} -G ecc256:null:null -a {ATTRIBUTES} -u k.pub -r k.priv{create}"
    ));
    tpm.tool("flushcontext -t");
    tpm.tool(&format!(
        "encodeobject -Q -C {parent} -u k.pub -r k.priv -o key.tss2{encode}"
    ));
    // It leaves a session.
    tpm.tool("flushcontext -l");
    Path::new("key.tss2")
}

#[test]
fn keys_under_a_persistent_parent_sign() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let file = encoded(&tpm, "0x81000001", "", "");
    sign(&tpm, file, NONE).unwrap();
}

#[test]
fn a_key_with_an_auth_value_signs_though_the_file_says_it_has_none() {
    // `-p` of version 5.4 is meant to say that there is one, and says that there is none.
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let stored = Stored {
        key: Some("keypin"),
        ..NONE
    };
    for encode in ["", " -p"] {
        let file = encoded(&tpm, "0x81000001", " -p keypin", encode);
        sign(&tpm, file, stored).unwrap();
    }
}
