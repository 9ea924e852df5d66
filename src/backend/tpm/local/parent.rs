//! What keys are loaded under: the key at a persistent handle, or a hierarchy's primary key.

use std::vec::Vec;

use tss_esapi::handles::KeyHandle;
use tss_esapi::{Context, Error};

use super::connection::Connection;
use super::hierarchy::{Hierarchy, with_value};
use super::{key, public};
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::ParentAuth;
use crate::backend::tpm::device::Operator;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::ParentKey;
use crate::backend::tpm::primary;

/// A key that is in the TPM, for others to be loaded (made, imported) under.
#[derive(Debug)]
pub struct Parent {
    /// Where the TPM has it.
    pub handle: KeyHandle,
    /// Its name.
    pub name: Vec<u8>,
    /// Whether it is a hierarchy's primary key that was made for this.
    pub is_primary: bool,
    auth: ParentAuth,
}

impl Parent {
    /// Does `work` with a parent key. A primary key is removed from the TPM then, whatever came of it.
    /// `called` is what the auth values of the key and of its hierarchy are asked for: the key's file.
    ///
    /// # Errors
    /// [`TpmError::NoKey`] if there is none at the handle; [`TpmError`].
    pub fn with<T>(
        connection: &mut Connection,
        key: ParentKey,
        called: &str,
        operator: &mut dyn Operator,
        work: impl FnOnce(&mut Connection, &mut Self, &mut dyn Operator) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        match key {
            ParentKey::Handle(handle) => {
                let mut parent = Self::at(connection, handle, called)?;
                work(connection, &mut parent, operator)
            }
            ParentKey::Primary(hierarchy, made_by) => {
                let template = public::of_template(&primary::template(made_by));
                let mut hierarchy = Hierarchy::new(hierarchy);
                let handle = hierarchy.create_primary(connection, operator, called, &template)?;
                connection.while_loaded(handle, |connection| {
                    let name = name(connection, handle)?;
                    let mut parent = Self {
                        handle,
                        name,
                        is_primary: true,
                        auth: ParentAuth {
                            called: called.into(),
                            // It is made with the empty auth value.
                            taken: Some(Secret::new(Vec::new())),
                        },
                    };
                    work(connection, &mut parent, operator)
                })
            }
        }
    }

    fn at(connection: &mut Connection, handle: u32, called: &str) -> Result<Self, TpmError> {
        let handle = key::find(connection, handle)?;
        Ok(Self {
            handle,
            name: name(connection, handle)?,
            is_primary: false,
            auth: ParentAuth {
                called: called.into(),
                taken: None,
            },
        })
    }

    /// Runs a command that the parent key authorises.
    ///
    /// # Errors
    /// [`TpmError::Auth`] for its auth value; [`TpmError`].
    pub fn run<T>(
        &mut self,
        connection: &mut Connection,
        operator: &mut dyn Operator,
        call: &'static str,
        command: impl Fn(&mut Context, KeyHandle) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        let handle = self.handle;
        let called = &*self.auth.called.clone();
        let attempt = |connection: &mut Connection, value: &Secret| {
            with_value(connection, handle.into(), value, called, call, &|context| {
                command(context, handle)
            })
        };
        let counts = |connection: &mut Connection| {
            let (area, ..) = connection.run(called, "TPM2_ReadPublic", |context| {
                context.read_public(handle)
            })?;
            Ok(public::counts_towards_lockout(&area))
        };
        self.auth
            .run(connection, operator, &self.name, counts, attempt)
    }
}

fn name(connection: &mut Connection, handle: KeyHandle) -> Result<Vec<u8>, TpmError> {
    let name = connection.run("the parent key", "Esys_TR_GetName", |context| {
        context.tr_get_name(handle.into())
    })?;
    Ok(name.value().to_vec())
}
