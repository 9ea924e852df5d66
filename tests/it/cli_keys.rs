//! `keystead key` and `keystead cert` with keys in files, run as a person would.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::openssl::{CA, LEAF, P256, Workshop};
use crate::support::program::{Ran, command, run};

struct Desk(Workshop);

impl Desk {
    fn new() -> Self {
        Self(Workshop::new())
    }

    /// Runs the program with words separated by blanks.
    fn run(&self, arguments: &str) -> Ran {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        run(&mut command(&self.0.path(""), &arguments))
    }

    /// The same for what must succeed without a warning; gives its standard output.
    #[track_caller]
    fn done(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        ran.stdout
    }

    /// A certificate of the test's own authority for a key.
    fn issue(&self, key: &str, to: &str) {
        if !self.0.path("ca").exists() {
            self.done("ca init");
        }
        let request = format!("{to}.csr");
        self.done(&format!(
            "cert request {key} --subject CN={to} --out {request}"
        ));
        self.done(&format!("ca issue --csr {request} --cert {to}.pem"));
    }

    fn mode(&self, name: &str) -> u32 {
        self.0.path(name).metadata().unwrap().permissions().mode() & 0o777
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path("")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn keys_of_every_kind_request_certificates() {
    let desk = Desk::new();
    for (kind, text) in [
        ("ec-p256", "prime256v1"),
        ("p384", "secp384r1"),
        ("p521", "secp521r1"),
        ("rsa-2048", "2048 bit"),
        ("rsa-3072", "3072 bit"),
        ("rsa-4096", "4096 bit"),
    ] {
        let key = format!("{kind}.key");
        assert_eq!(
            desk.done(&format!("key generate {key} --type {kind}")),
            format!("{key}\n")
        );
        assert_eq!(desk.mode(&key), 0o600);
        let shown = desk
            .0
            .openssl(&format!("pkey -in {key} -check -noout -text"));
        assert!(shown.contains(text), "{kind}: {shown}");

        let request =
            format!("cert request file:{key} --subject CN=hub-17,O=Acme --san dns:hub.example");
        desk.0.write("printed", desk.done(&request));
        let verified = desk.0.openssl("req -in printed -verify -noout -text");
        assert!(verified.contains("DNS:hub.example"), "{verified}");
    }
    desk.done("key generate ml.key --type ml-dsa-44");
    desk.issue("ml.key", "ml");
}

#[test]
fn nothing_is_overwritten() {
    let desk = Desk::new();
    desk.done("key generate hub.key");
    let key = desk.0.read("hub.key");
    desk.run("key generate hub.key")
        .failed(2, "hub.key is already there");
    desk.run("key generate file:hub.key --type rsa-2048")
        .failed(2, "hub.key is already there");
    desk.run("cert request hub.key --subject CN=hub --out hub.key")
        .failed(2, "hub.key is already there");
    std::os::unix::fs::symlink("nowhere", desk.0.path("link")).unwrap();
    desk.run("key generate link")
        .failed(2, "link is already there");
    assert_eq!(desk.0.read("hub.key"), key);
    assert_eq!(desk.names(), ["hub.key", "link"]);
}

#[test]
fn from_a_key_to_its_certificate() {
    let desk = Desk::new();
    desk.done("key generate hub.key");
    desk.issue("hub.key", "first");
    let imported = desk.done("cert import hub.key first.pem");
    assert_eq!(imported, "hub.cert.pem\n");
    assert_eq!(desk.mode("hub.cert.pem"), 0o644);
    assert_eq!(desk.0.read("hub.cert.pem"), desk.0.read("first.pem"));
    desk.0
        .openssl("verify -x509_strict -CAfile ca/root.pem hub.cert.pem");

    // The same again is nothing new; another one has to be allowed.
    desk.done("cert import hub.key first.pem");
    desk.issue("hub.key", "second");
    desk.run("cert import hub.key second.pem")
        .failed(2, "hub.cert.pem is already there, with another certificate");
    assert_eq!(desk.0.read("hub.cert.pem"), desk.0.read("first.pem"));
    desk.done("cert import hub.key second.pem --replace");
    assert_eq!(desk.0.read("hub.cert.pem"), desk.0.read("second.pem"));
    desk.done("cert import hub.key first.pem --out elsewhere.pem");
    assert_eq!(desk.0.read("elsewhere.pem"), desk.0.read("first.pem"));

    // What somebody else's certificate is, or none, does not get there.
    desk.done("key generate other.key");
    desk.run("cert import other.key first.pem")
        .failed(3, "no certificate in it is for the private key");
    let key = desk.0.read("other.key");
    for replace in ["", "--replace"] {
        desk.run(&format!(
            "cert import hub.key first.pem --out other.key {replace}"
        ))
        .failed(2, "holds a private key");
        desk.run(&format!(
            "cert import hub.key first.pem --out second.csr {replace}"
        ))
        .failed(2, "holds no certificate");
    }
    assert_eq!(desk.0.read("other.key"), key);
    assert!(!desk.names().contains(&"other.cert.pem".to_owned()));
}

#[test]
fn the_chain_goes_along_in_order() {
    let desk = Desk::new();
    desk.done("ca init --intermediate");
    desk.done("key generate hub.key");
    desk.done("cert request hub.key --subject CN=hub --out hub.csr");
    desk.done("ca issue --csr hub.csr --cert leaf.pem --chain chain.pem");
    let mut mixed = desk.0.read("ca/root.pem");
    mixed.extend(desk.0.read("ca/intermediate.pem"));
    mixed.extend(desk.0.read("leaf.pem"));
    desk.0.write("mixed.pem", mixed);
    desk.done("cert import hub.key mixed.pem");
    assert_eq!(desk.0.read("hub.cert.pem"), desk.0.read("chain.pem"));
}

#[test]
fn encrypted_keys_and_keys_of_identities() {
    let desk = Desk::new();
    desk.0.key("plain", P256);
    desk.0
        .openssl("pkcs8 -topk8 -v2 aes-256-cbc -in plain.key -out hub.key -passout pass:secret");
    fs::set_permissions(desk.0.path("hub.key"), fs::Permissions::from_mode(0o600)).unwrap();
    desk.0.write("password", "secret\n");
    let request = "cert request hub.key --subject CN=hub";
    desk.run(request).failed(4, "no password is given");
    desk.0.write(
        "keystead.toml",
        "[identity.hub]\nkey = 'hub.key'\npassword-source = 'file:password'\n\
         certificate = 'not-there-yet.pem'\n",
    );
    desk.done(&format!("{request} --password-source file:password"));
    let printed = desk.done("cert request --config keystead.toml --identity hub --subject CN=hub");
    desk.0.write("printed", printed);
    desk.0.openssl("req -in printed -verify -noout");
    desk.run("cert request --subject CN=hub")
        .failed(2, "no key is named");
}

#[test]
fn new_keys_are_encrypted_with_a_password() {
    let desk = Desk::new();
    desk.0.write("password", "secret\n");
    for kind in ["ec-p256", "ec-p521", "rsa-2048"] {
        let key = format!("{kind}.key");
        desk.done(&format!(
            "key generate {key} --type {kind} --password-source file:password"
        ));
        let text = desk.0.read(&key);
        assert!(text.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----"));
        desk.0
            .openssl(&format!("pkey -in {key} -passin pass:secret -noout -check"));
        desk.done(&format!(
            "cert request {key} --subject CN=hub --password-source file:password"
        ));
    }
    desk.0.write("empty", "\n");
    desk.run("key generate hub.key --password-source file:empty")
        .failed(4, "empty");
    desk.run("key generate hub.key --password-source file:none")
        .failed(4, "none");
    assert!(!desk.names().contains(&"hub.key".to_owned()));
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let desk = Desk::new();
    desk.done("key generate hub.key");
    for (arguments, code, says) in [
        ("", 2, "--subject"),
        ("--subject /CN=hub", 2, "written with commas"),
        ("--subject CN=hub --san hub.example", 2, "starts with dns:"),
        ("--subject CN=hub --san ip:1.2.3", 2, "not an IP address"),
        ("more --subject CN=hub", 2, "belongs to no flag"),
    ] {
        desk.run(&format!("cert request hub.key {arguments}"))
            .failed(code, says);
    }
    desk.run("cert request none.key --subject CN=hub")
        .failed(3, "none.key");
    desk.run("key generate hub2.key --type dsa")
        .failed(2, "dsa");
    desk.run("key generate").failed(2, "no key is named");
    desk.run("cert import hub.key").failed(2, "CERT");
    assert_eq!(desk.names(), ["hub.key"]);
}

#[test]
fn what_a_certificate_says() {
    let desk = Desk::new();
    desk.done("key generate hub.key");
    desk.done("ca init");
    desk.done("cert request hub.key --subject CN=hub-17,O=Acme --san dns:hub.example --san ip:192.0.2.7 --out csr");
    desk.done("ca issue --csr csr --cert hub.pem");
    let text = desk.done("cert show hub.pem");
    for says in [
        "subject       CN=hub-17,O=Acme\n",
        "issuer        CN=keystead development CA\n",
        "key           EC P-256\n",
        "signed with   ECDSA with SHA-256\n",
        "key usage     digitalSignature\n",
        "purposes      clientAuth\n",
        "names         dns:hub.example\n              ip:192.0.2.7\n",
        "rules         all of Roles Anywhere's are kept\n",
    ] {
        assert!(text.contains(says), "{says} is missing in\n{text}");
    }
    for algorithm in ["sha256", "sha1"] {
        let printed = desk.0.openssl(&format!(
            "x509 -in hub.pem -noout -fingerprint -{algorithm}"
        ));
        let (_, fingerprint) = printed.trim().split_once('=').unwrap();
        assert!(text.contains(fingerprint), "{algorithm}: {text}");
    }

    let shown: Value = serde_json::from_str(&desk.done("cert show hub.pem --json")).unwrap();
    let [certificate] = &shown["certificates"].as_array().unwrap()[..] else {
        panic!("{shown}");
    };
    assert_eq!(certificate["subject"], "CN=hub-17,O=Acme");
    assert_eq!(certificate["subjectAlternativeNames"][1], "ip:192.0.2.7");
    assert_eq!(certificate["violations"], Value::Array(vec![]));
    let serial = desk.0.openssl("x509 -in hub.pem -noout -serial");
    let hex = certificate["serial"].as_str().unwrap().to_uppercase();
    assert_eq!(serial.trim(), format!("serial={hex}"));
}

#[test]
fn standard_input_chains_and_broken_rules() {
    let desk = Desk::new();
    for (name, extensions) in [("root", CA), ("leaf", LEAF)] {
        desk.0.key(name, P256);
        desk.0.certificate(name, "root", "", extensions);
    }
    let mut chain = desk.0.read("leaf.pem");
    chain.extend(desk.0.read("root.pem"));
    let mut show = command(&desk.0.path(""), &["cert", "show", "-"]);
    let mut show = show
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    show.stdin.take().unwrap().write_all(&chain).unwrap();
    let text = String::from_utf8(show.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(text.matches("subject ").count(), 2);
    // The authority is not what is presented: its rules are others.
    assert!(!text.contains("BROKEN RULE"), "{text}");
    let alone = desk.done("cert show root.pem");
    assert!(
        alone.contains("BROKEN RULE   the certificate is a CA's"),
        "{alone}"
    );

    desk.0.write("noise", "nothing");
    desk.run("cert show noise").failed(3, "noise");
    desk.run("cert show none.pem").failed(3, "none.pem");
    desk.run("cert show").failed(2, "no certificate is named");
}
