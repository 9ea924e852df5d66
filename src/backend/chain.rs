//! The certificate chain that is sent: leaf first, without the root, every link proven.

use core::fmt;
use std::vec;
use std::vec::Vec;

use super::signature::{VerifyError, verify_with};
use crate::core::identity::same_key;
use crate::core::x509::{Certificate, CertificateError};

/// The most certificates that IAM Roles Anywhere takes beside the leaf (`X-Amz-X509-Chain`).
pub const MAX_INTERMEDIATES: usize = 5;

/// Picks out of `certificates`, in any order, the one for `public_key` (a `SubjectPublicKeyInfo`) and
/// those that lead up from it, by name and by signature. What belongs to neither is left out, and so
/// is the root: the service has its own.
///
/// Of several certificates for the key the newest is the leaf; of several issuers of the same name and
/// key the one that is valid longest is taken.
///
/// # Errors
/// [`ChainError`], if a certificate cannot be read, none is for the key, or the chain is too long.
pub fn build(certificates: &[Vec<u8>], public_key: &[u8]) -> Result<Vec<Vec<u8>>, ChainError> {
    let certificates = certificates
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    // Of equals `max_by_key` takes the last one.
    let leaf = certificates
        .iter()
        .rev()
        .filter(|certificate| same_key(certificate.public_key, public_key))
        .max_by_key(|certificate| certificate.not_before)
        .ok_or(ChainError::NoLeaf)?;

    let mut chain = vec![leaf];
    let mut last = leaf;
    while let Some(issuer) = certificates
        .iter()
        .filter(|candidate| {
            chain.iter().all(|member| member.der != candidate.der)
                && is_issuer(candidate, last) == Some(Ok(()))
                && !is_root(candidate)
        })
        .max_by_key(|candidate| candidate.not_after)
    {
        if chain.len() > MAX_INTERMEDIATES {
            return Err(ChainError::TooLong);
        }
        chain.push(issuer);
        last = issuer;
    }
    Ok(chain
        .into_iter()
        .map(|certificate| certificate.der.to_vec())
        .collect())
}

/// Why `certificate` was left out of `chain`; `None` if it is part of it or issued a part of it (as
/// its root did).
///
/// # Errors
/// [`ChainError::Certificate`], if one cannot be read.
pub fn stray(certificate: &[u8], chain: &[Vec<u8>]) -> Result<Option<Stray>, ChainError> {
    let candidate = Certificate::from_der(certificate)?;
    let mut stray = Stray::Unrelated;
    for member in chain {
        let member = Certificate::from_der(member)?;
        match is_issuer(&candidate, &member) {
            _ if member.der == certificate => return Ok(None),
            Some(Ok(())) => return Ok(None),
            Some(Err(error)) => stray = Stray::NotTheSigner(error),
            None => {}
        }
    }
    Ok(Some(stray))
}

/// How a certificate fails to belong to a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stray {
    /// No certificate of the chain names it as its issuer.
    Unrelated,
    /// It has the issuer's name, but its key did not make the signature.
    NotTheSigner(VerifyError),
}

impl fmt::Display for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unrelated => f.write_str("no certificate of the chain names it as its issuer"),
            Self::NotTheSigner(error) => {
                write!(
                    f,
                    "it has the issuer's name but cannot be proven to be the issuer: {error}"
                )
            }
        }
    }
}

/// Why there is no chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChainError {
    /// No certificate is for the private key.
    NoLeaf,
    /// More than [`MAX_INTERMEDIATES`] certificates lead up from the leaf.
    TooLong,
    /// A certificate cannot be read.
    Certificate(CertificateError),
}

impl ChainError {
    /// What to do about it, where that is known.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::NoLeaf => Some("give the certificate that was issued for this private key"),
            Self::TooLong => Some(
                "leave out the certificates at and above the trust anchor: the service has those",
            ),
            Self::Certificate(_) => None,
        }
    }
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeaf => f.write_str("no certificate in it is for the private key"),
            Self::TooLong => write!(
                f,
                "more than {MAX_INTERMEDIATES} certificates lead up from the leaf, more than IAM Roles Anywhere takes"
            ),
            Self::Certificate(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ChainError {}

impl From<CertificateError> for ChainError {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

/// Whether `issuer` issued `certificate`: `None` by its name, else by the signature.
fn is_issuer(
    issuer: &Certificate<'_>,
    certificate: &Certificate<'_>,
) -> Option<Result<(), VerifyError>> {
    (issuer.subject == certificate.issuer).then(|| {
        verify_with(
            issuer.public_key,
            &certificate.signature_algorithm,
            certificate.tbs,
            certificate.signature,
        )
    })
}

/// Whether a certificate is signed with its own key. One that only bears its issuer's name may be a
/// CA's new key, signed with the old one.
fn is_root(certificate: &Certificate<'_>) -> bool {
    is_issuer(certificate, certificate) == Some(Ok(()))
}
