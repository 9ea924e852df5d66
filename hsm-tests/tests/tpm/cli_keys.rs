//! `keystead key generate tpm:…` and `keystead tpm status`.

use std::fs;

use hsm_tests::lab::json;
use hsm_tests::{Swtpm, run};

use crate::desk::{AUTH, Desk};

/// The URI that `key generate` printed.
#[track_caller]
fn generate(desk: &Desk, arguments: &str) -> String {
    let printed = desk.done(&format!("key generate {arguments}"));
    printed.strip_suffix('\n').expect("one line").to_owned()
}

#[test]
fn a_key_in_a_file_from_its_making_to_a_session() {
    let desk = Desk::new();
    let key = generate(&desk, "tpm:file=hub.tss2 --new-auth hub.auth");
    let folder = desk.tpm.folder().display();
    let expected = format!("tpm:file={folder}/hub.tss2;auth-source=file:{folder}/hub.auth");
    assert!(key.starts_with(&expected), "{key}");
    let auth = desk.read("hub.auth");
    assert_eq!(auth.len(), 32);
    assert!(auth.bytes().all(|byte| byte.is_ascii_hexdigit()), "{auth}");
    assert_eq!(
        (desk.mode("hub.auth"), desk.mode("hub.tss2")),
        (0o600, 0o600)
    );
    desk.certify(&key, "hub");
    desk.session(&key, "hub");
    // AWS's helper's form names the same key, and its certificate goes beside it.
    let imported = desk.done("cert import hub.tss2 hub.pem --pin-source file:hub.auth");
    assert_eq!(imported, "hub.cert.pem\n");
    desk.done(
        "sign-string --private-key hub.tss2 --certificate hub.cert.pem --pin-source file:hub.auth",
    );
    // Power is lost, and the state is kept.
    let mut desk = desk;
    desk.tpm.kill();
    desk.tpm.start();
    desk.session(&key, "hub");
    // Nothing is ever overwritten.
    let error = desk.fails(2, "key generate tpm:file=hub.tss2");
    assert!(error.contains("hub.tss2 is already there"), "{error}");
    // Another program reads it.
    let mut openssl = desk.tpm.command("openssl");
    openssl.args([
        "pkey",
        "-provider",
        "tpm2",
        "-provider",
        "default",
        "-in",
        "hub.tss2",
    ]);
    openssl.args(["-passin", &format!("pass:{auth}"), "-pubout"]);
    let theirs = run(&mut openssl).success();
    let mut openssl = desk.tpm.command("openssl");
    openssl.args(["x509", "-in", "hub.pem", "-noout", "-pubkey"]);
    assert_eq!(theirs, run(&mut openssl).success());
}

#[test]
fn keys_at_handles_are_listed_with_what_they_are() {
    let desk = Desk::new();
    desk.tpm.make_storage_root();
    desk.write("auth", AUTH);
    let key = generate(
        &desk,
        "tpm:handle=0x81000011;auth-source=file:auth --type rsa-2048",
    );
    assert!(
        key.starts_with("tpm:handle=0x81000011;auth-source=file:/"),
        "{key}"
    );
    // The salt key is the one that was there when the key was made.
    assert!(
        key.contains(";salt-handle=0x81000001;salt-name=000b"),
        "{key}"
    );
    desk.certify(&key, "hub");
    desk.session(&key, "hub");
    let error = desk.fails(3, "key generate tpm:handle=0x81000011 --new-auth lost");
    assert!(
        error.contains("tpm:handle=0x81000011: there is something already"),
        "{error}"
    );
    assert!(!desk.exists("lost"), "the auth value of no key");
    let text = desk.done("tpm status");
    for says in [
        "0x81000001  ",
        "0x81000011  ",
        "RSA 2048",
        "lockout      0 of ",
        "no resource manager",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    let status = json(&desk.done("tpm status --json"));
    assert_eq!(status["tcti"], desk.tpm.tcti());
    assert_eq!(status["lockout"]["locked"], false);
    let handles: Vec<_> = status["persistent"].as_array().unwrap().iter().collect();
    assert_eq!(handles.len(), 2, "{status}");
    assert_eq!(handles[1]["handle"], "0x81000011");
    assert_eq!(handles[1]["name"].as_str().unwrap().len(), 2 * 34);
}

#[test]
fn keys_of_each_kind() {
    let desk = Desk::new();
    for kind in ["ec-p256", "ec-p384", "rsa-2048", "rsa-3072"] {
        let key = generate(&desk, &format!("tpm:file={kind}.tss2 --type {kind}"));
        desk.certify(&key, kind);
    }
    let error = desk.fails(3, "key generate tpm:file=rsa-4096.tss2 --type rsa-4096");
    assert!(error.contains("4096"), "{error}");
    assert!(!desk.exists("rsa-4096.tss2"));
}

#[test]
fn a_key_bound_to_a_pcr_signs_while_that_is_what_it_was() {
    let desk = Desk::new();
    let key = generate(&desk, "tpm:file=hub.tss2 --policy-pcr 16,7 --new-auth auth");
    desk.certify(&key, "hub");
    desk.session(&key, "hub");
    let hash = "0".repeat(64);
    desk.tpm.tool(&format!("pcrextend 16:sha256={hash}"));
    let error = desk.fails(3, &format!("sign-string --key {key}"));
    assert!(error.contains("PCR"), "{error}");
    desk.tpm.tool("pcrreset 16");
    desk.done(&format!("sign-string --key {key}"));
}

#[test]
fn the_owners_password_is_asked_for_where_it_is_said_to_be() {
    let desk = Desk::new();
    desk.tpm.set_owner_password("boss");
    desk.write("owner", "boss");
    let error = desk.fails(4, "key generate tpm:file=hub.tss2 --new-auth auth");
    assert!(error.contains("owner"), "{error}");
    assert!(!desk.exists("auth") && !desk.exists("hub.tss2"));
    let key = generate(
        &desk,
        "tpm:file=hub.tss2 --new-auth auth --owner-auth-source file:owner",
    );
    desk.done(&format!(
        "sign-string --key {key} --owner-auth-source file:owner"
    ));
    let error = desk.fails(4, &format!("sign-string --key {key}"));
    assert!(error.contains("owner"), "{error}");
}

#[test]
fn a_key_that_counts_towards_lockout_warns_of_it() {
    let desk = Desk::new();
    let key = generate(
        &desk,
        "tpm:file=hub.tss2 --new-auth auth --counts-towards-lockout",
    );
    let signed = desk.keystead(&format!("sign-string --key {key}"));
    assert!(signed.stderr.starts_with("warning: "), "{}", signed.stderr);
    assert!(
        signed.stderr.contains("the key has no noDA"),
        "{}",
        signed.stderr
    );
    signed.success();
}

#[test]
fn sessions_are_salted_to_an_endorsement_key_that_its_maker_vouches_for() {
    let desk = Desk {
        tpm: Swtpm::certified(),
    };
    let shown = desk.done("tpm ek");
    assert!(
        shown.contains("proven       no: --ek-roots FILE"),
        "{shown}"
    );
    assert!(!shown.contains("salt-name"), "{shown}");
    let makers = [desk.tpm.ek_root(), desk.tpm.ek_issuer()];
    let makers = makers.map(|path| fs::read_to_string(path).unwrap());
    desk.write("makers.pem", &makers.concat());
    let shown = desk.done("tpm ek --ek-roots makers.pem");
    let salt = shown
        .lines()
        .find_map(|line| line.strip_prefix("salt         "));
    let salt = salt.unwrap_or_else(|| panic!("{shown}"));
    assert!(
        salt.starts_with("salt-handle=0x81010016;salt-name=000c"),
        "{salt}"
    );
    let key = generate(&desk, "tpm:file=hub.tss2 --new-auth auth");
    let (key, _) = key.split_once(";salt-handle=").unwrap();
    desk.certify(&format!("{key};{salt}"), "hub");
    // A key of that name is not at that handle: it is an error, and no session without salt.
    let other = salt.replace("salt-name=000c", "salt-name=000cff");
    let other = &other[..other.len() - 2];
    let error = desk.fails(3, &format!("sign-string --key {key};{other}"));
    assert!(
        error.contains("has not the name that was recorded"),
        "{error}"
    );
    // Nobody vouches for it.
    let error = desk.fails(3, "tpm ek --ek-roots ca/root.pem");
    assert!(
        error.contains("the endorsement key EC P-384 (H-3): "),
        "{error}"
    );
}
