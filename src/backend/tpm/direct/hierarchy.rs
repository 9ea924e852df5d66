//! Primary keys, which a hierarchy has to authorise.

use std::vec::Vec;

use super::connection::{Chip, Connection, bytes};
use super::session;
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::{Reached as _, Subject, authorise};
use crate::backend::tpm::device::{Object, Operator};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file;
use crate::backend::tpm::ledger::What;
use crate::core::tpm::{Auth, Error, Name, PublicArea, SessionKind};

/// A hierarchy, whose password is asked for when it is first needed.
pub struct Hierarchy {
    of: Object,
    handle: u32,
    /// That which the TPM took.
    taken: Option<Secret>,
}

impl Hierarchy {
    /// That which a key file names.
    pub fn new(hierarchy: key_file::Hierarchy) -> Self {
        let (of, taken) = match hierarchy {
            key_file::Hierarchy::Owner => (Object::Owner, None),
            key_file::Hierarchy::Endorsement => (Object::Endorsement, None),
            // Of these nobody is asked for a password: the null hierarchy's is empty, and the firmware keeps the
            // platform's to itself.
            key_file::Hierarchy::Null | key_file::Hierarchy::Platform => {
                (Object::Owner, Some(Secret::new(Vec::new())))
            }
        };
        Self {
            of,
            handle: hierarchy.handle(),
            taken,
        }
    }

    /// Makes its primary key by a template: where it is, and its name. The caller flushes it.
    ///
    /// # Errors
    /// [`TpmError`]; [`TpmError::Auth`] names the hierarchy.
    pub fn create_primary(
        &mut self,
        connection: &mut Connection,
        operator: &mut dyn Operator,
        what: &str,
        template: &PublicArea,
    ) -> Result<(u32, PublicArea, Name), TpmError> {
        connection.record(
            What::template(&bytes(template)),
            |connection| self.create(connection, operator, what, template),
            |(handle, ..)| *handle,
        )
    }

    fn create(
        &mut self,
        connection: &mut Connection,
        operator: &mut dyn Operator,
        what: &str,
        template: &PublicArea,
    ) -> Result<(u32, PublicArea, Name), TpmError> {
        let handle = self.handle;
        let create = |connection: &mut Connection, value: &Secret| {
            with_value(
                connection,
                value,
                what,
                "TPM2_CreatePrimary",
                |chip, auth| chip.create_primary(handle, auth, template),
            )
        };
        if let Some(value) = &self.taken {
            return create(connection, value);
        }
        let subject = Subject::hierarchy(self.of, connection.access());
        let (done, value) = authorise(connection, &subject, operator, |connection, value| {
            Ok((create(connection, value)?, value.clone()))
        })?;
        self.taken = Some(value);
        Ok(done)
    }
}

/// Runs a command that is authorised by this auth value. If there is one, it does not go over the bus: a session
/// proves that it is known.
///
/// # Errors
/// [`TpmError`].
pub fn with_value<T>(
    connection: &mut Connection,
    value: &Secret,
    what: &str,
    call: &'static str,
    mut command: impl FnMut(&mut Chip, Auth<'_>) -> Result<T, Error>,
) -> Result<T, TpmError> {
    if value.expose().is_empty() || connection.access().plain_auth {
        return connection.run(what, call, |chip| {
            command(chip, Auth::Password(value.expose()))
        });
    }
    let mut session = session::start_with(connection, SessionKind::Hmac, None)?;
    connection.while_loaded(session.handle(), |connection| {
        connection.run(what, call, |chip| {
            let auth = Auth::Session {
                session: &mut session,
                value: value.expose(),
                encrypts: false,
            };
            command(chip, auth)
        })
    })
}
