//! The virtual card itself, judged by Yubico's tools and OpenSC's.

use std::fs;

use hsm_tests::piv::{MANAGEMENT_KEY, OPENSC, PIN, PUK, YKCS11};
use hsm_tests::{Card, program, run};

/// A certificate for a key in the card, from an authority of the test's own.
fn certify(card: &Card, slot: &str, public_key: &std::path::Path) {
    let folder = card.folder();
    let (authority, certificate) = (folder.join("authority"), folder.join(format!("{slot}.crt")));
    if !authority.exists() {
        program::private_key("EC:P-256", &authority);
    }
    let mut openssl = program::command("openssl");
    openssl.args([
        "x509",
        "-new",
        "-subj",
        "/CN=someone",
        "-days",
        "2",
        "-force_pubkey",
    ]);
    openssl
        .arg(public_key)
        .arg("-signkey")
        .arg(&authority)
        .arg("-out")
        .arg(&certificate);
    run(&mut openssl).success();
    card.import_certificate(slot, &certificate);
}

/// Signs with a key through a module, and has OpenSSL verify it.
fn signs(card: &Card, module: &str, id: &str, mechanism: &str, public_key: &std::path::Path) {
    fs::write(card.folder().join("data"), module).unwrap();
    let mut tool = card.command("pkcs11-tool");
    tool.args([
        "--module", module, "--login", "--pin", PIN, "--sign", "--id", id,
    ])
    .args(["--mechanism", mechanism, "--signature-format", "openssl"])
    .args(["--input-file", "data", "--output-file", "signature"]);
    run(&mut tool).success();
    let mut openssl = card.command("openssl");
    openssl.args(["dgst", "-sha256", "-signature", "signature", "-verify"]);
    run(openssl.arg(public_key).arg("data")).success();
}

#[test]
fn keys_of_the_card_sign_through_both_modules() {
    let card = Card::new();
    for (slot, id, algorithm, mechanism) in [
        ("9a", "01", "ECCP256", "ECDSA-SHA256"),
        ("9c", "02", "RSA2048", "SHA256-RSA-PKCS"),
        ("9d", "03", "ECCP384", "ECDSA-SHA256"),
    ] {
        let public_key = card.generate(slot, algorithm, &[]);
        certify(&card, slot, &public_key);
        signs(&card, YKCS11, id, mechanism, &public_key);
        if slot != "9d" {
            signs(&card, OPENSC, id, mechanism, &public_key);
        }
    }
}

#[test]
fn the_third_wrong_pin_locks_and_the_puk_unlocks() {
    let card = Card::new();
    let verify = |pin: &str| {
        run(card
            .command("yubico-piv-tool")
            .args(["-a", "verify-pin", "-P", pin]))
    };
    for left in [2, 1, 0] {
        verify("999999").failure();
        assert_eq!(card.tries_left(), left);
    }
    verify(PIN).failure();
    card.tool(&["-a", "unblock-pin", "-P", PUK, "-N", "654321"]);
    verify("654321").success();
    card.tool(&["-a", "change-pin", "-P", "654321", "-N", PIN]);
    verify(PIN).success();
    assert_eq!(card.tries_left(), 3);
}

#[test]
fn it_is_the_same_card_when_it_is_inserted_again() {
    let mut card = Card::new();
    let serial = card.serial();
    card.generate("9a", "ECCP256", &[]);
    card.remove();
    run(card.command("yubico-piv-tool").args(["-a", "status"])).failure();
    card.insert();
    assert_eq!(card.serial(), serial);
    card.tool(&["-a", "attest", "-s", "9a"]);

    card.stop_pcscd();
    run(card.command("yubico-piv-tool").args(["-a", "status"])).failure();
    card.start_pcscd();
    card.insert();
    assert_eq!(card.serial(), serial);

    let first = card.take_away();
    card.insert();
    assert_ne!(card.serial(), serial);
    card.remove();
    card.bring_back(first);
    card.insert();
    assert_eq!(card.serial(), serial);
}

#[test]
fn a_management_key_of_each_kind_administers() {
    let card = Card::new();
    let ykman = |arguments: &[&str]| run(card.ykman().arg("piv").args(arguments));
    let mut current = MANAGEMENT_KEY.to_owned();
    for (algorithm, length) in [("AES128", 16), ("AES192", 24), ("AES256", 32), ("TDES", 24)] {
        let next: String = (0..length)
            .map(|byte| format!("{:02x}", byte * 7 + 3))
            .collect();
        let change = ["access", "change-management-key", "-a", algorithm];
        ykman(&[&change[..], &["-m", &current, "-n", &next]].concat()).success();
        let generate = ["keys", "generate", "-a", "ECCP256", "9a", "9a.pub.pem"];
        ykman(&[&generate[..], &["-m", &next]].concat()).success();
        let refused = ykman(&[&generate[..], &["-m", &current]].concat()).failure();
        assert!(refused.contains("management key failed"), "{refused}");
        current = next;
    }
}

#[test]
fn a_key_may_want_a_touch() {
    let card = Card::new();
    let finger = card.finger();
    let public_key = card.generate("9a", "ECCP256", &["--touch-policy=always"]);
    certify(&card, "9a", &public_key);
    fs::write(card.folder().join("data"), "data").unwrap();
    let mut tool = card.command("pkcs11-tool");
    tool.args(["--module", YKCS11, "--login", "--pin", PIN])
        .args(["--sign", "--id", "01", "--mechanism", "ECDSA-SHA256"])
        .args(["--input-file", "data", "--output-file", "signature"]);
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| run(&mut tool));
        finger.wait().touch();
        signing.join().unwrap().success();
    });
    std::thread::scope(|scope| {
        let signing = scope.spawn(|| run(&mut tool));
        drop(finger.wait());
        // pkcs11-tool tries once more, with C_SignUpdate.
        drop(finger.wait());
        let refused = signing.join().unwrap().failure();
        assert!(refused.contains("CKR_USER_NOT_LOGGED_IN"), "{refused}");
    });
}

#[test]
fn cards_do_not_see_each_other() {
    let (one, other) = (Card::new(), Card::new());
    assert_ne!(one.serial(), other.serial());
}
