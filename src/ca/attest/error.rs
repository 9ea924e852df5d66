//! Why a key is not proven to be in a TPM.

use core::fmt;
use std::format;
use std::string::String;

use super::structure::Unreadable;
use crate::backend::attestation::EndorsementError;
use crate::backend::signature::VerifyError;
use crate::core::text::Hex;
use crate::core::time::UnixTime;
use crate::host::pkix::name_text;

/// Why a key is not proven to be in a TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttestError {
    /// Something that a TPM writes cannot be read.
    Malformed {
        /// What: `statement`.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key's public area cannot be read.
    PublicArea {
        /// Which key: `attestation key`.
        key: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The endorsement key is not proven to be that of a trusted maker's TPM.
    Endorsement(EndorsementError),
    /// The endorsement key is none that serves.
    EndorsementKey(&'static str),
    /// A key lacks an attribute: which key, and which attribute.
    Lacks(&'static str, &'static str),
    /// The attestation key does not say how it signs.
    NoScheme,
    /// The authority issued no such challenge, or its answer was used.
    UnknownChallenge,
    /// The challenge is no longer to be answered.
    Expired(UnixTime),
    /// The statement is not of a TPM's making.
    NotGenerated,
    /// The statement is another one: its type.
    NotCertify(u16),
    /// The statement is not signed by the attestation key.
    Signature(VerifyError),
    /// The statement is not over the challenge's nonce.
    Nonce,
    /// The statement certifies another key.
    OtherKey,
    /// The certificate request is for another key.
    OtherRequest,
    /// There are no random numbers.
    Random,
}

impl AttestError {
    /// For `map_err`: the public area of `key` cannot be read.
    pub(super) fn public_area(key: &'static str, Unreadable(reason): Unreadable) -> Self {
        Self::PublicArea { key, reason }
    }

    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<String> {
        let again = "`keystead key attest KEY --request` and `keystead ca challenge` begin anew";
        match self {
            Self::Endorsement(error) => error.remedy(),
            Self::UnknownChallenge | Self::Expired(_) => Some(again.into()),
            Self::Lacks("key", _) => Some(
                "`keystead key generate tpm:…` makes a key in the TPM, which cannot leave it"
                    .into(),
            ),
            Self::OtherRequest => Some(format!(
                "`keystead cert request KEY` makes the request for the key; for another key, {again}"
            )),
            _ => None,
        }
    }
}

impl fmt::Display for AttestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { what, reason } => {
                write!(f, "the TPM's {what} cannot be read: {reason}")
            }
            Self::PublicArea { key, reason } => {
                write!(f, "the {key}'s public area cannot be read: {reason}")
            }
            Self::Endorsement(error) => {
                error.fmt(f)?;
                match error {
                    EndorsementError::Path(path) => {
                        write!(f, " (issuer: {})", name_text(&path.issuer))
                    }
                    _ => Ok(()),
                }
            }
            Self::EndorsementKey(reason) => write!(f, "the endorsement key does not serve: {reason}"),
            Self::Lacks(key, attribute) => write!(
                f,
                "the {key} lacks the attribute {attribute}{}",
                meaning(attribute)
            ),
            Self::NoScheme => f.write_str("the attestation key does not say how it signs"),
            Self::UnknownChallenge => f.write_str(
                "there is no such challenge: another authority's, or one whose answer was used already",
            ),
            Self::Expired(end) => write!(f, "the challenge could be answered until {end}"),
            Self::NotGenerated => {
                f.write_str("the statement is not of a TPM's making (no TPM_GENERATED_VALUE)")
            }
            Self::NotCertify(kind) => write!(
                f,
                "the statement does not certify a key: its type is 0x{}, not TPM_ST_ATTEST_CERTIFY",
                Hex(&kind.to_be_bytes())
            ),
            Self::Signature(VerifyError::Invalid) => {
                f.write_str("the statement is not signed by the attestation key")
            }
            Self::Signature(error) => write!(f, "the statement's signature: {error}"),
            Self::Nonce => f.write_str("the statement is not over this challenge's nonce"),
            Self::OtherKey => f.write_str("the statement certifies another key"),
            Self::OtherRequest => {
                f.write_str("the certificate request is for another key than the one in the TPM")
            }
            Self::Random => f.write_str("the system has no random numbers"),
        }
    }
}

impl core::error::Error for AttestError {}

/// What the lack of an attribute means.
fn meaning(attribute: &str) -> &'static str {
    match attribute {
        "fixedTPM" | "fixedParent" => ": it can be taken out of the TPM",
        "sensitiveDataOrigin" => ": it was imported, and may be elsewhere, too",
        "restricted" => ": it signs what anyone makes up, also what looks like a TPM's statement",
        _ => "",
    }
}

impl From<EndorsementError> for AttestError {
    fn from(error: EndorsementError) -> Self {
        Self::Endorsement(error)
    }
}
