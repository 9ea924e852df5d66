//! Private keys and certificates in files.
//!
//! Buffers that hold a private key or a password are cleared when they are dropped, and RustCrypto's
//! keys are too; what ring keeps of a key they do not clear.

mod certificates;
mod contents;
mod cost;
mod ec;
mod encryption;
mod error;
mod generate;
mod ml_dsa;
mod permissions;
mod pkcs12;
mod private_key;
mod rsa;

pub use error::OpenError;
pub use generate::{GenerateError, KeyType, PrivateKey};

use core::fmt;
use std::borrow::ToOwned as _;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use self::contents::DerKind;
use self::error::Reason;
use super::chain::{self, Stray};
use super::pem;
use super::secret::{Secret, SecretError};
use super::{BoxedSigner, Identity};

/// Gives the password of a file that turns out to be encrypted; `None` if there is none.
pub type PasswordSource<'a> = &'a mut dyn FnMut() -> Result<Option<Secret>, SecretError>;

/// The files of an identity.
#[derive(Debug, Clone, Copy)]
pub struct FileIdentity<'a> {
    /// The certificate, alone or with its chain in any order, PEM or DER; or a PKCS#12 file.
    pub certificate: &'a Path,
    /// The private key, if it is in another file than the certificate.
    pub private_key: Option<&'a Path>,
    /// More certificates of the chain.
    pub intermediates: Option<&'a Path>,
}

/// Opens an identity. The chain is the one that [`chain::build`] finds in all the certificates.
///
/// # Errors
/// [`OpenError`] names the file that cannot be used.
pub fn open(
    files: &FileIdentity<'_>,
    password: PasswordSource<'_>,
) -> Result<(Identity, Vec<Warning>), OpenError> {
    let in_certificate = |reason| OpenError::new(files.certificate, reason);
    let contents = contents::read(files.certificate).map_err(in_certificate)?;
    let private_key = files.private_key.unwrap_or(files.certificate);

    let (signer, mut certificates) = if DerKind::of(&contents) == Some(DerKind::Pkcs12) {
        if private_key != files.certificate {
            return Err(in_certificate(Reason::TwoKeys(private_key.to_owned())));
        }
        pkcs12::open(&contents, password).map_err(in_certificate)?
    } else {
        let certificates = certificates::certificates(&contents).map_err(in_certificate)?;
        let signer = if private_key == files.certificate {
            private_key::signer(&contents, password).map_err(in_certificate)?
        } else {
            open_key(private_key, password)?
        };
        (signer, certificates)
    };
    let mut warnings: Vec<_> = permissions::check(private_key).into_iter().collect();

    let own = certificates.len();
    if let Some(path) = files.intermediates {
        certificates.extend(read_certificates(path)?);
    }
    let in_chain = |error: chain::ChainError| in_certificate(error.into());
    let chain = chain::build(&certificates, signer.public_key()).map_err(in_chain)?;
    if let Some(path) = files.intermediates {
        for (index, certificate) in certificates[own..].iter().enumerate() {
            if let Some(stray) = chain::stray(certificate, &chain).map_err(in_chain)? {
                warnings.push(Warning::Stray {
                    path: path.to_owned(),
                    number: index + 1,
                    stray,
                });
            }
        }
    }
    let identity =
        Identity::new(chain, signer).map_err(|error| in_certificate(Reason::Identity(error)))?;
    Ok((identity, warnings))
}

/// Opens a private key: PKCS#8, PKCS#1 or SEC 1, PEM or DER. In a PEM file certificates may stand
/// beside it.
///
/// # Errors
/// [`OpenError`], by what is wrong; a kind of key that Roles Anywhere does not take is named.
pub fn open_key(path: &Path, password: PasswordSource<'_>) -> Result<BoxedSigner, OpenError> {
    contents::read(path)
        .and_then(|contents| private_key::signer(&contents, password))
        .map_err(|reason| OpenError::new(path, reason))
}

/// The signer with the private key in a DER PKCS#8 document; `None` if it is encrypted or of a kind
/// that Roles Anywhere does not take.
pub fn signer_from_pkcs8(der: &[u8]) -> Option<BoxedSigner> {
    private_key::from_pkcs8(der).ok()
}

/// Reads every certificate of a file, in its order, each DER; there is at least one.
///
/// # Errors
/// [`OpenError`], also if one of them cannot be read.
pub fn read_certificates(path: &Path) -> Result<Vec<Vec<u8>>, OpenError> {
    contents::read(path)
        .and_then(|contents| certificates::certificates(&contents))
        .map_err(|reason| OpenError::new(path, reason))
}

/// As [`read_certificates`], for contents that were read already; `name` is what errors call them.
///
/// # Errors
/// [`OpenError`], also if one of the certificates cannot be read.
pub fn parse_certificates(contents: &[u8], name: &Path) -> Result<Vec<Vec<u8>>, OpenError> {
    certificates::certificates(contents).map_err(|reason| OpenError::new(name, reason))
}

/// Whether a file holds a private key in PEM, of whatever kind, beside what else is in it. One that cannot
/// be read counts as one that does not.
pub fn holds_private_key(path: &Path) -> bool {
    contents::read(path).is_ok_and(|contents| {
        let mut blocks = pem::blocks(&contents).flatten();
        blocks.any(|block| block.label.ends_with("PRIVATE KEY"))
    })
}

/// Reads a file with one public document: DER as it is, or the first PEM block whose label ends in
/// `label` (so that `CERTIFICATE REQUEST` also finds `NEW CERTIFICATE REQUEST`).
///
/// # Errors
/// [`OpenError`], also if there is no such block.
pub fn read_document(path: &Path, label: &'static str) -> Result<Vec<u8>, OpenError> {
    contents::read(path)
        .and_then(|contents| document(&contents, label))
        .map_err(|reason| OpenError::new(path, reason))
}

fn document(contents: &[u8], label: &'static str) -> Result<Vec<u8>, Reason> {
    if !pem::is_pem(contents) {
        return Ok(contents.to_owned());
    }
    for block in pem::blocks(contents) {
        let block = block?;
        if block.label.ends_with(label) {
            return Ok(block.decode()?.to_vec());
        }
    }
    Err(Reason::NoBlock(label))
}

/// Opens a PKCS#12 file: its private key, and its certificates in no order that counts.
///
/// # Errors
/// [`OpenError`]; [`OpenError::concerns_password`] tells a wrong password from damage.
pub fn open_pkcs12(
    path: &Path,
    password: PasswordSource<'_>,
) -> Result<(BoxedSigner, Vec<Vec<u8>>), OpenError> {
    contents::read(path)
        .and_then(|contents| pkcs12::open(&contents, password))
        .map_err(|reason| OpenError::new(path, reason))
}

/// Whether others than its owner can read or write a private key's file.
pub fn check_permissions(path: &Path) -> Option<Warning> {
    permissions::check(path)
}

/// What works, but should be put right. `--strict` makes it an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A private key's file that others can read or write.
    Exposed {
        /// The file, symbolic links resolved.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The permission bits that it should have.
        proper: u32,
    },
    /// A certificate that was given as an intermediate but is not sent.
    Stray {
        /// The file.
        path: PathBuf,
        /// The certificate's place in it, from 1.
        number: usize,
        /// Why it is left out.
        stray: Stray,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed { path, mode, proper } => {
                let path = path.display();
                write!(
                    f,
                    "{path}: others can get at this private key (mode {mode:04o}); run: chmod {proper:o} {path}"
                )
            }
            Self::Stray {
                path,
                number,
                stray,
            } => write!(
                f,
                "{}: certificate {number} is not sent: {stray}",
                path.display()
            ),
        }
    }
}
