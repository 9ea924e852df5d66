//! The certificates of endorsement keys (TCG EK Credential Profile for TPM Family 2.0, section 3).

use core::fmt;
use std::borrow::ToOwned as _;
use std::string::String;
use std::vec::Vec;

use der::asn1::OctetStringRef;
use der::oid::ObjectIdentifier;
use der::{Decode as _, Reader as _, SliceReader};

use crate::backend::path::{self, NoPath};
use crate::core::identity::same_key;
use crate::core::time::UnixTime;
use crate::core::x509::{Certificate, CertificateError, PublicKeyInfo, oid};

/// tcg-kp-EKCertificate (EK Credential Profile, section 3.2.16).
const EK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");
/// id-RSAES-OAEP (RFC 8017), which some makers write for rsaEncryption.
const RSAES_OAEP: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.7");

const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// The extensions that may be critical: each of them is looked at, or says nothing that counts here
/// (subjectAltName names the TPM's model, certificatePolicies the maker's statements).
const KNOWN: [ObjectIdentifier; 5] = [
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    EXTENDED_KEY_USAGE,
];

/// An endorsement key that was proven to be that of a TPM of a trusted maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsed {
    /// The issuer of its certificate, a DER `Name`.
    pub issuer: Vec<u8>,
    /// The serial number of its certificate, big-endian.
    pub serial: Vec<u8>,
}

/// Proves that `certificate` is that of an endorsement key, by the maker of a TPM that one of `roots`
/// stands for, valid at `now`, and for the key `public_key` (a DER `SubjectPublicKeyInfo`).
///
/// `chain` are certificates that may lead to a root, in any order. Of all of them DER.
///
/// # Errors
/// [`EndorsementError`], by what is wrong.
pub fn verify_endorsement(
    certificate: &[u8],
    chain: &[Vec<u8>],
    roots: &[Vec<u8>],
    public_key: &[u8],
    now: UnixTime,
) -> Result<Endorsed, EndorsementError> {
    let leaf = Certificate::from_der(certificate)?;
    let anchors = roots
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()
        .map_err(EndorsementError::Root)?;
    // The maker's list in the TPM may hold what we cannot read, and need not.
    let candidates = chain
        .iter()
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect();
    if now < leaf.not_before {
        return Err(EndorsementError::NotYetValid(leaf.not_before));
    }
    if now > leaf.not_after {
        return Err(EndorsementError::Expired(leaf.not_after));
    }
    if leaf.basic_constraints.is_some_and(|basic| basic.ca) {
        return Err(EndorsementError::Authority);
    }
    if !is_for_endorsement(&leaf)? {
        return Err(EndorsementError::Purpose);
    }
    let path = path::find(&leaf, candidates, anchors, now).map_err(EndorsementError::Path)?;
    path.iter().try_for_each(no_unknown_extension)?;
    if !is_for_key(&leaf, public_key) {
        return Err(EndorsementError::OtherKey);
    }
    Ok(Endorsed {
        issuer: leaf.issuer.to_owned(),
        serial: leaf.serial.to_owned(),
    })
}

/// An extension (RFC 5280 section 4.1).
struct Extension<'a> {
    id: ObjectIdentifier,
    critical: bool,
    value: &'a [u8],
}

fn extensions<'a>(certificate: &Certificate<'a>) -> Result<Vec<Extension<'a>>, EndorsementError> {
    let read = || {
        let mut reader = SliceReader::new(certificate.extensions)?;
        let mut extensions = Vec::new();
        while !reader.is_finished() {
            extensions.push(reader.sequence(|fields| {
                Ok::<_, der::Error>(Extension {
                    id: ObjectIdentifier::decode(fields)?,
                    critical: Option::<bool>::decode(fields)?.unwrap_or(false),
                    value: <&OctetStringRef>::decode(fields)?.as_bytes(),
                })
            })?);
        }
        Ok(extensions)
    };
    read().map_err(|_: der::Error| EndorsementError::Certificate(CertificateError::Extension))
}

fn no_unknown_extension(certificate: &Certificate<'_>) -> Result<(), EndorsementError> {
    let unknown = extensions(certificate)?
        .into_iter()
        .find(|extension| extension.critical && !KNOWN.contains(&extension.id));
    match unknown {
        Some(extension) => Err(EndorsementError::Critical(extension.id)),
        None => Ok(()),
    }
}

fn is_for_endorsement(leaf: &Certificate<'_>) -> Result<bool, EndorsementError> {
    let Some(usage) = extensions(leaf)?
        .into_iter()
        .find(|extension| extension.id == EXTENDED_KEY_USAGE)
    else {
        return Ok(false);
    };
    Vec::<ObjectIdentifier>::from_der(usage.value)
        .map(|purposes| purposes.contains(&EK_CERTIFICATE))
        .map_err(|_| EndorsementError::Certificate(CertificateError::Extension))
}

/// Whether the certificate is for a key (a `SubjectPublicKeyInfo`).
fn is_for_key(leaf: &Certificate<'_>, public_key: &[u8]) -> bool {
    let (Ok(certified), Ok(key)) = (
        PublicKeyInfo::from_der(leaf.public_key),
        PublicKeyInfo::from_der(public_key),
    ) else {
        return false;
    };
    if certified.algorithm.oid == RSAES_OAEP {
        return key.algorithm.oid == oid::RSA && certified.key == key.key;
    }
    same_key(leaf.public_key, public_key)
}

/// Why an endorsement key is not proven to be a TPM's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndorsementError {
    /// The certificate cannot be read.
    Certificate(CertificateError),
    /// One of the roots cannot be read.
    Root(CertificateError),
    /// The certificate is not valid yet.
    NotYetValid(UnixTime),
    /// The certificate is no longer valid.
    Expired(UnixTime),
    /// The certificate is an authority's.
    Authority,
    /// The certificate is none for endorsement keys.
    Purpose,
    /// A certificate of the chain has a critical extension that is not known here.
    Critical(ObjectIdentifier),
    /// No root stands for it.
    Path(NoPath),
    /// The certificate is for another key.
    OtherKey,
}

impl From<CertificateError> for EndorsementError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl fmt::Display for EndorsementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => {
                write!(f, "the endorsement key's certificate: {error}")
            }
            Self::Root(error) => write!(f, "a root of endorsement keys: {error}"),
            Self::NotYetValid(from) => {
                write!(f, "the endorsement key's certificate is valid only from {from}")
            }
            Self::Expired(end) => {
                write!(f, "the endorsement key's certificate expired {end}")
            }
            Self::Authority => {
                f.write_str("the endorsement key's certificate is that of an authority")
            }
            Self::Purpose => write!(
                f,
                "the endorsement key's certificate is not for endorsement keys (no extended key \
                 usage {EK_CERTIFICATE})"
            ),
            Self::Critical(id) => write!(
                f,
                "a certificate of the endorsement key's chain has a critical extension that is not \
                 known here: {id}"
            ),
            Self::Path(NoPath { obstacle, .. }) => match obstacle {
                Some(obstacle) => write!(
                    f,
                    "an issuer of the endorsement key's certificate is not to be trusted: {obstacle}"
                ),
                None => f.write_str(
                    "no root that was given issued the endorsement key's certificate, or one above it",
                ),
            },
            Self::OtherKey => {
                f.write_str("the endorsement key's public area is not of the key in its certificate")
            }
        }
    }
}

impl core::error::Error for EndorsementError {}

impl EndorsementError {
    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Path(NoPath { obstacle: None, .. }) => Some(
                "the roots' file holds the certificates of the TPM's maker, and those between them and the \
                 TPM's own: the maker publishes them"
                    .into(),
            ),
            Self::NotYetValid(_) | Self::Expired(_) => {
                Some("check the clock; a maker may have given out a new certificate".into())
            }
            _ => None,
        }
    }
}
