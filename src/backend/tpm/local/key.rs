//! A key in the TPM, ready to sign.

use std::string::ToString as _;
use std::vec::Vec;

use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::structures::Public;

use super::connection::Connection;
use super::{load, public};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{KeyPlace, Operator};
use crate::backend::tpm::error::TpmError;

/// A key in the TPM.
#[derive(Debug)]
pub struct LoadedKey {
    /// Where the TPM has it.
    pub handle: KeyHandle,
    /// Its public area.
    pub public: Public,
    /// Its name.
    pub name: Vec<u8>,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

impl LoadedKey {
    /// Loads a key, or finds it.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn open(
        connection: &mut Connection,
        place: &KeyPlace,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError> {
        match place {
            KeyPlace::Handle(handle) => Self::at(connection, *handle),
            KeyPlace::File { name, contents } => {
                let loaded = load::load(connection, name, contents, operator)?;
                let public_key =
                    public::public_key(&loaded.public).map_err(|reason| TpmError::Key {
                        key: name.clone(),
                        reason,
                        remedy: "`keystead key generate tpm:…` makes a key that signs".into(),
                    })?;
                Ok(Self {
                    handle: loaded.handle,
                    public: loaded.public,
                    name: loaded.name,
                    public_key,
                })
            }
        }
    }

    fn at(connection: &mut Connection, handle: u32) -> Result<Self, TpmError> {
        let what = KeyPlace::Handle(handle);
        let persistent =
            PersistentTpmHandle::new(handle).map_err(|_| TpmError::NoKey { handle })?;
        let object = connection
            .run(&what, "TPM2_ReadPublic", |context| {
                context.tr_from_tpm_public(TpmHandle::Persistent(persistent))
            })
            .map_err(|error| match error {
                TpmError::Call { error, .. } if error.code.bare() == code::HANDLE => {
                    TpmError::NoKey { handle }
                }
                error => error,
            })?;
        let handle = KeyHandle::from(object);
        let (public, name, _) = connection.run(&what, "TPM2_ReadPublic", |context| {
            context.read_public(handle)
        })?;
        let unfit = |reason| TpmError::Key {
            key: what.to_string(),
            reason,
            remedy: "`keystead key generate tpm:…` makes a key that signs".into(),
        };
        public::check(&public).map_err(unfit)?;
        Ok(Self {
            handle,
            public_key: public::public_key(&public).map_err(unfit)?,
            public,
            name: name.value().to_vec(),
        })
    }
}
