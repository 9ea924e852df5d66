//! What a certificate says, for people and for programs.

use core::fmt::{self, Write as _};
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

use der::oid::{AssociatedOid as _, ObjectIdentifier};
use der::{Decode as _, Reader as _, SliceReader};
use ring::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use serde_json::{Value, json};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};

use super::{AlternativeName, name_text};
use crate::backend::algorithm::SignatureAlgorithm;
use crate::core::text::{Hex, Printable};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::rules::{self, Violation};
use crate::host::serial::Serial;

/// What a certificate says. Its [`Display`](fmt::Display) is a block of lines `NAME  VALUE`.
#[derive(Debug, Clone)]
pub struct Description<'a> {
    certificate: &'a Certificate<'a>,
    subject: String,
    issuer: String,
    key: String,
    algorithm: String,
    key_usage: Vec<&'static str>,
    purposes: Vec<String>,
    names: Vec<AlternativeName>,
    violations: Vec<Violation>,
    /// Whether every extension that is described could be read.
    is_whole: bool,
}

impl<'a> Description<'a> {
    /// Describes a certificate, and judges by the rules of IAM Roles Anywhere whether it can be used
    /// at `now`.
    pub fn new(certificate: &'a Certificate<'a>, now: UnixTime) -> Self {
        let mut description = Self {
            certificate,
            subject: name_text(certificate.subject),
            issuer: name_text(certificate.issuer),
            key: match certificate.key_kind() {
                Some(kind) => kind.to_string(),
                None => String::from("of a kind that Roles Anywhere does not take"),
            },
            algorithm: match SignatureAlgorithm::from_identifier(&certificate.signature_algorithm) {
                Ok(algorithm) => algorithm.to_string(),
                Err(error) => error.to_string(),
            },
            key_usage: Vec::new(),
            purposes: Vec::new(),
            names: Vec::new(),
            violations: rules::check(certificate, Some(now)),
            is_whole: true,
        };
        // What cannot be read does not keep the rest from being shown.
        description.is_whole = description.read_extensions().is_ok();
        description
    }

    fn read_extensions(&mut self) -> der::Result<()> {
        let mut reader = SliceReader::new(self.certificate.extensions)?;
        while !reader.is_finished() {
            let extension = Extension::decode(&mut reader)?;
            let value = extension.extn_value.as_bytes();
            match extension.extn_id {
                KeyUsage::OID => self.key_usage = usages(KeyUsage::from_der(value)?),
                ExtendedKeyUsage::OID => {
                    let purposes = ExtendedKeyUsage::from_der(value)?.0;
                    self.purposes = purposes.into_iter().map(purpose).collect();
                }
                SubjectAltName::OID => {
                    let names = SubjectAltName::from_der(value)?.0;
                    self.names = names.into_iter().map(AlternativeName).collect();
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The rules of IAM Roles Anywhere that it breaks.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Whether it is a CA's.
    pub fn is_ca(&self) -> bool {
        self.certificate
            .basic_constraints
            .is_some_and(|constraints| constraints.ca)
    }

    /// As a JSON object: `subject`, `issuer`, `serial` (hexadecimal), `notBefore`, `notAfter`, `key`,
    /// `signatureAlgorithm`, `ca`, `keyUsage`, `extendedKeyUsage`, `subjectAlternativeNames`,
    /// `fingerprints` (hexadecimal), and in `violations` the rules that it breaks, each with `rule` and
    /// `remedy`.
    pub fn to_json(&self) -> Value {
        let certificate = self.certificate;
        let hex = |algorithm, bytes| Hex(digest(algorithm, bytes).as_ref()).to_string();
        let violations = self.violations.iter();
        let names = self.names.iter().map(ToString::to_string);
        json!({
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": Serial::new(certificate.serial).to_string(),
            "notBefore": certificate.not_before.to_string(),
            "notAfter": certificate.not_after.to_string(),
            "key": self.key,
            "signatureAlgorithm": self.algorithm,
            "ca": self.is_ca(),
            "keyUsage": self.key_usage,
            "extendedKeyUsage": self.purposes,
            "subjectAlternativeNames": names.collect::<Vec<_>>(),
            "fingerprints": {
                "sha256": hex(&SHA256, certificate.der),
                "sha1": hex(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der),
                "publicKeySha256": hex(&SHA256, certificate.public_key),
            },
            "violations": violations
                .map(|violation| json!({
                    "rule": violation.to_string(),
                    "remedy": violation.remedy(),
                }))
                .collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let certificate = self.certificate;
        let mut line = |name: &str, value: &str| writeln!(f, "{name:<13} {}", Printable(value));
        line("subject", &self.subject)?;
        line("issuer", &self.issuer)?;
        line("serial", &Serial::new(certificate.serial).to_string())?;
        let (from, to) = (certificate.not_before, certificate.not_after);
        line("valid", &format!("{from} to {to}"))?;
        line("key", &self.key)?;
        line("signed with", &self.algorithm)?;
        if self.is_ca() {
            line("authority", "yes")?;
        }
        if !self.key_usage.is_empty() {
            line("key usage", &self.key_usage.join(", "))?;
        }
        if !self.purposes.is_empty() {
            line("purposes", &self.purposes.join(", "))?;
        }
        for (index, name) in self.names.iter().enumerate() {
            line(if index == 0 { "names" } else { "" }, &name.to_string())?;
        }
        if !self.is_whole {
            line("extensions", "one of them cannot be read")?;
        }
        line("SHA-256", &fingerprint(&SHA256, certificate.der))?;
        let sha1 = fingerprint(&SHA1_FOR_LEGACY_USE_ONLY, certificate.der);
        line("SHA-1", &sha1)
    }
}

/// As OpenSSL writes it.
fn fingerprint(algorithm: &'static Algorithm, bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in digest(algorithm, bytes).as_ref() {
        let separator = if text.is_empty() { "" } else { ":" };
        // Writing into a string does not fail.
        let _ = write!(text, "{separator}{byte:02X}");
    }
    text
}

/// The names of RFC 5280 section 4.2.1.3.
fn usages(usage: KeyUsage) -> Vec<&'static str> {
    let mut names = vec![];
    for (flag, name) in [
        (KeyUsages::DigitalSignature, "digitalSignature"),
        (KeyUsages::NonRepudiation, "nonRepudiation"),
        (KeyUsages::KeyEncipherment, "keyEncipherment"),
        (KeyUsages::DataEncipherment, "dataEncipherment"),
        (KeyUsages::KeyAgreement, "keyAgreement"),
        (KeyUsages::KeyCertSign, "keyCertSign"),
        (KeyUsages::CRLSign, "cRLSign"),
        (KeyUsages::EncipherOnly, "encipherOnly"),
        (KeyUsages::DecipherOnly, "decipherOnly"),
    ] {
        if usage.0.contains(flag) {
            names.push(name);
        }
    }
    names
}

/// The name of RFC 5280 section 4.2.1.12, or the number.
fn purpose(oid: ObjectIdentifier) -> String {
    let oid = oid.to_string();
    let name = match oid.as_str() {
        "2.5.29.37.0" => "anyExtendedKeyUsage",
        "1.3.6.1.5.5.7.3.1" => "serverAuth",
        "1.3.6.1.5.5.7.3.2" => "clientAuth",
        "1.3.6.1.5.5.7.3.3" => "codeSigning",
        "1.3.6.1.5.5.7.3.4" => "emailProtection",
        "1.3.6.1.5.5.7.3.8" => "timeStamping",
        "1.3.6.1.5.5.7.3.9" => "OCSPSigning",
        _ => return oid,
    };
    String::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUB: &[u8] = include_bytes!("../../../tests/fixtures/hub.der");

    #[test]
    fn what_is_broken_is_said() {
        let certificate = Certificate::from_der(HUB).unwrap();
        let description = Description::new(&certificate, certificate.not_after.offset_by(1));
        let json = description.to_json();
        assert_eq!(json["subject"], "CN=hub");
        assert_eq!(json["serial"], "f1e2d3c4b5a69788");
        let rules = json["violations"].as_array().unwrap();
        assert_eq!(rules.len(), description.violations().len());
        assert!(
            rules
                .iter()
                .any(|one| one["rule"].as_str().unwrap().contains("expired"))
        );
    }

    /// A subject with an escape sequence for terminals.
    #[test]
    fn a_subject_cannot_steer_a_terminal() {
        let mut der = HUB.to_vec();
        while let Some(at) = der.windows(3).position(|bytes| bytes == b"hub") {
            der[at..at + 3].copy_from_slice(b"\x1b[J");
        }
        let certificate = Certificate::from_der(&der).unwrap();
        let text = Description::new(&certificate, certificate.not_before).to_string();
        assert!(text.contains("CN=\\"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
    }
}
