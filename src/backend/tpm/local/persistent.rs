//! What is at persistent handles.

use std::format;
use std::vec::Vec;

use tss_esapi::handles::{ObjectHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::structures::Public;

use super::connection::Connection;
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;

/// What is at a persistent handle.
#[derive(Debug)]
pub struct Persistent {
    /// Where ESYS has it.
    pub object: ObjectHandle,
    /// Its public area.
    pub public: Public,
    /// Its name.
    pub name: Vec<u8>,
}

impl Persistent {
    /// Finds it.
    ///
    /// # Errors
    /// [`TpmError`]; [`TpmError::NoKey`] if nothing is there.
    pub fn open(connection: &mut Connection, handle: u32) -> Result<Self, TpmError> {
        let at = PersistentTpmHandle::new(handle).map_err(|_| TpmError::NoKey { handle })?;
        let what = format!("tpm:handle={handle:#010x}");
        let found = connection.run(&what, "TPM2_ReadPublic", |context| {
            context.execute_without_session(|context| {
                context.tr_from_tpm_public(TpmHandle::Persistent(at))
            })
        });
        let object = found.map_err(|error| match error {
            TpmError::Call { error, .. } if error.code.bare() == code::HANDLE => {
                TpmError::NoKey { handle }
            }
            error => error,
        })?;
        let read = connection.run(&what, "TPM2_ReadPublic", |context| {
            context.execute_without_session(|context| context.read_public(object.into()))
        });
        match read {
            Ok((public, name, _)) => Ok(Self {
                object,
                public,
                name: name.value().to_vec(),
            }),
            Err(error) => {
                // Why it cannot be read is what has to be said.
                let _ = forget(connection, object);
                Err(error)
            }
        }
    }

    /// Has ESYS forget it. It stays in the TPM.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    pub fn close(self, connection: &mut Connection) -> Result<(), TpmError> {
        forget(connection, self.object)
    }
}

fn forget(connection: &mut Connection, object: ObjectHandle) -> Result<(), TpmError> {
    connection.run("a persistent object", "Esys_TR_Close", |context| {
        context.tr_close(&mut { object })
    })
}
