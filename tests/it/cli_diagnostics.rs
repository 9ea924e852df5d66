//! `keystead sign-string` and `keystead read-certificate-data`, checked with OpenSSL.

use serde_json::Value;

use crate::support::openssl::{LEAF, P256, Workshop};
use crate::support::program::{Ran, command, run};

const RSA_2048: &str = "-algorithm RSA -pkeyopt rsa_keygen_bits:2048";
const P521: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-521";

fn keystead(workshop: &Workshop, arguments: &[&str]) -> Ran {
    run(&mut command(&workshop.path(""), arguments))
}

/// Writes the text that is signed with `NAME.key` to the file `text`: a fixed sentence, and the hash
/// of the public key without its algorithm.
fn write_text(workshop: &Workshop, name: &str) {
    workshop.openssl(&format!(
        "pkey -in {name}.key -pubout -outform DER -out spki.der"
    ));
    let spki = workshop.read("spki.der");
    let parsed = keystead::core::x509::PublicKeyInfo::from_der(&spki).expect("a public key");
    workshop.write("hashed", [b"IAM RA", parsed.key].concat());
    workshop.openssl("dgst -sha256 -binary -out digest hashed");
    let sentence = b"AWS Roles Anywhere Credential Helper Signing Test1";
    workshop.write("text", [&sentence[..], &workshop.read("digest")].concat());
}

#[test]
fn every_digest_verifies() {
    let workshop = Workshop::new();
    for (name, algorithm) in [("rsa", RSA_2048), ("p256", P256), ("p521", P521)] {
        let key = format!("--private-key={name}.key");
        workshop.key(name, algorithm);
        write_text(&workshop, name);
        workshop.openssl(&format!("pkey -in {name}.key -pubout -out public.pem"));
        for (digest, openssl) in [
            ("SHA256", "-sha256"),
            ("SHA384", "-sha384"),
            ("SHA512", "-sha512"),
        ] {
            let arguments = ["sign-string", &key, "--format", "text", "--digest", digest];
            let ran = keystead(&workshop, &arguments);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
            workshop.write("signature", hex(&ran.stdout));
            workshop.openssl(&format!(
                "dgst {openssl} -verify public.pem -signature signature text"
            ));
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("ASCII");
            u8::from_str_radix(pair, 16).expect("hexadecimal")
        })
        .collect()
}

#[test]
fn the_formats_hold_the_same_signature() {
    let workshop = Workshop::new();
    // RSA signs alike each time.
    workshop.key("rsa", RSA_2048);
    let text = keystead(
        &workshop,
        &["sign-string", "--key=rsa.key", "--format=text"],
    )
    .stdout;
    let json = keystead(&workshop, &["sign-string", "--key=rsa.key"]).stdout;
    assert_eq!(json, format!("\"{text}\""));
    let mut binary = command(
        &workshop.path(""),
        &["sign-string", "--key=rsa.key", "--format=bin"],
    );
    assert_eq!(binary.output().expect("it runs").stdout, hex(&text));
}

#[test]
fn the_key_in_a_file_with_its_certificate() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.certificate("hub", "hub", "-sha256", LEAF);
    workshop.openssl("pkcs12 -export -in hub.pem -inkey hub.key -passout pass: -out hub.p12");
    let mut permissions = std::fs::metadata(workshop.path("hub.p12"))
        .expect("a file")
        .permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
    std::fs::set_permissions(workshop.path("hub.p12"), permissions).expect("chmod");
    let ran = keystead(&workshop, &["sign-string", "--certificate=hub.p12"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    keystead(&workshop, &["sign-string"]).failed(2, "not given: key");
    keystead(&workshop, &["sign-string", "--key=hub.pem"]).failed(3, "hub.pem");
    keystead(&workshop, &["sign-string", "--key=hub.key", "--digest=MD5"]).failed(2, "MD5");
}

#[test]
fn certificate_data() {
    let workshop = Workshop::new();
    for (name, algorithm, key_type) in [("hub", P256, "EC"), ("rsa", RSA_2048, "RSA")] {
        workshop.key(name, algorithm);
        let file = workshop.certificate(name, name, "-sha256", LEAF);
        let flag = format!("--certificate={}", file.display());
        let ran = keystead(&workshop, &["read-certificate-data", &flag]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.starts_with(&format!(
            "{{\"keyType\":\"{key_type}\",\"certificateData\":\"MII"
        )));
        let data: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let algorithms = ["SHA256", "SHA384", "SHA512"].map(|hash| format!("{key_type}{hash}"));
        assert_eq!(data["supportedAlgorithms"], serde_json::json!(algorithms));
        let hex = workshop.openssl(&format!("x509 -in {name}.pem -noout -serial"));
        let hex = hex.trim().strip_prefix("serial=").expect("a serial number");
        assert_eq!(data["serialNumber"], decimal(hex));
    }
    keystead(&workshop, &["read-certificate-data"]).failed(2, "not given: certificate");
    keystead(
        &workshop,
        &["read-certificate-data", "--certificate=hub.key"],
    )
    .failed(3, "hub.key");
}

/// The decimal form of a hexadecimal number of any length.
fn decimal(hex: &str) -> String {
    let mut digits = vec![0u32];
    for digit in hex.chars().map(|c| c.to_digit(16).expect("hexadecimal")) {
        let mut carry = digit;
        for place in &mut digits {
            carry += *place * 16;
            *place = carry % 10;
            carry /= 10;
        }
        while carry > 0 {
            digits.push(carry % 10);
            carry /= 10;
        }
    }
    digits.iter().rev().map(u32::to_string).collect()
}

#[test]
fn nobody_has_to_read_the_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = command(
        folder.path(),
        &["read-certificate-data", "--certificate=none.pem"],
    )
    .stderr(writer)
    .status()
    .expect("the program starts");
    assert_eq!(status.code(), Some(3));
}
