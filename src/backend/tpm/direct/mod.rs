//! A TPM, spoken to by this process in the TPM's own protocol, without libtss2. It opens keys and signs with them;
//! what else there is to be done with a TPM is left to libtss2.

mod connection;
mod device_file;
mod hierarchy;
mod key;
mod load;
mod parent;
mod policy;
mod preferred;
mod public;
mod salt;
mod session;
mod signing;
mod socket;
mod stream;

use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;

use self::connection::Connection;
pub use self::preferred::Preferred;
use self::signing::DirectKey;
use self::stream::Way;
use super::device::{Access, Device, Done, KeyPlace, OpenKey, OpenedKey, Operator, Task};
use super::error::TpmError;
use super::key_file::KeyFile;
use super::signer::TpmSigner;
use crate::core::tpm::{Hash, PublicArea};

/// A TPM that this process speaks to, without libtss2.
#[derive(Debug)]
pub struct Direct {
    access: Access,
}

impl Direct {
    /// Reaches a TPM. Nothing is sent before there is something to do.
    pub fn new(access: Access) -> Self {
        Self { access }
    }

    /// Opens a key to sign with.
    ///
    /// # Errors
    /// [`TpmError`], and the operator, who can open the key in another way. [`TpmError::Unsupported`] is for what
    /// takes libtss2; nothing was asked of anybody for the key's auth value then.
    pub fn try_open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, (TpmError, Box<dyn Operator>)> {
        TpmSigner::<DirectKey>::open(&self.access, request.clone(), operator)
    }

    /// Whether a key is left to libtss2, as far as that can be told without anybody's auth value.
    ///
    /// # Errors
    /// [`TpmError`], if the key's file is none, or the TPM cannot be asked.
    pub fn leaves(&self, request: &OpenKey) -> Result<bool, TpmError> {
        let mut salt = request.salt.clone();
        if let KeyPlace::File { name, contents } = &request.key {
            let file = KeyFile::read(contents).map_err(|error| error.of(name))?;
            let hash = PublicArea::read(&file.public).map(|area| area.name_hash());
            if !file.policy.is_empty() && hash != Ok(Some(Hash::Sha256)) {
                return Ok(true);
            }
            salt = salt.or_else(|| file.salt().filter(|_| !file.empty_auth));
        }
        let Some(salt) = salt.filter(|_| !self.access.plain_auth) else {
            return Ok(false);
        };
        match salt::check(&mut Connection::open(&self.access)?, &salt) {
            Ok(()) => Ok(false),
            Err(TpmError::Unsupported { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether a TPM can be reached through this TCTI without libtss2: `device:…`, `swtpm:…`.
    pub fn reaches(tcti: &str) -> bool {
        Way::of(tcti).is_some()
    }

    /// What reaching it takes of the system: a device, or a TCP port.
    pub fn needs(tcti: &str) -> (Option<PathBuf>, Option<u16>) {
        match Way::of(tcti) {
            Some(Way::Device(path)) => (Some(path), None),
            Some(Way::Tcp { port, .. }) => (None, Some(port)),
            Some(Way::Unix(_)) | None => (None, None),
        }
    }
}

impl Device for Direct {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        self.try_open(request, operator).map_err(|(error, _)| error)
    }

    fn perform(&mut self, _: &Task, _: &mut dyn Operator) -> Result<Done, TpmError> {
        Err(TpmError::Unsupported {
            what: "without libtss2 a TPM's keys can be used, and nothing else".into(),
            remedy: String::new(),
        })
    }
}
