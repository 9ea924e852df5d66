//! `keystead token`, `key` and `cert` over SoftHSM, run as a person would, and judged by tools that were
//! not written here.

use std::fs;
use std::path::Path;

use hsm_tests::fault::{Effect, Fault, When, sys};
use hsm_tests::softhsm::{MODULE, PIN, SoftHsm};
use hsm_tests::{FaultModule, Finished, lab, program, run};
use keystead::backend::pkcs11::KeyAlgorithm;
use serde_json::Value;

/// A token, and the program with its PIN in a file.
struct Desk(SoftHsm);

impl Desk {
    fn new(label: &str) -> Self {
        let hsm = SoftHsm::new(label);
        fs::write(hsm.folder().join("pin"), format!("{PIN}\n")).unwrap();
        lab::restrict(&hsm.folder().join("pin"));
        Self(hsm)
    }

    /// The program with words separated by blanks, which knows the module.
    fn run(&self, arguments: &str) -> Finished {
        let keystead = program::keystead();
        let mut command = self.0.command(keystead.to_str().unwrap());
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.folder())
            .env("HOME", self.0.folder())
            .env("KEYSTEAD_PKCS11_LIB", MODULE);
        run(&mut command)
    }

    /// The same with the PIN, for what must succeed; gives what it printed, without the line's end.
    #[track_caller]
    fn done(&self, arguments: &str) -> String {
        let ran = self.run(&format!("{arguments} --pin-source file:pin"));
        assert_eq!(ran.stderr, "");
        ran.success().trim_end().to_owned()
    }

    /// The same for what must fail, with the exit code; gives the error.
    #[track_caller]
    fn refused(&self, arguments: &str, code: i32) -> String {
        let ran = self.run(&format!("{arguments} --pin-source file:pin"));
        assert_eq!(ran.stdout, "");
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        ran.stderr
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.folder().join(name)
    }

    #[track_caller]
    fn openssl(&self, arguments: &str) -> String {
        let mut command = self.0.command("openssl");
        command
            .args(arguments.split_whitespace())
            .current_dir(self.0.folder());
        let ran = run(&mut command);
        // What it verified is on standard error.
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout + &ran.stderr
    }

    /// A certificate of the test's own authority for a key.
    fn issue(&self, key: &str, name: &str) {
        if !self.path("ca").exists() {
            self.run("ca init").success();
        }
        self.done(&format!(
            "cert request {key} --subject CN={name} --out {name}.csr"
        ));
        self.run(&format!("ca issue --csr {name}.csr --cert {name}.pem"))
            .success();
    }
}

#[test]
fn requests_of_every_kind_of_key() {
    let desk = Desk::new("kinds");
    for kind in ["p256", "p384", "p521", "rsa-2048", "rsa-3072", "rsa-4096"] {
        let uri = desk.done(&format!(
            "key generate pkcs11:token=kinds;object={kind} --type {kind}"
        ));
        assert!(
            uri.starts_with("pkcs11:") && uri.contains(&desk.0.serial),
            "{uri}"
        );
        let request = format!("cert request {uri} --subject CN={kind},O=Acme --san uri:urn:a");
        fs::write(desk.path("printed"), desk.done(&request) + "\n").unwrap();
        let verified = desk.openssl("req -in printed -verify -noout -subject");
        assert!(verified.contains("verify OK"), "{verified}");
        assert!(
            verified.contains(&format!("CN = {kind}, O = Acme")),
            "{verified}"
        );
    }
    // ML-DSA keys are made in files only.
    let error = desk.refused("key generate pkcs11:token=kinds --type ml-dsa-44", 2);
    assert!(error.contains("ml-dsa-44"), "{error}");
}

#[test]
fn certificates_are_imported_by_their_rules() {
    let desk = Desk::new("import");
    let hub = desk.done("key generate pkcs11:token=import;object=hub");
    let other = desk.done("key generate pkcs11:token=import;object=other");
    desk.issue(&hub, "first");
    desk.issue(&hub, "second");

    let error = desk.refused(&format!("cert import {other} first.pem"), 3);
    assert!(error.contains("for another key"), "{error}");
    let uri = desk.done(&format!("cert import {hub} first.pem"));
    assert!(
        uri.contains("type=cert") && uri.contains("object=hub"),
        "{uri}"
    );
    assert_eq!(desk.done(&format!("cert import {hub} first.pem")), uri);
    let error = desk.refused(&format!("cert import {hub} second.pem"), 3);
    assert!(error.contains("--replace"), "{error}");
    let shown = desk.run(&format!("cert show {uri}")).success();
    assert!(shown.contains("subject       CN=first\n"), "{shown}");
    desk.done(&format!("cert import {hub} second.pem --replace"));
    let shown = desk.run(&format!("cert show {uri} --json")).success();
    let shown = lab::json(&shown);
    assert_eq!(shown["certificates"][0]["subject"], "CN=second");
    assert_eq!(shown["certificates"][0]["uri"], *uri);

    let error = desk.refused(&format!("cert import {hub} first.pem --out x.pem"), 2);
    assert!(error.contains("--out"), "{error}");
    // The key itself and its certificate make an identity.
    let signed = desk.done(&format!("sign-string --certificate {uri} --format text"));
    assert!(signed.len() > 100, "{signed}");
}

#[test]
fn a_pin_that_is_missing_or_wrong() {
    let desk = Desk::new("pin");
    let ran = desk.run("key generate pkcs11:token=pin;object=hub");
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("--password-source"), "{}", ran.stderr);
    fs::write(desk.path("wrong"), "4321").unwrap();
    let wrong = "key generate pkcs11:token=pin;object=hub --pin-source file:wrong";
    for says in ["was refused", "was refused before"] {
        let ran = desk.run(wrong);
        assert_eq!(ran.code, Some(4), "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    // It may be the PIN itself that was given.
    let ran = desk.run("key generate pkcs11:token=pin;object=hub --so-pin-source 12345678");
    assert_eq!(ran.code, Some(2));
    assert!(!ran.stderr.contains("12345678"), "{}", ran.stderr);
    let ran = desk.run("key generate pkcs11:token=pin;object=hub?pin-value=1234 --strict");
    assert_eq!(ran.code, Some(2));
    assert!(!ran.stderr.contains("1234"), "{}", ran.stderr);
}

#[test]
fn what_is_listed_is_what_other_tools_see() {
    let desk = Desk::new("list");
    desk.0.add_token("other");
    desk.0
        .generate(KeyAlgorithm::P256, 1, "ours", &["--always-auth"]);
    desk.0
        .generate(KeyAlgorithm::Rsa(2048), 2, "an RSA key", &["--extractable"]);
    program::private_key("EC:P-384", &desk.path("soft.key"));
    program::self_signed(
        &desk.path("soft.key"),
        "/CN=soft/O=Acme",
        &desk.path("soft.der"),
    );
    desk.0.write_certificate(&desk.path("soft.der"), 3, "soft");

    let all = lab::json(&desk.run("token list --json").success());
    assert_eq!(all["module"], MODULE);
    let slots = all["slots"].as_array().unwrap();
    // SoftHSM always has one more slot, with a token that is not set up.
    assert_eq!(slots.len(), 3, "{all}");
    let set_up = |slot: &&Value| slot["token"]["initialized"] == true;
    assert_eq!(slots.iter().filter(set_up).count(), 2);
    let ours = |all: &Value| {
        let slots = all["slots"].as_array().unwrap();
        let ours = slots.iter().find(|slot| slot["id"] == desk.0.slot);
        ours.unwrap().clone()
    };
    let slot = ours(&all);
    assert_eq!(slot["token"]["serial"], *desk.0.serial);
    assert_eq!(slot["token"]["loggedIn"], false);
    assert_eq!(slot["token"]["userPin"], "ok");
    assert_eq!(
        slot["keys"],
        Value::Array(vec![]),
        "private keys need a login"
    );
    assert_eq!(slot["certificates"][0]["subject"], "CN=soft,O=Acme");
    let mechanisms = slot["token"]["mechanisms"].as_array().unwrap();
    for name in [
        "CKM_ECDSA",
        "CKM_SHA256_RSA_PKCS",
        "CKM_RSA_PKCS_KEY_PAIR_GEN",
    ] {
        assert!(mechanisms.contains(&name.into()), "{name}: {mechanisms:?}");
    }

    let logged_in = lab::json(&desk.done(&format!("token list {} --json", desk.0.uri())));
    let slot = ours(&logged_in);
    assert_eq!(logged_in["slots"].as_array().unwrap().len(), 1);
    assert_eq!(slot["token"]["loggedIn"], true);
    let keys = slot["keys"].as_array().unwrap();
    let key = |kind: &str| keys.iter().find(|key| key["kind"] == kind).unwrap();
    assert_eq!(key("EC P-256")["alwaysAuthenticate"], true);
    assert_eq!(key("EC P-256")["extractable"], false);
    assert_eq!(key("RSA 2048")["extractable"], true);

    // GnuTLS's tool writes the same URIs, with attributes in another order.
    let sorted = |uri: &str| {
        let mut attributes: Vec<_> = uri.trim_start_matches("pkcs11:").split(';').collect();
        attributes.sort_unstable();
        attributes.join(";").to_lowercase()
    };
    let listed = |flag| {
        let text = desk.0.p11tool(&[flag, "--only-urls"], &desk.0.uri());
        let uris = text.lines().filter(|line| line.starts_with("pkcs11:"));
        let mut uris: Vec<_> = uris.map(sorted).collect();
        uris.sort();
        uris
    };
    let ours = |member: &str| {
        let objects = slot[member].as_array().unwrap().iter();
        let mut uris: Vec<_> = objects
            .map(|one| sorted(one["uri"].as_str().unwrap()))
            .collect();
        uris.sort();
        uris
    };
    assert_eq!(ours("keys"), listed("--list-all-privkeys"));
    assert_eq!(ours("certificates"), listed("--list-all-certs"));

    let text = desk.done(&format!("token list {}", desk.0.uri()));
    for says in [
        "EC P-256, cannot leave the token, wants the PIN for each signature",
        "RSA 2048, EXTRACTABLE",
        "CN=soft,O=Acme, until ",
        "needed to log in; nothing is wrong with it",
    ] {
        assert!(text.contains(says), "{says} is missing in\n{text}");
    }
    let text = desk.run("token list").success();
    assert!(text.contains("only after a login"), "{text}");
    assert!(text.contains("not set up"), "{text}");
}

/// `type=` counts: what is neither of a key pair nor its certificate is nobody's identity.
#[test]
fn a_uri_of_another_class_is_no_key_and_no_certificate() {
    let desk = Desk::new("class");
    let key = desk.done("key generate pkcs11:token=class;object=hub");
    desk.issue(&key, "hub");
    let certificate = desk.done(&format!("cert import {key} hub.pem"));
    for (class, keys, certificates) in [("private", 1, 0), ("cert", 0, 1), ("data", 0, 0)] {
        let uri = format!("pkcs11:token=class;type={class}");
        let all = lab::json(&desk.done(&format!("token list {uri} --json")));
        let slot = &all["slots"][0];
        let count = |member: &str| slot[member].as_array().unwrap().len();
        assert_eq!((count("keys"), count("certificates")), (keys, certificates));
    }
    // A key's URI names its certificate as well, and the other way round.
    desk.done(&format!("sign-string --key {certificate}"));
    desk.done(&format!("sign-string --certificate {key}"));
    for class in ["data", "secret-key"] {
        let uri = format!("pkcs11:token=class;object=hub;type={class}");
        let error = desk.refused(&format!("sign-string --key {uri}"), 3);
        assert!(error.contains("no private key is"), "{error}");
        let error = desk.refused(&format!("sign-string --certificate {uri}"), 3);
        assert!(error.contains("no certificate is"), "{error}");
        let error = desk.refused(
            &format!("key generate pkcs11:token=class;object=new;type={class}"),
            3,
        );
        assert!(error.contains("type="), "{error}");
    }
}

#[test]
fn a_pin_is_tried_on_one_token_alone() {
    let desk = Desk::new("first");
    desk.0.add_token("second");
    let ran = desk.run("token list --pin-source file:pin");
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("2 tokens are meant"), "{}", ran.stderr);
    assert!(ran.stdout.contains("token        second"), "{}", ran.stdout);

    // A wrong PIN hides nothing that is public, and is not tried twice.
    fs::write(desk.path("wrong"), "4321").unwrap();
    for says in ["was refused", "was refused before"] {
        let ran = desk.run("token list pkcs11:token=first --pin-source file:wrong");
        assert_eq!(ran.code, Some(0));
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
        assert!(ran.stdout.contains("PROBLEM"), "{}", ran.stdout);
    }
    let ran = desk.run("token list pkcs11:token=first");
    assert!(
        ran.stdout.contains("a wrong one was given"),
        "{}",
        ran.stdout
    );
    let ran = desk.run("token list --pkcs11-lib /no/module.so");
    assert_eq!(ran.code, Some(3));
    assert!(ran.stderr.contains("/no/module.so"), "{}", ran.stderr);
    assert_eq!(desk.run("token list hub.pem").code, Some(2));
}

#[test]
fn a_slot_that_cannot_be_read_hides_no_other() {
    let desk = Desk::new("good");
    desk.0.add_token("bad");
    let mut module = FaultModule::new(desk.0.folder(), "fault", MODULE);
    for function in ["C_GetTokenInfo", "C_GetMechanismList", "C_OpenSession"] {
        module.heal();
        module.fail(Fault::new(
            function,
            When::Nth(2),
            Effect::Return(sys::CKR_DEVICE_ERROR),
        ));
        let list = format!("token list --json --pkcs11-lib {}", module.path().display());
        let ran = desk.run(&list);
        let says = format!("{function}: CKR_DEVICE_ERROR");
        assert!(ran.stderr.contains(&says), "{}", ran.stderr);
        let listed = lab::json(&ran.success());
        let slots = listed["slots"].as_array().unwrap();
        let broken = slots.iter().filter(|slot| !slot["problem"].is_null());
        assert_eq!((slots.len(), broken.count()), (3, 1), "{listed}");
    }
}

/// The module in a process of its own changes nothing.
#[test]
fn all_of_it_in_a_process_of_its_own() {
    let desk = Desk::new("isolated");
    let key = desk.done("key generate pkcs11:token=isolated;object=hub --isolate");
    let request = format!("cert request {key} --subject CN=hub --out hub.csr --isolate");
    desk.done(&request);
    desk.openssl("req -in hub.csr -verify -noout");
    desk.run("ca init").success();
    desk.run("ca issue --csr hub.csr --cert hub.pem").success();
    let uri = desk.done(&format!("cert import {key} hub.pem --isolate"));
    let shown = desk.run(&format!("cert show {uri} --isolate")).success();
    assert!(shown.contains("CN=hub"), "{shown}");
    let list = "token list pkcs11:token=isolated --json";
    assert_eq!(desk.done(&format!("{list} --isolate")), desk.done(list));
    let error = desk.refused("key generate pkcs11:token=isolated;object=hub --isolate", 3);
    assert!(error.contains("--allow-duplicate"), "{error}");
}

/// From nothing to an object in S3, with a key that never was anywhere but in its token, and no other
/// tool until the AWS command line.
#[test]
fn from_a_new_key_to_an_object_in_s3() {
    let desk = Desk::new("hub");
    let key = desk.done(&format!(
        "key generate pkcs11:token=hub;object=hub-17?module-path={MODULE}&pin-source=file:{}",
        desk.path("pin").display()
    ));
    // The URI that was printed says all that is needed.
    desk.run("ca init").success();
    desk.run(&format!(
        "cert request {key} --subject CN=hub-17,O=Acme --out hub.csr"
    ))
    .success();
    desk.run("ca issue --csr hub.csr --cert hub.pem").success();
    let certificate = desk.run(&format!("cert import {key} hub.pem")).success();

    fs::write(desk.path("reading.json"), "{}").unwrap();
    let sandbox = program::keystead();
    let mut command = desk.0.command(sandbox.to_str().unwrap());
    command
        .args(["sandbox", "--ca", "ca", "--state", "state"])
        .args(["--certificate", certificate.trim_end(), "--key", &key, "--"])
        .arg(program::client("aws"))
        .args(["s3", "cp", "--no-progress", "reading.json"])
        .arg("s3://sensor-logs/sensors/hub-17/reading.json")
        .current_dir(desk.0.folder())
        .env("HOME", desk.0.folder());
    run(&mut command).success();
    let object = "state/objects/sensor-logs/sensors/hub-17/reading.json";
    assert_eq!(fs::read(desk.path(object)).unwrap(), b"{}");
    assert_no_key_file(desk.0.folder());
}

/// Nothing that keystead wrote holds a private key but the authority's own.
fn assert_no_key_file(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let contents = fs::read(&path).unwrap();
            let found = String::from_utf8_lossy(&contents).contains("PRIVATE KEY");
            assert!(!found, "{}", path.display());
        }
    }
}
