//! Certificates and revocation lists, in memory.

use std::time::{Duration, SystemTime};

use keystead::backend::signature::verify_with;
use keystead::ca::{
    AlternativeName, Authority, Error, Issued, KeyType, PrivateKey, Reason, Revoked, Subject,
    Template, Usage, Validity, certificate_pem,
};
use keystead::core::key::KeyKind;
use keystead::core::time::UnixTime;
use keystead::core::x509::Certificate;
use keystead::host::rules;

use crate::support::openssl::Workshop;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// OpenSSL compares with the real time.
fn now() -> UnixTime {
    UnixTime::from_secs(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

fn root(key_type: KeyType) -> Authority {
    let validity = Validity::starting(now(), 10 * YEAR);
    Authority::new_in_memory(subject("CN=Root,O=Acme"), key_type, validity).unwrap()
}

fn hub() -> Template {
    Template {
        usage: Usage::Client,
        subject: subject("CN=hub-17,O=Acme"),
        alternative_names: Vec::new(),
        validity: Validity::starting(now(), YEAR),
    }
}

/// Writes `root.pem`, `leaf.pem`, `leaf.key`, and `above.pem` with what is between leaf and root.
fn write(workshop: &Workshop, root: &Authority, issued: &Issued) {
    let pem = |der: &[u8]| certificate_pem(der).unwrap();
    workshop.write("root.pem", pem(root.certificate()));
    workshop.write("leaf.pem", pem(&issued.chain[0]));
    let above: String = issued.chain[1..].iter().map(|der| pem(der)).collect();
    workshop.write("above.pem", above);
    workshop.write("leaf.key", issued.key.to_pem().unwrap().as_bytes());
}

fn text(workshop: &Workshop, name: &str) -> String {
    workshop.openssl(&format!("x509 -in {name} -noout -text"))
}

/// What follows `heading` in OpenSSL's text, on the same line or the next one.
fn field<'a>(text: &'a str, heading: &str) -> &'a str {
    let (_, rest) = text.split_once(heading).expect(heading);
    rest.trim_start().lines().next().unwrap().trim()
}

#[test]
fn openssl_verifies_what_every_key_signs() {
    for key_type in [
        KeyType::P256,
        KeyType::P384,
        KeyType::P521,
        KeyType::Rsa2048,
        KeyType::Rsa3072,
        KeyType::Rsa4096,
    ] {
        let workshop = Workshop::new();
        let mut root = root(key_type);
        let issued = root.issue(&hub(), key_type).unwrap();
        write(&workshop, &root, &issued);
        let verified =
            workshop.openssl("verify -x509_strict -purpose sslclient -CAfile root.pem leaf.pem");
        assert_eq!(verified, "leaf.pem: OK\n", "{key_type}");
        workshop.openssl("pkey -in leaf.key -check -noout");
        assert_eq!(
            workshop.openssl("pkey -in leaf.key -pubout"),
            workshop.openssl("x509 -in leaf.pem -noout -pubkey"),
        );
    }
}

/// OpenSSL 3.0 does not know ML-DSA: the signature is checked with the project's own verifier, and
/// OpenSSL checks that the structure is DER.
#[test]
fn ml_dsa() {
    for (key_type, kind) in [
        (KeyType::MlDsa44, KeyKind::MlDsa44),
        (KeyType::MlDsa65, KeyKind::MlDsa65),
        (KeyType::MlDsa87, KeyKind::MlDsa87),
    ] {
        let workshop = Workshop::new();
        let mut root = root(key_type);
        let issued = root.issue(&hub(), key_type).unwrap();
        let leaf = Certificate::from_der(&issued.chain[0]).unwrap();
        let issuer = Certificate::from_der(root.certificate()).unwrap();
        assert_eq!(leaf.key_kind(), Some(kind));
        assert_eq!(
            leaf.signature_algorithm.parameters, b"",
            "absent: RFC 9881 section 2"
        );
        verify_with(
            issuer.public_key,
            &leaf.signature_algorithm,
            leaf.tbs,
            leaf.signature,
        )
        .unwrap();

        write(&workshop, &root, &issued);
        workshop.openssl("asn1parse -in leaf.pem");
        assert_eq!(
            field(&text(&workshop, "leaf.pem"), "X509v3 Key Usage: critical"),
            "Digital Signature"
        );
        // The seed alone: [0] IMPLICIT OCTET STRING (RFC 9881 section 6).
        let key = workshop.openssl("asn1parse -in leaf.key");
        assert!(key.contains("[HEX DUMP]:8020"), "{key}");
    }
}

#[test]
fn what_a_client_certificate_says() {
    let workshop = Workshop::new();
    let mut root = root(KeyType::P256);
    let names = [
        "dns:hub-17.example",
        "uri:urn:hub:17",
        "email:ops@example.com",
        "ip:192.0.2.7",
        "ip:2001:db8::7",
    ];
    let template = Template {
        alternative_names: names.map(|name| name.parse().unwrap()).to_vec(),
        ..hub()
    };
    let issued = root.issue(&template, KeyType::P256).unwrap();
    write(&workshop, &root, &issued);
    let text = text(&workshop, "leaf.pem");
    for (heading, value) in [
        ("Version:", "3 (0x2)"),
        ("Signature Algorithm:", "ecdsa-with-SHA256"),
        ("Issuer:", "CN = Root, O = Acme"),
        ("Subject:", "CN = hub-17, O = Acme"),
        ("X509v3 Basic Constraints: critical", "CA:FALSE"),
        ("X509v3 Key Usage: critical", "Digital Signature"),
        (
            "X509v3 Extended Key Usage:",
            "TLS Web Client Authentication",
        ),
        (
            "X509v3 Subject Alternative Name:",
            "DNS:hub-17.example, URI:urn:hub:17, email:ops@example.com, IP Address:192.0.2.7, \
             IP Address:2001:DB8:0:0:0:0:0:7",
        ),
    ] {
        assert_eq!(field(&text, heading), value, "{text}");
    }
    let leaf = Certificate::from_der(&issued.chain[0]).unwrap();
    assert_eq!(rules::check(&leaf, Some(now())), []);
    let root_text = self::text(&workshop, "root.pem");
    assert_eq!(
        field(&text, "X509v3 Authority Key Identifier:"),
        field(&root_text, "X509v3 Subject Key Identifier:"),
    );
    let serial = field(&text, "Serial Number:").replace(':', "");
    assert_eq!(serial.len(), 32, "16 bytes: {serial}");
    assert!(serial.as_str() < "80", "positive: {serial}");
}

#[test]
fn authorities_say_so() {
    let workshop = Workshop::new();
    let mut root = root(KeyType::P256);
    let key = PrivateKey::generate(KeyType::P384).unwrap();
    let validity = Validity::starting(now(), 2 * YEAR);
    let mut intermediate = root
        .new_intermediate(subject("CN=Issuing,O=Acme"), &key, validity)
        .unwrap();
    let issued = intermediate.issue(&hub(), KeyType::P256).unwrap();
    assert_eq!(issued.chain[1], intermediate.certificate());
    assert_eq!(intermediate.root(), root.certificate());
    write(&workshop, &root, &issued);
    let verified =
        workshop.openssl("verify -x509_strict -CAfile root.pem -untrusted above.pem leaf.pem");
    assert_eq!(verified, "leaf.pem: OK\n");
    for (name, constraints) in [
        ("root.pem", "CA:TRUE, pathlen:1"),
        ("above.pem", "CA:TRUE, pathlen:0"),
    ] {
        let text = text(&workshop, name);
        assert_eq!(
            field(&text, "X509v3 Basic Constraints: critical"),
            constraints
        );
        assert_eq!(
            field(&text, "X509v3 Key Usage: critical"),
            "Certificate Sign, CRL Sign"
        );
    }
}

#[test]
fn server_certificates() {
    let workshop = Workshop::new();
    let mut root = root(KeyType::P256);
    let names = vec![
        AlternativeName::dns("localhost").unwrap(),
        AlternativeName::ip([127, 0, 0, 1].into()),
    ];
    let validity = Validity::starting(now(), YEAR);
    let issued = root
        .issue_server(subject("CN=localhost"), names, validity)
        .unwrap();
    write(&workshop, &root, &issued);
    for name in ["-verify_hostname localhost", "-verify_ip 127.0.0.1"] {
        workshop.openssl(&format!(
            "verify -x509_strict -purpose sslserver {name} -CAfile root.pem leaf.pem"
        ));
    }
}

#[test]
fn no_certificate_outlives_its_authority() {
    let mut root = root(KeyType::P256);
    let mut template = hub();
    template.validity = Validity::starting(now(), 11 * YEAR);
    let error = root.issue(&template, KeyType::P256).unwrap_err();
    assert!(matches!(error, Error::OutlivesAuthority { .. }), "{error}");
    template.validity.not_after = template.validity.not_before;
    let error = root.issue(&template, KeyType::P256).unwrap_err();
    assert!(matches!(error, Error::Validity), "{error}");
}

#[test]
fn revocation_lists() {
    let workshop = Workshop::new();
    let mut root = root(KeyType::P256);
    let issued = root.issue(&hub(), KeyType::P256).unwrap();
    write(&workshop, &root, &issued);
    let serial = Certificate::from_der(&issued.chain[0])
        .unwrap()
        .serial
        .to_vec();
    let check = "verify -crl_check -CAfile root.pem -CRLfile crl.pem leaf.pem";
    let mut list = |number, revoked: &[Revoked]| {
        let next_update = now().offset_by(86_400);
        let list = root
            .revocation_list(number, revoked, now(), next_update)
            .unwrap();
        workshop.write("crl.der", list);
        workshop.openssl("crl -inform DER -in crl.der -out crl.pem -CAfile root.pem -verify");
        workshop.openssl("crl -in crl.pem -noout -text")
    };

    let text = list(1, &[]);
    assert!(text.contains("No Revoked Certificates."), "{text}");
    assert_eq!(field(&text, "X509v3 CRL Number:"), "1");
    assert_eq!(workshop.openssl(check), "leaf.pem: OK\n");

    let reason = Reason::KeyCompromise;
    let at = now();
    let text = list(2, &[Revoked { serial, at, reason }]);
    assert_eq!(field(&text, "X509v3 CRL Number:"), "2");
    assert_eq!(field(&text, "X509v3 CRL Reason Code:"), "Key Compromise");
    let refused = workshop.openssl_fails(check);
    assert!(refused.contains("certificate revoked"), "{refused}");
}
