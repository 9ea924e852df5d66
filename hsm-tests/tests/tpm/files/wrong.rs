//! Files that do not serve: what is said.

use std::fs;
use std::path::Path;

use hsm_tests::Swtpm;

use super::layouts::{Layout, under, under_primary};
use super::{NONE, genpkey, sign};

const STORAGE: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt";

#[track_caller]
fn refused(tpm: &Swtpm, file: &Path, says: &str, remedy: &str) {
    let error = sign(tpm, file, NONE).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("key.tss2: ") && text.contains(says),
        "{text}"
    );
    let text = error.remedy().unwrap_or_default();
    assert!(text.contains(remedy), "{text}");
}

#[test]
fn a_file_of_another_tpm() {
    let [tpm, other] = [Swtpm::new(), Swtpm::new()];
    let copy = |file: &Path| {
        let name = Path::new("key.tss2");
        fs::copy(tpm.folder().join(file), other.folder().join(name)).unwrap();
        name
    };
    let file = genpkey(&tpm, "EC:P-256", &[]);
    let says = "not made under the owner hierarchy's primary key (template H-2, P-256) of this TPM";
    refused(&other, copy(&file), says, "serves only with the TPM");
    tpm.make_storage_root();
    let file = genpkey(&tpm, "EC:P-256", &["parent:0x81000001"]);
    refused(
        &other,
        copy(&file),
        "no key at 0x81000001",
        "serves only with the TPM",
    );
    other.make_storage_root();
    let says = "not made under the key at 0x81000001 of this TPM";
    refused(&other, copy(&file), says, "serves only with the TPM");
}

#[test]
fn a_file_whose_parent_is_made_by_another_template() {
    let tpm = Swtpm::new();
    let file = |tpm: &Swtpm| {
        let layout = Layout::loadable().field("parent", "INTEGER:0x40000001");
        layout.key(tpm).write(tpm)
    };
    for (algorithm, attributes, says) in [
        (
            "ecc256",
            STORAGE.to_owned(),
            "the template H-2 without noDA",
        ),
        (
            "rsa2048",
            format!("{STORAGE}|noda"),
            "the TCG's template H-1",
        ),
        (
            "rsa2048",
            STORAGE.to_owned(),
            "which is that of tpm2_createprimary",
        ),
    ] {
        under_primary(&tpm, "o", algorithm, &attributes);
        refused(&tpm, &file(&tpm), says, "tpm2_evictcontrol");
    }
    // Its two numbers, each with its length before it, and room for the longest that there is.
    let unique = [&[32, 0][..], &[0; 128], &[32, 0], &[0; 128]].concat();
    fs::write(tpm.folder().join("unique"), unique).unwrap();
    tpm.tool(&format!(
        "createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a {STORAGE}|noda -u unique -c p.ctx"
    ));
    under(&tpm, "p.ctx", "");
    tpm.tool("flushcontext -t");
    refused(
        &tpm,
        &file(&tpm),
        "the TCG's template L-2",
        "tpm2_evictcontrol",
    );
}

#[test]
fn keys_that_sign_nothing() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let file = |tpm: &Swtpm| {
        let layout = Layout::loadable().field("parent", "INTEGER:0x81000001");
        layout.key(tpm).write(tpm)
    };
    let common = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth";
    for (algorithm, attributes, says) in [
        (
            "ecc256:aes128cfb",
            "restricted|decrypt",
            "it is a storage key",
        ),
        (
            "ecc256:ecdsa-sha256:null",
            "restricted|sign",
            "it is an attestation key",
        ),
        ("rsa2048:null:null", "decrypt", "it only decrypts"),
    ] {
        tpm.tool(&format!(
            "create -Q -C 0x81000001 -G {algorithm} -a {common}|{attributes} -u k.pub -r k.priv"
        ));
        // Nothing was asked of the TPM.
        let file = file(&tpm);
        let (_, commands) = tpm.commands_of(|| {
            let error = super::open_and_sign(&tpm, &file, NONE).unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        });
        assert!(commands.is_empty(), "{commands:?}");
    }
}

#[test]
fn a_parent_that_keeps_no_keys() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign", "", 0x8100_0011);
    under(&tpm, "0x81000001", "");
    let layout = Layout::loadable().field("parent", "INTEGER:0x81000011");
    let file = layout.key(&tpm).write(&tpm);
    let says = "the key at 0x81000011 does not take the key";
    refused(&tpm, &file, says, "a parent is a storage key");
}

#[test]
fn a_file_whose_parent_is_another_than_was_recorded() {
    let tpm = Swtpm::new();
    let file = genpkey(&tpm, "EC:P-256", &[]);
    let text = fs::read_to_string(tpm.folder().join(&file)).unwrap();
    let name = format!("Parent-Name: 000b{}\n", "00".repeat(32));
    fs::write(tpm.folder().join(&file), name + &text).unwrap();
    let says = "has another name than was recorded in Parent-Name";
    refused(&tpm, &file, says, "serves only with the TPM");
}

#[test]
fn a_damaged_file() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    under(&tpm, "0x81000001", "");
    let layout = || Layout::loadable().field("parent", "INTEGER:0x81000001");
    let file = layout()
        .field("pubkey", "FORMAT:HEX,OCTETSTRING:0001ff")
        .contents(&tpm, "privkey", "", "k.priv")
        .write(&tpm);
    refused(&tpm, &file, "pubkey: ", "");
    let private = tpm.folder().join("k.priv");
    let mut bytes = fs::read(&private).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&private, bytes).unwrap();
    let file = layout().key(&tpm).write(&tpm);
    refused(&tpm, &file, "TPM_RC_INTEGRITY", "serves only with the TPM");
    let sealed = Layout::new("2.23.133.10.1.5").field("parent", "INTEGER:0x81000001");
    let file = sealed.key(&tpm).write(&tpm);
    refused(&tpm, &file, "type: it is sealed data", "a loadable key");
}
