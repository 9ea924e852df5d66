//! The authority and the device that a sandbox has when it is given none.

use core::time::Duration;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::StartError;
use crate::backend::file::read_certificates;
use crate::ca::{
    self, CertifiedKey, Directory, KeyType, NewAuthority, Subject, Template, Usage, Validity,
};
use crate::core::time::UnixTime;

/// What a trust anchor is made from.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Where its revocation list is, or will be.
    pub crl: PathBuf,
}

/// The files that a client needs to be a device.
#[derive(Debug, Clone)]
pub struct ClientIdentity {
    /// The certificate, and the intermediates after it.
    pub certificate: PathBuf,
    /// The private key: a path or another URI that keystead takes.
    pub key: String,
}

const AUTHORITY_LIFETIME: Duration = Duration::from_secs(10 * 365 * 86_400);
const DEVICE_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

impl Authority {
    /// That of a directory of `keystead ca`.
    ///
    /// # Errors
    /// [`StartError::Authority`] if there is none.
    pub fn of_directory(path: &Path) -> Result<Self, StartError> {
        let mut certificates =
            read_certificates(&Directory::root_certificate_path(path)).map_err(authority_error)?;
        Ok(Self {
            certificate: certificates.swap_remove(0),
            crl: Directory::revocation_list_path(path),
        })
    }
}

/// An authority in `state/ca` and a device that it issued, `state/device.pem` and
/// `state/device.key`. What is there already is used again.
///
/// # Errors
/// [`StartError::Authority`] if they can be neither read nor made.
pub fn in_state(state: &Path, now: UnixTime) -> Result<(Authority, ClientIdentity), StartError> {
    let directory = state.join("ca");
    let certificate = state.join("device.pem");
    let key = state.join("device.key");
    if !Directory::root_certificate_path(&directory).exists() {
        let plan = NewAuthority {
            root: "CN=keystead sandbox devices"
                .parse()
                .map_err(authority_error)?,
            intermediate: None,
            key_type: KeyType::P256,
            validity: Validity::starting(now, AUTHORITY_LIFETIME),
        };
        Directory::create(&directory, &plan).map_err(authority_error)?;
    }
    if !certificate.exists() {
        let subject = "CN=sandbox-device".parse().map_err(authority_error)?;
        issue(&directory, subject, &certificate, &key, now).map_err(authority_error)?;
    }
    let identity = ClientIdentity {
        certificate,
        key: key.display().to_string(),
    };
    Ok((Authority::of_directory(&directory)?, identity))
}

fn issue(
    directory: &Path,
    subject: Subject,
    certificate: &Path,
    key: &Path,
    now: UnixTime,
) -> Result<(), ca::Error> {
    let template = Template {
        usage: Usage::Client,
        subject,
        alternative_names: Vec::new(),
        validity: Validity::starting(now, DEVICE_LIFETIME),
    };
    let key = CertifiedKey::New(KeyType::P256, key);
    let mut directory = Directory::open(directory)?;
    directory.issue(&template, key, certificate, None)?;
    Ok(())
}

fn authority_error(error: impl core::fmt::Display) -> StartError {
    StartError::Authority(error.to_string())
}
