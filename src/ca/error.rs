//! Why the authority did not do what it was asked to do.

use core::fmt;
use std::borrow::ToOwned as _;
use std::io;
use std::path::{Path, PathBuf};

use super::attest::AttestError;
use crate::backend::file::{GenerateError, OpenError};
use crate::core::key::SignError;
use crate::core::time::UnixTime;
use crate::core::x509::CertificateError;
use crate::host::files::FileError;
use crate::host::pkix::SigningError;
use crate::host::serial::Serial;

/// Why the authority did not do what it was asked to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The certificate would outlive the authority that signs it.
    OutlivesAuthority {
        /// Last second of the authority's validity.
        authority_ends: UnixTime,
    },
    /// The certificate would end before it begins.
    Validity,
    /// A key was not made.
    Key(GenerateError),
    /// The public key to certify is not a `SubjectPublicKeyInfo`.
    PublicKey,
    /// The authority's key did not sign.
    Sign(SignError),
    /// What was to be signed has no DER.
    Encoding(der::Error),
    /// A file that was to be new is already there.
    Exists(PathBuf),
    /// The system refused.
    Io {
        /// What was tried, before the path: `cannot write`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no authority in the directory.
    NoAuthority(PathBuf),
    /// The authority's own key or certificate cannot be used.
    Open(OpenError),
    /// A certificate cannot be read.
    Certificate(CertificateError),
    /// The authority's key is not its certificate's.
    KeyMismatch,
    /// The authority's certificate is not one of an authority.
    NotAnAuthority,
    /// The index has no JSON.
    Json(serde_json::Error),
    /// The index cannot be read.
    Index(PathBuf, serde_json::Error),
    /// The authority issued no certificate with this serial number.
    NotIssued(Serial),
    /// The certificate is another authority's.
    OtherAuthority(PathBuf),
    /// The certificate is already revoked.
    AlreadyRevoked(Serial, UnixTime),
    /// A key is not proven to be in a TPM.
    Attestation(AttestError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutlivesAuthority { authority_ends } => write!(
                f,
                "the certificate would outlive the authority, which ends {authority_ends}"
            ),
            Self::Validity => f.write_str("the certificate would end before it begins"),
            Self::Key(error) => error.fmt(f),
            Self::PublicKey => f.write_str("the public key to certify cannot be read"),
            Self::Sign(error) => write!(f, "the authority's key did not sign: {error}"),
            Self::Encoding(error) => write!(f, "the certificate cannot be written: {error}"),
            Self::Exists(path) => write!(f, "{} is already there", path.display()),
            Self::Io { what, path, source } => write!(f, "{what} {}: {source}", path.display()),
            Self::NoAuthority(path) => {
                write!(f, "there is no certificate authority in {}", path.display())
            }
            Self::Open(error) => error.fmt(f),
            Self::Certificate(error) => error.fmt(f),
            Self::KeyMismatch => f.write_str("the authority's key is not its certificate's"),
            Self::NotAnAuthority => {
                f.write_str("the authority's certificate does not say that it is one")
            }
            Self::Json(error) => write!(f, "the index cannot be written: {error}"),
            Self::Index(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::NotIssued(serial) => {
                write!(
                    f,
                    "this authority issued no certificate with the serial number {serial}"
                )
            }
            Self::OtherAuthority(path) => {
                write!(
                    f,
                    "{} is a certificate of another authority",
                    path.display()
                )
            }
            Self::AlreadyRevoked(serial, at) => {
                write!(f, "the certificate {serial} is revoked since {at}")
            }
            Self::Attestation(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

impl Error {
    /// For `map_err`: `what` failed at `path`.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<AttestError> for Error {
    fn from(error: AttestError) -> Self {
        Self::Attestation(error)
    }
}

impl From<CertificateError> for Error {
    fn from(error: CertificateError) -> Self {
        Self::Certificate(error)
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl From<SigningError> for Error {
    fn from(error: SigningError) -> Self {
        match error {
            SigningError::Sign(error) => Self::Sign(error),
            SigningError::Encoding(error) => Self::Encoding(error),
        }
    }
}

impl From<GenerateError> for Error {
    fn from(error: GenerateError) -> Self {
        Self::Key(error)
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Exists(path) => Self::Exists(path),
            FileError::Io { what, path, source } => Self::Io { what, path, source },
        }
    }
}

impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error)
    }
}
