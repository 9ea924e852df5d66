//! Why a key or certificate file cannot be used, and what to do about it.

use core::fmt;
use std::borrow::ToOwned;
use std::path::{Path, PathBuf};
use std::string::String;
use std::{format, io};

use der::oid::ObjectIdentifier;

use crate::backend::chain::ChainError;
use crate::backend::pem::PemError;
use crate::backend::secret::SecretError;
use crate::core::identity::IdentityError;
use crate::core::x509::CertificateError;

/// Why a file cannot be used.
#[derive(Debug)]
pub struct OpenError {
    path: PathBuf,
    reason: Reason,
}

impl OpenError {
    pub(super) fn new(path: &Path, reason: impl Into<Reason>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the password is what is missing or wrong.
    pub fn concerns_password(&self) -> bool {
        matches!(
            self.reason,
            Reason::PasswordNeeded | Reason::WrongPassword | Reason::Secret(_)
        )
    }

    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<String> {
        let path = self.path.display();
        Some(match &self.reason {
            Reason::LegacyEncryption => {
                format!("convert it: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path} -out {path}.new")
            }
            Reason::OpenSsh => {
                format!("convert a copy of it: ssh-keygen -p -m PKCS8 -f {path}")
            }
            Reason::UnsupportedEncryption(_) => format!(
                "encrypt it anew: openssl pkcs8 -topk8 -v2 aes-256-cbc -in {path} -out {path}.new"
            ),
            Reason::PasswordNeeded => {
                "say where the password comes from: --password-source file:…|env:…|fd:…|cred:…|cmd:…|prompt"
                    .to_owned()
            }
            Reason::Utf16 => "save it as plain ASCII text".to_owned(),
            Reason::UnsupportedKey(_) | Reason::RsaBits(_) | Reason::RsaExponent => {
                "make a new key of a kind that works: EC P-256 is small and fast, RSA 2048, 3072 or 4096 does as well"
                    .to_owned()
            }
            Reason::ExplicitCurve => format!(
                "name the curve: openssl pkey -in {path} -ec_param_enc named_curve -out {path}.new"
            ),
            Reason::Chain(error) => error.remedy()?.to_owned(),
            _ => return None,
        })
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            // It names the file that the password is for.
            Reason::Secret(error) => error.fmt(f),
            reason => write!(f, "{}: {reason}", self.path.display()),
        }
    }
}

impl core::error::Error for OpenError {}

/// The reason without the file's name.
#[derive(Debug)]
pub enum Reason {
    Io(io::Error),
    TooLarge,
    Empty,
    Utf16,
    Pem(PemError),
    /// Neither PEM nor a DER document that is known.
    Unrecognised,
    NoKey,
    SeveralKeys,
    NoCertificate,
    /// There is PEM in it, but not this block.
    NoBlock(&'static str),
    /// There are certificates, in a form that is not read.
    Pkcs7,
    /// A PKCS#12 file where only a key or only certificates are read.
    Pkcs12,
    LegacyEncryption,
    OpenSsh,
    /// A TPM's key file: another backend's.
    Tss2,
    /// A key that Roles Anywhere, or this program, does not take.
    UnsupportedKey(&'static str),
    UnknownKey(ObjectIdentifier),
    UnknownCurve(ObjectIdentifier),
    ExplicitCurve,
    RsaBits(u16),
    RsaExponent,
    RsaPrimes,
    /// The DER of this structure is damaged.
    Malformed(&'static str),
    /// The parts of a private key do not belong together.
    Inconsistent(&'static str),
    UnsupportedEncryption(ObjectIdentifier),
    /// In PKCS#12.
    Pkcs12Algorithm(ObjectIdentifier),
    TooCostly,
    PasswordNeeded,
    PasswordNotUtf8,
    WrongPassword,
    Secret(SecretError),
    /// A certificate, by its place in the file.
    Certificate(usize, CertificateError),
    /// The key is in a PKCS#12 file, and in a second file as well.
    TwoKeys(PathBuf),
    Chain(ChainError),
    Identity(IdentityError),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::TooLarge => f.write_str("it is larger than 1 MiB, too large for keys and certificates"),
            Self::Empty => f.write_str("the file is empty"),
            Self::Utf16 => f.write_str("it is UTF-16 text"),
            Self::Pem(error) => error.fmt(f),
            Self::Unrecognised => f.write_str("it holds neither PEM nor DER that is known"),
            Self::NoKey => f.write_str("there is no private key in it"),
            Self::SeveralKeys => f.write_str("there is more than one private key in it"),
            Self::NoBlock(label) => write!(f, "it has no PEM block `{label}`"),
            Self::NoCertificate => f.write_str("there is no certificate in it"),
            Self::Pkcs7 => f.write_str("its certificates are in PKCS#7 form, which is not read"),
            Self::Pkcs12 => f.write_str("it is a PKCS#12 file, which is given as the certificate"),
            Self::LegacyEncryption => {
                f.write_str("its key is encrypted in the old PEM way (Proc-Type: 4,ENCRYPTED), whose MD5 derivation protects little")
            }
            Self::OpenSsh => f.write_str("its key is in OpenSSH's own form"),
            Self::Tss2 => f.write_str("its key belongs to a TPM (TSS2 PRIVATE KEY)"),
            Self::UnsupportedKey(name) => {
                write!(f, "its key is {name}, which IAM Roles Anywhere does not take")
            }
            Self::UnknownKey(oid) => write!(f, "its key is of the unknown kind {oid}"),
            Self::UnknownCurve(oid) => write!(f, "its key is on the unknown curve {oid}"),
            Self::ExplicitCurve => f.write_str("its key spells its curve out instead of naming it"),
            Self::RsaBits(bits) if *bits < 2048 => {
                write!(f, "its RSA key has only {bits} bits; 2048 is the least that is safe")
            }
            Self::RsaBits(bits) => {
                write!(f, "its RSA key has {bits} bits; 2048, 3072 and 4096 are supported")
            }
            Self::RsaExponent => f.write_str("its RSA key has a public exponent below 65537 or above 2^33"),
            Self::RsaPrimes => f.write_str("its RSA key has more than two primes"),
            Self::Malformed(what) => write!(f, "its {what} is damaged"),
            Self::Inconsistent(what) => write!(f, "the parts of its {what} key do not belong together"),
            Self::UnsupportedEncryption(oid) => {
                write!(f, "its key is encrypted in a way that is not supported ({oid})")
            }
            Self::Pkcs12Algorithm(oid) => {
                write!(f, "this PKCS#12 file is protected in a way that is not supported ({oid})")
            }
            Self::TooCostly => f.write_str("its password derivation asks for more time or memory than any honest writer does"),
            Self::PasswordNeeded => f.write_str("it is encrypted, and no password is given"),
            Self::PasswordNotUtf8 => f.write_str("the password is not UTF-8, as PKCS#12 wants it"),
            Self::WrongPassword => f.write_str("the password is wrong, or the file is damaged"),
            Self::Secret(error) => error.fmt(f),
            Self::Certificate(index, error) => write!(f, "certificate {index}: {error}"),
            Self::TwoKeys(path) => write!(
                f,
                "it holds its own private key, and {} is given as the private key as well",
                path.display()
            ),
            Self::Chain(error) => error.fmt(f),
            Self::Identity(error) => error.fmt(f),
        }
    }
}

impl From<PemError> for Reason {
    fn from(error: PemError) -> Self {
        Self::Pem(error)
    }
}

impl From<SecretError> for Reason {
    fn from(error: SecretError) -> Self {
        Self::Secret(error)
    }
}

impl From<ChainError> for Reason {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}
