//! The harness itself, judged by the tools that it starts.

use std::env;
use std::path::Path;

use hsm_tests::softhsm::{CONFIGURATION, MODULE};
use hsm_tests::{SoftHsm, p11_kit, program, run};
use keystead::backend::pkcs11::KeyAlgorithm;

#[test]
fn every_kind_of_key_is_made_in_the_token() {
    let hsm = SoftHsm::new("kinds");
    let kinds = [
        (KeyAlgorithm::P256, "EC_POINT 256 bits"),
        (KeyAlgorithm::P384, "EC_POINT 384 bits"),
        (KeyAlgorithm::P521, "EC_POINT 528 bits"),
        (KeyAlgorithm::Rsa(2048), "RSA 2048 bits"),
    ];
    for (id, (algorithm, _)) in (1..).zip(kinds) {
        hsm.generate(algorithm, id, "one label", &[]);
    }
    let objects = hsm.tool(&["--list-objects", "--type", "pubkey"]);
    for (_, shown) in kinds {
        assert!(objects.contains(shown), "{shown}: {objects}");
    }
    let urls = hsm.p11tool(&["--list-all-privkeys", "--only-urls"], &hsm.uri());
    assert_eq!(urls.lines().count(), kinds.len(), "{urls}");
    let serial = format!("serial={}", hsm.serial);
    assert!(urls.lines().all(|url| url.contains(&serial)), "{urls}");
    assert!(
        urls.lines().all(|url| url.contains("object=one%20label")),
        "{urls}"
    );
}

#[test]
fn attributes_are_as_they_were_asked_for() {
    let hsm = SoftHsm::new("attributes");
    let key = hsm.folder().join("key.pem");
    program::private_key("EC:P-256", &key);
    hsm.generate(KeyAlgorithm::P256, 1, "made", &["--always-auth"]);
    hsm.import(&key, 2, "put");
    hsm.import_extractable(&key, 3, "alone");
    let shown = hsm.tool(&["--list-objects", "--type", "privkey"]);
    let access = |id: &str| {
        let (_, key) = shown
            .split_once(&format!("ID:         {id}"))
            .expect("it is listed");
        let line = key.lines().find(|line| line.contains("Access:"));
        line.unwrap_or_else(|| panic!("{shown}")).trim().to_owned()
    };
    assert_eq!(
        access("01"),
        "Access:     always authenticate, sensitive, always sensitive, never extractable, local"
    );
    assert_eq!(access("02"), "Access:     sensitive");
    assert_eq!(access("03"), "Access:     sensitive, extractable");
    let public_keys = hsm.tool(&["--list-objects", "--type", "pubkey"]);
    assert!(!public_keys.contains("alone"), "{public_keys}");
}

#[test]
fn certificates_are_there_without_login() {
    let hsm = SoftHsm::new("certificates");
    let key = hsm.folder().join("key.pem");
    let certificate = hsm.folder().join("certificate.der");
    program::private_key("EC:P-256", &key);
    program::self_signed(&key, "/CN=device", &certificate);
    hsm.import(&key, 7, "device");
    hsm.write_certificate(&certificate, 7, "device");
    let slot = hsm.slot.to_string();
    let mut tool = hsm.command("pkcs11-tool");
    tool.args(["--module", MODULE, "--slot", &slot, "--list-objects"]);
    let objects = run(&mut tool).success();
    assert!(objects.contains("CN=device"), "{objects}");
    assert!(!objects.contains("Private Key Object"), "{objects}");
}

#[test]
fn tokens_are_told_apart_by_serial() {
    let hsm = SoftHsm::new("twin");
    let other = hsm.add_token("twin");
    assert_ne!(hsm.serial, other.serial);
    assert_ne!(hsm.slot, other.slot);
    other.generate(KeyAlgorithm::P256, 1, "key", &[]);
    assert!(!hsm.tool(&["--list-objects"]).contains("Private Key"));
    assert!(other.tool(&["--list-objects"]).contains("Private Key"));

    other.initialise_again();
    assert!(!other.tool(&["--list-objects"]).contains("Private Key"));
    other.remove();
    let slots = run(other.command("softhsm2-util").arg("--show-slots")).success();
    assert!(!slots.contains(&other.serial), "{slots}");
    assert!(slots.contains(&hsm.serial), "{slots}");
}

#[test]
fn a_test_may_load_the_module_itself() {
    SoftHsm::in_process("inside", |hsm| {
        let configuration = env::var_os(CONFIGURATION).expect("it is set for this process");
        assert!(hsm.folder().join("softhsm2.conf") == *configuration);
        hsm.generate(KeyAlgorithm::P256, 1, "key", &[]);
        let public_key = hsm.folder().join("public.der");
        hsm.public_key(1, &public_key);
        let mut pkey = program::command("openssl");
        pkey.args(["pkey", "-pubin", "-inform", "DER", "-noout", "-text", "-in"]);
        let text = run(pkey.arg(public_key)).success();
        assert!(text.contains("NIST CURVE: P-256"), "{text}");
    });
}

#[test]
fn p11_kit_knows_no_module_of_the_machine() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let words = p11_kit::only_module(folder.path(), Path::new(MODULE), None);
    let mut list = program::command(&words[0]);
    list.args(&words[1..]).args(["p11-kit", "list-modules"]);
    let listed = run(&mut list).success();
    let modules = listed.lines().filter(|line| !line.starts_with(' '));
    assert_eq!(modules.collect::<Vec<_>>(), [format!("only: {MODULE}")]);
}
