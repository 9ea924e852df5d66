//! The rules that IAM Roles Anywhere has for end-entity certificates, so that a certificate which the
//! service would refuse (saying little more than "Insufficient certificate") is named here first.
//!
//! They are those of the user guide's trust model, "Signature validation" and "End entity
//! certificates".

use core::fmt;
use std::vec::Vec;

use crate::backend::algorithm::{AlgorithmError, SignatureAlgorithm};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;

/// The rules that a leaf certificate breaks. Without a trustworthy time, `now: None`, validity is not
/// judged.
pub fn check(leaf: &Certificate<'_>, now: Option<UnixTime>) -> Vec<Violation> {
    let key_usage = match leaf.key_usage {
        None => Some(Violation::NoKeyUsage),
        Some(usage) if !usage.digital_signature() => Some(Violation::NoDigitalSignature),
        Some(_) => None,
    };
    let validity = now.and_then(|now| {
        if now < leaf.not_before {
            Some(Violation::NotYetValid {
                from: leaf.not_before,
                now,
            })
        } else if now > leaf.not_after {
            Some(Violation::Expired {
                since: leaf.not_after,
                now,
            })
        } else {
            None
        }
    });
    [
        (leaf.version != 3).then_some(Violation::Version(leaf.version)),
        leaf.basic_constraints
            .is_some_and(|constraints| constraints.ca)
            .then_some(Violation::Ca),
        key_usage,
        SignatureAlgorithm::from_identifier(&leaf.signature_algorithm)
            .err()
            // That we cannot verify it does not mean that the service cannot.
            .filter(|error| !matches!(error, AlgorithmError::SaltLength(_)))
            .map(Violation::Signature),
        (leaf.subject == EMPTY_NAME).then_some(Violation::EmptySubject),
        validity,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A `Name` without any attribute, DER.
const EMPTY_NAME: &[u8] = &[0x30, 0];

/// A rule that a certificate breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Not an X.509 version 3 certificate, but this one.
    Version(u8),
    /// A CA's certificate.
    Ca,
    /// There is no `keyUsage`.
    NoKeyUsage,
    /// `keyUsage` does not include `digitalSignature`.
    NoDigitalSignature,
    /// The issuer signed with a hash that is too weak, or with an algorithm that is not known.
    Signature(AlgorithmError),
    /// The subject has no attributes.
    EmptySubject,
    /// It is too early for the certificate.
    NotYetValid {
        /// The first second of its validity.
        from: UnixTime,
        /// The time that it was compared with.
        now: UnixTime,
    },
    /// It is too late for the certificate.
    Expired {
        /// The last second of its validity.
        since: UnixTime,
        /// The time that it was compared with.
        now: UnixTime,
    },
}

impl Violation {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Version(_) => "have it issued anew with extensions, which makes it version 3",
            Self::Ca => {
                "use an end-entity certificate: have one issued with basicConstraints CA:FALSE"
            }
            Self::NoKeyUsage | Self::NoDigitalSignature => {
                "have it issued anew with keyUsage digitalSignature"
            }
            Self::Signature(_) => {
                "have it issued anew, signed with SHA-256 or stronger, or with ML-DSA"
            }
            Self::EmptySubject => "have it issued anew with a subject, such as a common name",
            Self::NotYetValid { .. } => "check this machine's clock, and the certificate's dates",
            Self::Expired { .. } => {
                "renew the certificate; if it is new, check this machine's clock"
            }
        }
    }
}

/// One sentence that names the rule.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                f,
                "the certificate is X.509 version {version}, and IAM Roles Anywhere takes only version 3"
            ),
            Self::Ca => f.write_str(
                "the certificate is a CA's (basicConstraints CA:TRUE), and IAM Roles Anywhere takes only end entities'",
            ),
            Self::NoKeyUsage => f.write_str(
                "the certificate has no keyUsage, and IAM Roles Anywhere wants digitalSignature in it",
            ),
            Self::NoDigitalSignature => f.write_str(
                "the certificate's keyUsage lacks digitalSignature, which IAM Roles Anywhere wants",
            ),
            Self::Signature(AlgorithmError::WeakHash(hash)) => write!(
                f,
                "the certificate is signed with {hash}, and IAM Roles Anywhere wants SHA-256 or stronger"
            ),
            Self::Signature(error) => {
                write!(f, "the certificate is signed in a way that IAM Roles Anywhere does not take: {error}")
            }
            Self::EmptySubject => f.write_str(
                "the certificate's subject is empty, which IAM Roles Anywhere does not support",
            ),
            Self::NotYetValid { from, now } => {
                write!(f, "the certificate is valid from {from} on, and it is {now} now")
            }
            Self::Expired { since, now } => {
                write!(f, "the certificate expired at {since}, and it is {now} now")
            }
        }
    }
}
