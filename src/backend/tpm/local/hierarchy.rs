//! Commands that a hierarchy has to authorise.

use std::vec::Vec;

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{KeyHandle, ObjectHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, Public, SymmetricDefinition};
use tss_esapi::{Context, Error, WrapperErrorKind};

use super::connection::Connection;
use super::public;
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::{Reached as _, Subject, authorise};
use crate::backend::tpm::device::{Object, Operator};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file;
use crate::backend::tpm::ledger::What;

/// A hierarchy, whose password is asked for when it is first needed.
#[derive(Debug)]
pub struct Hierarchy {
    of: Object,
    handle: ObjectHandle,
    /// That which the TPM took.
    taken: Option<Secret>,
}

impl Hierarchy {
    /// That which a key file names.
    pub fn new(hierarchy: key_file::Hierarchy) -> Self {
        // Of the last two nobody is asked for a password: the null hierarchy's is empty, and the firmware
        // keeps the platform's to itself.
        let without = |handle| Self {
            of: Object::Owner,
            handle,
            taken: Some(Secret::new(Vec::new())),
        };
        match hierarchy {
            key_file::Hierarchy::Owner => Self::owner(),
            key_file::Hierarchy::Endorsement => Self::endorsement(),
            key_file::Hierarchy::Null => without(ObjectHandle::Null),
            key_file::Hierarchy::Platform => without(ObjectHandle::Platform),
        }
    }

    /// That of the owner.
    pub fn owner() -> Self {
        Self {
            of: Object::Owner,
            handle: ObjectHandle::Owner,
            taken: None,
        }
    }

    /// That of endorsement.
    pub fn endorsement() -> Self {
        Self {
            of: Object::Endorsement,
            handle: ObjectHandle::Endorsement,
            taken: None,
        }
    }

    /// Makes its primary key by a template. The caller flushes it.
    ///
    /// # Errors
    /// [`TpmError`]; [`TpmError::Auth`] names the hierarchy.
    pub fn create_primary(
        &mut self,
        connection: &mut Connection,
        operator: &mut dyn Operator,
        what: &str,
        template: &Public,
    ) -> Result<KeyHandle, TpmError> {
        let hierarchy = resource_handles::Hierarchy::try_from(self.handle)
            .unwrap_or(resource_handles::Hierarchy::Null);
        connection.record(What::template(&public::bytes(template)), |connection| {
            self.run(
                connection,
                operator,
                what,
                "TPM2_CreatePrimary",
                |context| {
                    let template = template.clone();
                    let made = context.create_primary(hierarchy, template, None, None, None, None);
                    let made = made?;
                    let handle = made.key_handle;
                    // Sessions are salted to the public area that it says it has, and it is known by its name.
                    let name = context.tr_get_name(handle.into())?;
                    if public::name(&made.out_public).as_deref() != Some(name.value()) {
                        context.flush_context(handle.into())?;
                        return Err(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm));
                    }
                    Ok(handle)
                },
            )
        })
    }

    /// Runs a command whose first handle is the hierarchy's.
    ///
    /// # Errors
    /// [`TpmError`]; [`TpmError::Auth`] names the hierarchy.
    pub fn run<T>(
        &mut self,
        connection: &mut Connection,
        operator: &mut dyn Operator,
        what: &str,
        call: &'static str,
        command: impl Fn(&mut Context) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        if let Some(value) = &self.taken {
            return with_value(connection, self.handle, value, what, call, &command);
        }
        let subject = Subject::hierarchy(self.of, connection.access());
        let handle = self.handle;
        let (done, value) = authorise(connection, &subject, operator, |connection, value| {
            let done = with_value(connection, handle, value, what, call, &command)?;
            Ok((done, value.clone()))
        })?;
        self.taken = Some(value);
        Ok(done)
    }
}

/// Runs a command whose first handle, `handle`, has this auth value. If there is one, it does not go over the
/// bus: the session proves that it is known.
///
/// # Errors
/// [`TpmError::Call`].
pub fn with_value<T>(
    connection: &mut Connection,
    handle: ObjectHandle,
    value: &Secret,
    what: &str,
    call: &'static str,
    command: &impl Fn(&mut Context) -> Result<T, Error>,
) -> Result<T, TpmError> {
    let auth = Auth::try_from(value.expose()).unwrap_or_default();
    set_auth(connection, handle, &auth)?;
    let result = send(connection, value, what, call, command);
    // Whoever goes by the empty value next would send this one, and in clear.
    let forgotten = set_auth(connection, handle, &Auth::default());
    let done = result?;
    forgotten.map(|()| done)
}

fn set_auth(
    connection: &mut Connection,
    handle: ObjectHandle,
    value: &Auth,
) -> Result<(), TpmError> {
    connection.run("an auth value", "Esys_TR_SetAuth", |context| {
        context.tr_set_auth(handle, value.clone())
    })
}

fn send<T>(
    connection: &mut Connection,
    value: &Secret,
    what: &str,
    call: &'static str,
    command: &impl Fn(&mut Context) -> Result<T, Error>,
) -> Result<T, TpmError> {
    if value.expose().is_empty() || connection.access().plain_auth {
        return connection.run(what, call, |context| {
            context.execute_with_session(Some(AuthSession::Password), command)
        });
    }
    let session = start(connection, what)?;
    let result = connection.run(what, call, |context| {
        context.execute_with_session(Some(session), command)
    });
    let flushed = connection.flush(SessionHandle::from(session));
    let done = result?;
    flushed.map(|()| done)
}

fn start(connection: &mut Connection, what: &str) -> Result<AuthSession, TpmError> {
    connection.record(What::Session, |connection| {
        connection.run(what, "TPM2_StartAuthSession", |context| {
            let session = context.execute_without_session(|context| {
                context.start_auth_session(
                    None,
                    None,
                    None,
                    SessionType::Hmac,
                    SymmetricDefinition::AES_128_CFB,
                    HashingAlgorithm::Sha256,
                )
            })?;
            let session =
                session.ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))?;
            let (attributes, mask) = SessionAttributesBuilder::new()
                .with_continue_session(true)
                .build();
            context.tr_sess_set_attributes(session, attributes, mask)?;
            Ok(session)
        })
    })
}
