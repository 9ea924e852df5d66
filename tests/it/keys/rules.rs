//! The certificate rules of Roles Anywhere.

use keystead::backend::algorithm::AlgorithmError;
use keystead::backend::file::read_certificates;
use keystead::core::time::UnixTime;
use keystead::core::x509::Certificate;
use keystead::host::rules::{Violation, check};

use crate::support::openssl::{LEAF, P256, Workshop};

fn violations(workshop: &Workshop, now: Option<UnixTime>) -> Vec<Violation> {
    let certificates = read_certificates(&workshop.path("hub.pem")).unwrap();
    check(&Certificate::from_der(&certificates[0]).unwrap(), now)
}

/// A certificate that signs itself is judged like any other: by its own fields.
fn certificate(sign: &str, extensions: &str) -> Workshop {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.certificate("hub", "hub", sign, extensions);
    workshop
}

#[test]
fn each_rule_by_itself() {
    let weak = |hash| Violation::Signature(AlgorithmError::WeakHash(hash));
    for (sign, extensions, violation) in [
        ("-sha256", LEAF, None),
        ("-sha512", "keyUsage=digitalSignature,keyEncipherment", None),
        (
            "-sha256",
            "basicConstraints=CA:TRUE\nkeyUsage=digitalSignature",
            Some(Violation::Ca),
        ),
        (
            "-sha256",
            "basicConstraints=CA:FALSE",
            Some(Violation::NoKeyUsage),
        ),
        (
            "-sha256",
            "keyUsage=keyAgreement",
            Some(Violation::NoDigitalSignature),
        ),
        ("-sha1", LEAF, Some(weak("SHA-1"))),
        ("-sha224", LEAF, Some(weak("SHA-224"))),
    ] {
        let found = violations(&certificate(sign, extensions), None);
        assert_eq!(found, Vec::from_iter(violation), "{sign} {extensions}");
    }
}

#[test]
fn weak_rsa_signatures() {
    let workshop = Workshop::new();
    workshop.key("hub", "-algorithm RSA -pkeyopt rsa_keygen_bits:2048");
    for (sign, hash) in [
        ("-md5", "MD5"),
        ("-sha1", "SHA-1"),
        ("-sha1 -sigopt rsa_padding_mode:pss", "SHA-1"),
        (
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_mgf1_md:sha1",
            "SHA-1",
        ),
    ] {
        workshop.certificate("hub", "hub", sign, LEAF);
        assert_eq!(
            violations(&workshop, None),
            [Violation::Signature(AlgorithmError::WeakHash(hash))],
            "{sign}"
        );
    }
    let pss = "-sha384 -sigopt rsa_padding_mode:pss";
    workshop.certificate("hub", "hub", pss, LEAF);
    assert_eq!(violations(&workshop, None), []);
    let mixed = format!("{pss} -sigopt rsa_mgf1_md:sha512");
    workshop.certificate("hub", "hub", &mixed, LEAF);
    assert_eq!(
        violations(&workshop, None),
        [Violation::Signature(AlgorithmError::Parameters)]
    );
}

#[test]
fn version_1_without_subject_breaks_three_rules() {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.openssl("req -new -key hub.key -subj / -out hub.csr");
    workshop.openssl("x509 -req -in hub.csr -signkey hub.key -out hub.pem");
    assert_eq!(
        violations(&workshop, None),
        [
            Violation::Version(1),
            Violation::NoKeyUsage,
            Violation::EmptySubject
        ]
    );
}

#[test]
fn validity_is_judged_only_with_a_clock() {
    let workshop = certificate("", LEAF);
    let der = read_certificates(&workshop.path("hub.pem"))
        .unwrap()
        .remove(0);
    let leaf = Certificate::from_der(&der).unwrap();
    let (from, since) = (leaf.not_before, leaf.not_after);
    assert_eq!(check(&leaf, Some(from)), []);
    assert_eq!(check(&leaf, Some(since)), []);
    assert_eq!(check(&leaf, None), []);
    let early = from.offset_by(-1);
    let late = since.offset_by(1);
    assert_eq!(
        check(&leaf, Some(early)),
        [Violation::NotYetValid { from, now: early }]
    );
    assert_eq!(
        check(&leaf, Some(late)),
        [Violation::Expired { since, now: late }]
    );
    for violation in check(&leaf, Some(late)) {
        assert!(violation.to_string().contains(&since.to_string()));
        assert!(violation.remedy().contains("renew"));
    }
}
