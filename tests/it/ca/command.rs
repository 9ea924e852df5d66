//! `keystead ca`, run as a person would.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::support::openssl::Workshop;
use crate::support::program::{Ran, command, run};

/// A folder with an authority.
struct Desk(Workshop);

impl Desk {
    fn with_authority(flags: &str) -> Self {
        let desk = Self(Workshop::new());
        desk.done(&format!("ca init {flags}"));
        desk
    }

    /// Runs the program with words separated by blanks.
    fn run(&self, arguments: &str) -> Ran {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        run(&mut command(&self.0.path(""), &arguments))
    }

    /// The same for what must succeed; gives its standard output.
    #[track_caller]
    fn done(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(ran.stderr, "");
        ran.stdout
    }

    fn mode(&self, name: &str) -> u32 {
        let metadata = self.0.path(name).metadata().unwrap();
        metadata.permissions().mode() & 0o777
    }

    fn files(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.0.path(directory)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn show(&self) -> Value {
        serde_json::from_str(&self.done("ca show --json")).unwrap()
    }
}

#[test]
fn from_nothing_to_a_revoked_certificate() {
    let desk = Desk::with_authority("--subject CN=Root,O=Acme --intermediate");
    assert_eq!(
        desk.files("ca"),
        [
            "index.json",
            "intermediate.key",
            "intermediate.pem",
            "root.key",
            "root.pem"
        ]
    );
    let issued = desk
        .done("ca issue --subject CN=hub-17,O=Acme --san dns:a.example --san uri:urn:b --out hub");
    assert!(
        issued
            .contains("keystead credential-process --certificate hub/chain.pem --key hub/key.pem"),
        "{issued}"
    );
    let verify = "verify -x509_strict -CAfile ca/root.pem -untrusted hub/chain.pem";
    desk.0.openssl(&format!("{verify} hub/cert.pem"));
    assert_eq!(
        desk.0
            .openssl("x509 -in hub/cert.pem -noout -subject -ext subjectAltName"),
        "subject=CN = hub-17, O = Acme\nX509v3 Subject Alternative Name: \n    DNS:a.example, URI:urn:b\n"
    );

    let shown = desk.show();
    let serial = shown["certificates"][0]["serial"].as_str().unwrap();
    assert_eq!(
        desk.0.openssl("x509 -in hub/cert.pem -noout -serial"),
        format!("serial={}\n", serial.to_uppercase())
    );
    assert_eq!(shown["certificates"][0]["status"], "valid");

    desk.done("ca revoke hub/cert.pem --reason superseded");
    desk.done("ca crl");
    desk.0
        .openssl("crl -in ca/crl.pem -noout -CAfile ca/intermediate.pem -verify");
    let refused = desk.0.openssl_fails(&format!(
        "{verify} -crl_check -CRLfile ca/crl.pem hub/cert.pem"
    ));
    assert!(refused.contains("certificate revoked"), "{refused}");
    let shown = desk.show();
    assert_eq!(shown["certificates"][0]["status"], "revoked");
    assert_eq!(shown["certificates"][0]["revoked"]["reason"], "superseded");
    let table = desk.done("ca show");
    assert!(
        table.contains(serial) && table.contains("revoked"),
        "{table}"
    );
}

#[test]
fn who_may_read_what() {
    let desk = Desk::with_authority("");
    desk.done("ca issue --subject CN=hub --out hub");
    for (name, mode) in [
        ("ca", 0o700),
        ("ca/root.key", 0o600),
        ("ca/root.pem", 0o644),
        ("hub", 0o700),
        ("hub/key.pem", 0o600),
        ("hub/cert.pem", 0o644),
        ("hub/chain.pem", 0o644),
    ] {
        assert_eq!(desk.mode(name), mode, "{name}");
    }
}

#[test]
fn each_list_has_a_higher_number() {
    let desk = Desk::with_authority("");
    for number in ["01", "02", "03"] {
        desk.done("ca crl");
        let text = desk.0.openssl("crl -in ca/crl.pem -noout -crlnumber");
        assert_eq!(text, format!("crlNumber=0x{number}\n"));
    }
}

#[test]
fn certificates_for_requests() {
    let desk = Desk::with_authority("");
    let request = "req -new -newkey rsa:2048 -nodes -keyout own.key -out own.csr -text";
    desk.0.openssl(&format!(
        "{request} -subj /O=Acme/CN=own -addext subjectAltName=DNS:own.example -addext basicConstraints=critical,CA:TRUE"
    ));
    let issued = desk.done("ca issue --csr own.csr --cert own.pem");
    assert!(
        issued.starts_with("O=Acme,CN=own: certificate "),
        "{issued}"
    );
    desk.0
        .openssl("verify -x509_strict -CAfile ca/root.pem own.pem");
    assert_eq!(
        desk.0.openssl("pkey -in own.key -pubout"),
        desk.0.openssl("x509 -in own.pem -noout -pubkey")
    );
    let text = desk.0.openssl("x509 -in own.pem -noout -text");
    assert!(text.contains("DNS:own.example"), "{text}");
    // What a certificate is for is not the requester's to say.
    assert!(
        text.contains("CA:FALSE") && !text.contains("CA:TRUE"),
        "{text}"
    );

    // Flags count before the request; DER does as well.
    desk.0.openssl("req -in own.csr -outform DER -out own.der");
    desk.done("ca issue --csr own.der --subject CN=other --san dns:other.example --out other");
    assert_eq!(desk.files("other"), ["cert.pem", "chain.pem"]);
    let text = desk.0.openssl("x509 -in other/cert.pem -noout -text");
    assert!(text.contains("Subject: CN = other\n"), "{text}");
    assert!(
        text.contains("DNS:other.example") && !text.contains("own.example"),
        "{text}"
    );
}

#[test]
fn a_certificate_without_its_chain_is_used_with_the_intermediate() {
    let desk = Desk::with_authority("--intermediate");
    let alone = desk.run("ca issue --subject CN=a --cert a.pem --key a.key");
    assert!(
        alone
            .stdout
            .contains("--key a.key --intermediates ca/intermediate.pem "),
        "{}",
        alone.stdout
    );
    let chained = desk.run("ca issue --subject CN=b --out b");
    assert!(
        !chained.stdout.contains("--intermediates"),
        "{}",
        chained.stdout
    );
}

#[test]
fn requests_that_are_refused() {
    let desk = Desk::with_authority("");
    desk.0.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj /CN=a -outform DER -out good.der");
    let mut der = desk.0.read("good.der");
    // The subject `a` becomes `b`; the signature stays.
    let common_name = b"\x06\x03\x55\x04\x03\x0c\x01a";
    let at = der
        .windows(common_name.len())
        .position(|window| window == common_name)
        .unwrap();
    der[at + common_name.len() - 1] = b'b';
    desk.0.write("changed.der", der);
    desk.0
        .openssl("req -new -newkey ed25519 -nodes -keyout k -subj /CN=a -out ed25519.csr");
    desk.0
        .openssl("req -new -newkey rsa:1024 -nodes -keyout k -subj /CN=a -out weak.csr");
    desk.0.openssl("req -new -newkey ec -pkeyopt ec_paramgen_curve:secp256k1 -nodes -keyout k -subj /CN=a -out koblitz.csr");
    desk.0.write("text.csr", "no request");
    for (name, says) in [
        (
            "changed.der",
            "not signed by its own key: the signature is wrong",
        ),
        (
            "ed25519.csr",
            "signature algorithm 1.3.101.112 is not supported",
        ),
        ("weak.csr", "its RSA key has 1024 bits"),
        ("koblitz.csr", "its key is of a kind that"),
        ("text.csr", "not a PKCS#10 certificate request"),
        ("ca/root.pem", "no PEM block `CERTIFICATE REQUEST`"),
        ("missing.csr", "missing.csr"),
        ("ca", "directory"),
    ] {
        let ran = desk.run(&format!("ca issue --csr {name} --out out"));
        ran.failed(3, says);
        assert!(!desk.0.path("out").exists(), "{name}");
    }
    assert_eq!(desk.show()["certificates"], Value::Array(vec![]));
}

#[test]
fn nothing_is_overwritten() {
    let desk = Desk::with_authority("");
    let before = desk.0.read("ca/root.pem");
    desk.run("ca init")
        .failed(2, "ca/root.pem is already there");
    assert_eq!(desk.0.read("ca/root.pem"), before);

    // One of three files is there: the other two do not come.
    fs::create_dir(desk.0.path("hub")).unwrap();
    desk.0.write("hub/chain.pem", "mine");
    desk.run("ca issue --subject CN=hub --out hub")
        .failed(2, "hub/chain.pem is already there");
    assert_eq!(desk.files("hub"), ["chain.pem"]);
    assert_eq!(desk.0.read("hub/chain.pem"), b"mine");
    desk.run("ca issue --subject CN=hub --cert a --key a")
        .failed(2, "a is already there");
    assert!(!desk.0.path("a").exists());
    assert_eq!(desk.show()["certificates"], Value::Array(vec![]));
}

/// A file system of two blocks, and one that cannot be written to. Both need a mount namespace, which
/// some systems give to nobody but root.
#[test]
fn a_full_or_read_only_disk_is_left_as_it_was() {
    let namespace = |arguments: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount"]).args(arguments);
        unshare
    };
    if !namespace(&["true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("skipped: `unshare --map-root-user --mount` is not allowed here");
        return;
    }
    for (options, says) in [("size=8k", "No space left"), ("size=8k,ro", "Read-only")] {
        let workshop = Workshop::new();
        let script = r#"
            mount -t tmpfs -o "$2" tmpfs "$3" && cd "$3" || exit 99
            "$1" ca init
            echo "exit code $?"
            find . -mindepth 1
        "#;
        let folder = workshop.path("");
        let ran = run(namespace(&["sh", "-c", script, "sh"])
            .arg(env!("CARGO_BIN_EXE_keystead"))
            .arg(options)
            .arg(&folder));
        assert_eq!(ran.stdout, "exit code 1\n", "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}

#[test]
fn revocations_that_are_refused() {
    let desk = Desk::with_authority("");
    desk.done("ca issue --subject CN=hub --out hub");
    desk.done("ca init --dir other");
    desk.done("ca issue --dir other --subject CN=hub --out theirs");
    desk.run("ca revoke 00ff")
        .failed(2, "no certificate with the serial number ff");
    desk.run("ca revoke theirs/cert.pem")
        .failed(2, "issued no certificate with the serial number");
    desk.run("ca revoke hub/key.pem").failed(3, "hub/key.pem");
    desk.run("ca revoke missing.pem").failed(3, "missing.pem");
    desk.done("ca revoke hub/cert.pem");
    desk.run("ca revoke hub/cert.pem")
        .failed(2, "is revoked since");
    desk.run("ca revoke hub/cert.pem --reason bored")
        .failed(2, "invalid value 'bored'");
}

#[test]
fn flags_that_make_no_sense() {
    let desk = Desk::with_authority("--validity 30d");
    for (arguments, says) in [
        ("ca issue --subject CM=hub --out hub", "did you mean CN?"),
        (
            "ca issue --subject CN=hub --san hub.example --out hub",
            "starts with dns:",
        ),
        (
            "ca issue --subject CN=hub --key-type dsa --out hub",
            "invalid value 'dsa'",
        ),
        (
            "ca issue --subject CN=hub --validity soon --out hub",
            "a duration is",
        ),
        (
            "ca issue --subject CN=hub --validity 0d --out hub",
            "valid for no time",
        ),
        (
            "ca issue --subject CN=hub --out hub",
            "would outlive the authority",
        ),
        ("ca issue --out hub", "the certificate has no subject"),
        ("ca issue --subject CN=hub", "no place for the certificate"),
        (
            "ca issue --subject CN=hub --cert hub.pem",
            "no file for the new private key",
        ),
        ("ca issue --subject CN=hub --out hub --key hub.key", "--key"),
        (
            "ca show --dir elsewhere",
            "there is no certificate authority in elsewhere",
        ),
        ("ca", "subcommand"),
    ] {
        desk.run(arguments).failed(2, says);
    }
    assert_eq!(desk.files(""), ["ca"]);
}

#[test]
fn an_authority_that_was_tampered_with() {
    let desk = Desk::with_authority("");
    desk.done("ca init --dir other");
    fs::copy(desk.0.path("other/root.key"), desk.0.path("ca/root.key")).unwrap();
    desk.run("ca show")
        .failed(3, "the authority's key is not its certificate's");
    let desk = Desk::with_authority("");
    desk.0.write("ca/index.json", "{\"crlNumber\": -1}");
    desk.run("ca crl").failed(1, "ca/index.json cannot be read");
    assert!(!desk.0.path("ca/crl.pem").exists());
}

#[test]
fn issuing_at_the_same_time_loses_nothing() {
    let desk = Desk::with_authority("");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let desk = &desk;
            scope.spawn(move || {
                desk.done(&format!(
                    "ca issue --subject CN=hub-{number} --out hub-{number}"
                ))
            });
        }
    });
    assert_eq!(desk.show()["certificates"].as_array().unwrap().len(), 8);
}
