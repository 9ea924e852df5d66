//! What keys are loaded under: the key at a persistent handle, or a hierarchy's primary key.

use std::vec::Vec;

use super::connection::{Chip, Connection};
use super::hierarchy::{Hierarchy, with_value};
use super::{key, public};
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::ParentAuth;
use crate::backend::tpm::device::Operator;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::ParentKey;
use crate::backend::tpm::primary;
use crate::core::tpm::{Auth, Error, Name, PublicArea};

/// A key that is in the TPM, for others to be loaded under.
pub struct Parent {
    /// Where the TPM has it.
    pub handle: u32,
    /// Its public area.
    pub area: PublicArea,
    /// Its name.
    pub name: Name,
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
        let parent = |handle, area, name, taken| Self {
            handle,
            area,
            name,
            auth: ParentAuth {
                called: called.into(),
                taken,
            },
        };
        match key {
            ParentKey::Handle(handle) => {
                let (area, name) = key::find(connection, handle)?;
                let mut parent = parent(handle, area, name, None);
                work(connection, &mut parent, operator)
            }
            ParentKey::Primary(hierarchy, made_by) => {
                let template = primary::template(made_by).area();
                let mut hierarchy = Hierarchy::new(hierarchy);
                let (handle, area, name) =
                    hierarchy.create_primary(connection, operator, called, &template)?;
                // It is made with the empty auth value.
                let empty = Some(Secret::new(Vec::new()));
                let mut parent = parent(handle, area, name, empty);
                connection
                    .while_loaded(handle, |connection| work(connection, &mut parent, operator))
            }
        }
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
        mut command: impl FnMut(&mut Chip, Auth<'_>) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        let called = self.auth.called.clone();
        let counts = public::counts_towards_lockout(&self.area);
        self.auth.run(
            connection,
            operator,
            &self.name,
            |_| Ok(counts),
            |connection, value| with_value(connection, value, &called, call, &mut command),
        )
    }
}
