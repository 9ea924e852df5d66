//! `keystead credential-process` with certificate and key in a token, in every way to name them.

use hsm_tests::hub::{ID, assert_credentials};
use hsm_tests::softhsm::{MODULE, PIN};
use hsm_tests::{Hub, program, run};
use keystead::backend::pkcs11::KeyAlgorithm;

/// Runs a session with the right PIN; it succeeds and warns of nothing.
#[track_caller]
fn succeeds(hub: &Hub, arguments: &[&str]) {
    let mut session = hub.session(arguments);
    session.args(["--password-source", "env:HUB_PIN"]);
    let finished = run(session.env("HUB_PIN", PIN));
    assert_eq!(finished.stderr, "", "{arguments:?}");
    assert_credentials(&finished.success());
}

/// Runs a session with the right PIN, which fails with this exit code. Gives the error.
#[track_caller]
fn fails(hub: &Hub, code: i32, arguments: &[&str]) -> String {
    let mut session = hub.session(arguments);
    session.args(["--password-source", "env:HUB_PIN"]);
    let finished = run(session.env("HUB_PIN", PIN));
    assert_eq!(finished.code, Some(code), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    finished.stderr
}

#[test]
fn certificate_and_key_are_each_in_a_file_or_in_the_token() {
    let hub = Hub::new();
    let uri = hub.uri("object=hub-0001");
    let key_file = hub.device.key.to_str().unwrap();
    let certificate_file = hub.device.certificate.to_str().unwrap();
    let intermediates = hub.device.intermediates.to_str().unwrap();
    // The key is found by its certificate; the chain comes from the token.
    succeeds(&hub, &["--certificate", &uri]);
    succeeds(&hub, &["--certificate", &uri, "--key", &uri]);
    succeeds(&hub, &["--certificate", &uri, "--private-key", key_file]);
    succeeds(
        &hub,
        &[
            "--certificate",
            certificate_file,
            "--intermediates",
            intermediates,
            "--private-key",
            &uri,
        ],
    );
    // Of all certificates of the token only one is for this key and is named.
    succeeds(&hub, &["--certificate", &hub.uri("id=%11")]);
}

#[test]
fn a_module_for_each_of_them() {
    let hub = Hub::new();
    let certificate = hub.uri(&format!("object=hub-0001?module-path={MODULE}"));
    let key = hub.uri("object=hub-0001?module-name=softhsm2");
    let mut session = hub.bare_session(&["--certificate", &certificate, "--key", &key]);
    let finished = run(session
        .args(["--pin-source", "env:HUB_PIN"])
        .env("HUB_PIN", PIN));
    assert_credentials(&finished.success());
    // p11-kit's proxy is there without anything being said.
    let uri = hub.uri("object=hub-0001");
    let mut session = hub.bare_session(&["--certificate", &uri]);
    let finished = run(session
        .args(["--pin-source", "env:HUB_PIN"])
        .env("HUB_PIN", PIN));
    assert_credentials(&finished.success());
}

#[test]
fn what_is_in_the_configuration_counts_as_well() {
    let hub = Hub::new();
    hub.lab.write("pin", PIN);
    hub.lab.write(
        "keystead.toml",
        &format!(
            "[identity.hub]\ncertificate = {:?}\npkcs11-lib = {MODULE:?}\n",
            hub.uri("object=hub-0001?pin-source=./pin")
        ),
    );
    let mut session = hub.bare_session(&["--config", "keystead.toml"]);
    assert_credentials(&run(&mut session).success());
}

#[test]
fn several_matches_are_listed_by_their_uris() {
    let hub = Hub::new();
    // The certificate decides between keys of one label, and the key between certificates.
    hub.hsm.generate(KeyAlgorithm::P256, 0x12, "hub-0001", &[]);
    let label = hub.uri("object=hub-0001");
    succeeds(
        &hub,
        &["--certificate", &hub.uri("id=%11"), "--key", &label],
    );
    let certificates = hub.uri("type=cert");
    let key = hub.uri("id=%11");
    hub.hsm.delete("cert", 0x30);
    succeeds(&hub, &["--certificate", &certificates, "--key", &key]);
    let key_file = hub.device.key.to_str().unwrap();
    succeeds(&hub, &["--certificate", &certificates, "--key", key_file]);

    // A second identity, and nothing that says which is meant.
    let key = hub.lab.folder().join("other.key");
    program::private_key("EC:P-256", &key);
    let certificate = hub.lab.folder().join("other.der");
    program::self_signed(&key, "/CN=other", &certificate);
    hub.hsm.import(&key, 0x13, "hub-0001");
    hub.hsm.write_certificate(&certificate, 0x13, "hub-0001");
    let error = fails(&hub, 3, &["--certificate", &label]);
    for id in ["id=%11", "id=%13"] {
        assert!(error.contains(&format!("object=hub-0001;{id}")), "{error}");
    }
    assert!(
        error.contains("name one of them by its whole URI"),
        "{error}"
    );
}

#[test]
fn certificates_of_several_tokens_are_told_apart_by_the_key() {
    let hub = Hub::new();
    let second = hub.hsm.add_token("second");
    let key = hub.lab.folder().join("other.key");
    program::private_key("EC:P-256", &key);
    let certificate = hub.lab.folder().join("other.der");
    program::self_signed(&key, "/CN=other", &certificate);
    second.import(&key, 0x11, "hub-0001");
    second.write_certificate(&certificate, 0x11, "hub-0001");

    let both = "pkcs11:object=hub-0001";
    succeeds(&hub, &["--certificate", both, "--key", &hub.uri("id=%11")]);
    let key_file = hub.device.key.to_str().unwrap();
    succeeds(&hub, &["--certificate", both, "--key", key_file]);
    let error = fails(&hub, 3, &["--certificate", both]);
    for serial in [&hub.hsm.serial, &second.serial] {
        assert!(error.contains(serial.as_str()), "{error}");
    }
    // As AWS's helper lists them.
    let mut read = hub
        .lab
        .keystead(&["read-certificate-data", "--certificate", both]);
    let finished = run(hub.hsm.configure(&mut read).args(["--pkcs11-lib", MODULE]));
    let listed = finished.success();
    assert!(listed.contains("1) ") && listed.contains("2) "), "{listed}");
    assert!(
        listed.contains(&hub.hsm.serial) && listed.contains(&second.serial),
        "{listed}"
    );
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let hub = Hub::new();
    let error = fails(&hub, 3, &["--certificate", "pkcs11:token=nowhere"]);
    assert!(
        error.contains("no token is pkcs11:token=nowhere"),
        "{error}"
    );
    assert!(error.contains(&hub.hsm.serial), "{error}");
    let error = fails(&hub, 3, &["--certificate", &hub.uri("object=none")]);
    assert!(error.contains("no certificate is "), "{error}");
    assert!(error.contains("object=hub-0001"), "{error}");
    // A key that is not the certificate's.
    hub.hsm.generate(KeyAlgorithm::P256, 0x12, "other", &[]);
    let certificate = hub.device.certificate.to_str().unwrap();
    let key = hub.uri("object=other");
    fails(&hub, 3, &["--certificate", certificate, "--key", &key]);
    let uri = hub.uri("object=hub-0001?module-path=/none.so");
    let error = fails(&hub, 3, &["--certificate", &uri]);
    assert!(error.contains("/none.so cannot be loaded"), "{error}");
}

#[test]
fn a_certificate_is_judged_wherever_it_is() {
    let hub = Hub::new();
    // OpenSSL's are CA certificates.
    let error = fails(&hub, 3, &["--certificate", &hub.uri("object=stray")]);
    assert!(error.contains("CA:TRUE"), "{error}");
    assert!(error.contains("object=stray"), "{error}");
}

#[test]
fn hardware_is_what_a_module_claims() {
    let hub = Hub::new();
    let uri = hub.uri("object=hub-0001");
    let arguments = ["--certificate", &uri, "--require-hardware"];
    let error = fails(&hub, 3, &arguments);
    for claim in [
        "CKF_HW_SLOT",
        "CKA_ALWAYS_SENSITIVE",
        "CKA_NEVER_EXTRACTABLE",
        "CKA_LOCAL",
    ] {
        assert!(error.contains(claim), "{error}");
    }
    assert!(!error.contains("CKA_SENSITIVE"), "{error}");
}

#[test]
fn keys_that_may_leave_the_token_are_named() {
    let hub = Hub::new();
    hub.hsm.delete("privkey", ID);
    hub.hsm.import_extractable(&hub.device.key, ID, "hub-0001");
    let uri = hub.uri("object=hub-0001");
    let mut session = hub.session(&["--certificate", &uri, "--pin-source=env:HUB_PIN"]);
    let finished = run(session.env("HUB_PIN", PIN));
    assert!(
        finished.stderr.contains("CKA_EXTRACTABLE"),
        "{}",
        finished.stderr
    );
    assert_credentials(&finished.success());
}

#[test]
fn the_helpers_own_command_lines() {
    let hub = Hub::new();
    let helper = hub.lab.folder().join("aws_signing_helper");
    std::os::unix::fs::symlink(program::keystead(), &helper).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = hub.lab.at_home(program::command(&helper));
        hub.hsm.configure(&mut command);
        command.args(arguments);
        run(&mut command)
    };
    let uri = hub.uri(&format!("object=hub-0001?pin-value={PIN}"));
    let signed = start(&[
        "sign-string",
        "--certificate",
        &uri,
        "--private-key",
        &uri,
        "--pkcs11-lib",
        MODULE,
        "--reuse-pin",
        "--format",
        "text",
        "--digest",
        "SHA256",
    ]);
    assert!(signed.stderr.contains("pin-value shows the PIN"));
    assert!(!signed.stderr.contains(PIN), "{}", signed.stderr);
    assert!(signed.success().starts_with("30"));

    let uri = hub.uri("object=hub-0001;type=cert");
    let read = start(&[
        "read-certificate-data",
        "--certificate",
        &uri,
        "--pkcs11-lib",
        MODULE,
    ]);
    let said = read.success();
    let fingerprint = run(program::command("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha1", "-in"])
        .arg(&hub.device.certificate))
    .success();
    let (_, fingerprint) = fingerprint.trim().split_once('=').unwrap();
    let fingerprint = fingerprint.replace(':', "").to_lowercase();
    let (head, uri) = said.split_once("\n\tURI: ").unwrap();
    assert_eq!(
        head,
        format!("Matching identities\n1) {fingerprint} \"CN=hub-0001\"")
    );
    assert!(uri.starts_with("pkcs11:"), "{uri}");
    assert!(uri.contains(&hub.hsm.serial), "{uri}");
}

#[test]
fn a_module_in_a_process_of_its_own_does_the_same() {
    let hub = Hub::new();
    let uri = hub.uri("object=hub-0001");
    succeeds(&hub, &["--certificate", &uri, "--isolate"]);
    let error = fails(&hub, 3, &["--certificate", "pkcs11:token=no", "--isolate"]);
    assert!(error.contains("no token is pkcs11:token=no"), "{error}");
    let error = fails(
        &hub,
        3,
        &["--certificate", &hub.uri("object=stray"), "--isolate"],
    );
    assert!(error.contains("CA:TRUE"), "{error}");
}
