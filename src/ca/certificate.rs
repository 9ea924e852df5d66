//! What goes into a certificate.

use std::string::String;
use std::vec;
use std::vec::Vec;

use der::asn1::OctetString;
use der::oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode as _, Encode, Sequence};
use sha2::{Digest as _, Sha256};
use x509_cert::Version;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::Validity as Asn1Validity;

use super::validity::asn1_time;
use super::{AlternativeName, Error, Subject, Validity};
use crate::core::x509::PublicKeyInfo;
use crate::host::pkix::pem;

/// id-kp-serverAuth (RFC 5280 section 4.2.1.12).
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// id-kp-clientAuth (RFC 5280 section 4.2.1.12).
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// A certificate authority.
    Authority {
        /// How many authorities may follow below it.
        path_len: u8,
    },
    /// A device, workload or person: what IAM Roles Anywhere takes.
    Client,
    /// A TLS server.
    Server,
}

/// What a certificate says, apart from its key, its serial number and its issuer.
#[derive(Debug, Clone)]
pub struct Template {
    /// What it is for.
    pub usage: Usage,
    /// Whom it names.
    pub subject: Subject,
    /// Further names.
    pub alternative_names: Vec<AlternativeName>,
    /// When it is valid.
    pub validity: Validity,
}

/// `TBSCertificate` (RFC 5280 section 4.1); `x509-cert`'s own has private fields.
#[derive(Sequence)]
pub(super) struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Asn1Validity,
    subject: Name,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

/// Who signs: what a certificate or a CRL says of its issuer.
pub(super) struct Issuer<'a> {
    pub(super) name: &'a Name,
    pub(super) public_key: &'a [u8],
    pub(super) algorithm: AlgorithmIdentifierOwned,
}

impl TbsCertificate {
    /// A certificate of `template` for `public_key` (DER `SubjectPublicKeyInfo`).
    pub(super) fn new(
        template: &Template,
        public_key: &[u8],
        serial_number: SerialNumber,
        issuer: &Issuer<'_>,
    ) -> Result<Self, Error> {
        Ok(Self {
            version: Version::V3,
            serial_number,
            signature: issuer.algorithm.clone(),
            issuer: issuer.name.clone(),
            validity: Asn1Validity::new(
                asn1_time(template.validity.not_before)?,
                asn1_time(template.validity.not_after)?,
            ),
            subject: template.subject.name().clone(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(public_key)?,
            extensions: template.extensions(public_key, issuer)?,
        })
    }
}

impl Template {
    /// A certificate without further names.
    pub fn new(usage: Usage, subject: Subject, validity: Validity) -> Self {
        Self {
            usage,
            subject,
            alternative_names: Vec::new(),
            validity,
        }
    }

    fn extensions(&self, public_key: &[u8], issuer: &Issuer<'_>) -> Result<Extensions, Error> {
        let (ca, path_len_constraint) = match self.usage {
            Usage::Authority { path_len } => (true, Some(path_len)),
            Usage::Client | Usage::Server => (false, None),
        };
        let (key_usage, purpose) = match self.usage {
            Usage::Authority { .. } => (KeyUsages::KeyCertSign | KeyUsages::CRLSign, None),
            Usage::Client => (KeyUsages::DigitalSignature.into(), Some(CLIENT_AUTH)),
            Usage::Server => (KeyUsages::DigitalSignature.into(), Some(SERVER_AUTH)),
        };
        let mut extensions = vec![
            critical(&BasicConstraints {
                ca,
                path_len_constraint,
            })?,
            critical(&KeyUsage(key_usage))?,
        ];
        if let Some(purpose) = purpose {
            extensions.push(extension(&ExtendedKeyUsage(vec![purpose]))?);
        }
        extensions.push(extension(&SubjectKeyIdentifier(key_identifier(
            public_key,
        )?))?);
        extensions.push(authority_key_identifier(issuer.public_key)?);
        if !self.alternative_names.is_empty() {
            let names = self.alternative_names.iter().map(|name| name.0.clone());
            extensions.push(extension(&SubjectAltName(names.collect()))?);
        }
        Ok(extensions)
    }
}

/// The extension by which certificates and CRLs name their issuer's key.
pub(super) fn authority_key_identifier(public_key: &[u8]) -> Result<Extension, Error> {
    extension(&AuthorityKeyIdentifier {
        key_identifier: Some(key_identifier(public_key)?),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    })
}

/// The first 160 bits of the SHA-256 of the key (RFC 7093 section 2, method 1).
fn key_identifier(public_key: &[u8]) -> Result<OctetString, Error> {
    let key = PublicKeyInfo::from_der(public_key).map_err(|_| Error::PublicKey)?;
    Ok(OctetString::new(&Sha256::digest(key.key)[..20])?)
}

/// An extension that a reader may skip.
pub(super) fn extension<T: AssociatedOid + Encode>(value: &T) -> Result<Extension, Error> {
    Ok(Extension {
        extn_id: T::OID,
        critical: false,
        extn_value: OctetString::new(value.to_der()?)?,
    })
}

/// An extension that every reader must know.
fn critical<T: AssociatedOid + Encode>(value: &T) -> Result<Extension, Error> {
    Ok(Extension {
        critical: true,
        ..extension(value)?
    })
}

/// A certificate as a PEM block.
///
/// # Errors
/// [`Error::Encoding`] if it is longer than PEM can be.
pub fn certificate_pem(der: &[u8]) -> Result<String, Error> {
    Ok(pem("CERTIFICATE", der)?)
}
