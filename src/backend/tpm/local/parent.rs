//! What keys are loaded under: the key at a persistent handle, or a hierarchy's primary key.

use std::string::{String, ToString as _};
use std::vec::Vec;

use tss_esapi::handles::{KeyHandle, ObjectHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::interface_types::resource_handles;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, Public};
use tss_esapi::{Context, Error};

use super::auth::{Subject, authorise, remember_refused};
use super::connection::Connection;
use super::{primary, public};
use crate::backend::secret::{Secret, SecretError};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{AuthRequest, Object, Operator};
use crate::backend::tpm::error::{AuthProblem, TpmError};
use crate::backend::tpm::key_file::{Hierarchy, ParentKey};

/// A key that is in the TPM, for others to be loaded (made, imported) under.
#[derive(Debug)]
pub struct Parent {
    /// Where the TPM has it.
    pub handle: KeyHandle,
    /// Its name.
    pub name: Vec<u8>,
    /// What its auth value is asked for.
    called: String,
    is_authorised: bool,
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
                let template = primary::template(made_by).public();
                let handle = create_primary(connection, hierarchy, &template, called, operator)?;
                connection.while_loaded(handle, |connection| {
                    let name = name(connection, handle)?;
                    let mut parent = Self {
                        handle,
                        name,
                        called: called.into(),
                        // It is made with the empty auth value.
                        is_authorised: true,
                    };
                    work(connection, &mut parent, operator)
                })
            }
        }
    }

    fn at(connection: &mut Connection, handle: u32, called: &str) -> Result<Self, TpmError> {
        let persistent =
            PersistentTpmHandle::new(handle).map_err(|_| TpmError::NoKey { handle })?;
        let object = connection
            .run(called, "TPM2_ReadPublic", |context| {
                context.tr_from_tpm_public(TpmHandle::Persistent(persistent))
            })
            .map_err(|error| match error {
                TpmError::Call { error, .. } if error.code.bare() == code::HANDLE => {
                    TpmError::NoKey { handle }
                }
                error => error,
            })?;
        let handle_in_context = KeyHandle::from(object);
        Ok(Self {
            handle: handle_in_context,
            name: name(connection, handle_in_context)?,
            called: called.into(),
            is_authorised: false,
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
        let (handle, called) = (self.handle, self.called.clone());
        let send = |connection: &mut Connection| {
            connection.run(&called, call, |context| {
                context.execute_with_session(Some(AuthSession::Password), |context| {
                    command(context, handle)
                })
            })
        };
        if self.is_authorised {
            return send(connection);
        }
        let request = AuthRequest {
            of: Object::Parent,
            name: self.called.clone(),
            refused: false,
            may_be_empty: true,
        };
        let stored = operator.auth(&request).map_err(|error| TpmError::Auth {
            of: Object::Parent,
            name: self.called.clone(),
            problem: match error.is_cancelled() {
                true => AuthProblem::Cancelled,
                false => AuthProblem::Source(error.in_brief().to_string()),
            },
        })?;
        let mut subject = Subject::key(Object::Parent, &self.called, &self.name, false);
        let done = match stored {
            Some(value) => {
                // Only now it matters: most parent keys have the empty value, and it costs a command.
                let (area, ..) = connection.run(&self.called, "TPM2_ReadPublic", |context| {
                    context.read_public(handle)
                })?;
                subject.counts = public::counts_towards_lockout(&area);
                let mut operator = Known {
                    value: Some(value),
                    operator,
                };
                authorise(connection, &subject, &mut operator, |connection, value| {
                    set_auth(connection, handle.into(), &self.called, value)?;
                    send(connection)
                })
            }
            None => {
                subject.empty = Some(true);
                let mut has_cost = false;
                let done = authorise(connection, &subject, operator, |connection, value| {
                    set_auth(connection, handle.into(), &self.called, value)?;
                    let done = send(connection);
                    has_cost |= value.expose().is_empty()
                        && matches!(&done, Err(TpmError::Call { error, .. })
                            if error.code.bare() == code::AUTH_FAIL);
                    done
                });
                if has_cost {
                    // That the value is not the empty one is worth a try, but not two.
                    remember_refused(connection.access(), &subject, &Secret::new(Vec::new()));
                }
                done
            }
        }?;
        self.is_authorised = true;
        Ok(done)
    }
}

/// Makes a hierarchy's primary key by a template. It is to be flushed.
///
/// # Errors
/// [`TpmError::Auth`] for the hierarchy's auth value; [`TpmError`].
pub fn create_primary(
    connection: &mut Connection,
    hierarchy: Hierarchy,
    template: &Public,
    called: &str,
    operator: &mut dyn Operator,
) -> Result<KeyHandle, TpmError> {
    let of = match hierarchy {
        Hierarchy::Owner => Object::Owner,
        Hierarchy::Endorsement => Object::Endorsement,
        // Of these nobody is asked for an auth value: the null hierarchy's is empty, and the firmware
        // keeps the platform's to itself.
        Hierarchy::Null | Hierarchy::Platform => {
            return send_create(connection, hierarchy, template, called);
        }
    };
    let subject = Subject::hierarchy(of, connection.access());
    authorise(connection, &subject, operator, |connection, value| {
        let hierarchy = resource_handles::Hierarchy::from(hierarchy);
        set_auth(connection, hierarchy.into(), called, value)?;
        send_create(connection, hierarchy, template, called)
    })
}

/// The same, where the hierarchy's auth value is empty or has been given. The key is to be flushed.
///
/// # Errors
/// [`TpmError::Call`].
pub fn send_create(
    connection: &mut Connection,
    hierarchy: impl Into<resource_handles::Hierarchy>,
    template: &Public,
    called: &str,
) -> Result<KeyHandle, TpmError> {
    let hierarchy = hierarchy.into();
    connection.run(called, "TPM2_CreatePrimary", |context| {
        context.execute_with_session(Some(AuthSession::Password), |context| {
            context
                .create_primary(hierarchy, template.clone(), None, None, None, None)
                .map(|made| made.key_handle)
        })
    })
}

impl From<Hierarchy> for resource_handles::Hierarchy {
    fn from(hierarchy: Hierarchy) -> Self {
        match hierarchy {
            Hierarchy::Owner => Self::Owner,
            Hierarchy::Null => Self::Null,
            Hierarchy::Endorsement => Self::Endorsement,
            Hierarchy::Platform => Self::Platform,
        }
    }
}

fn set_auth(
    connection: &mut Connection,
    object: ObjectHandle,
    called: &str,
    value: &Secret,
) -> Result<(), TpmError> {
    connection.run(called, "Esys_TR_SetAuth", |context| {
        context.tr_set_auth(object, Auth::try_from(value.expose())?)
    })
}

fn name(connection: &mut Connection, handle: KeyHandle) -> Result<Vec<u8>, TpmError> {
    let name = connection.run("the parent key", "Esys_TR_GetName", |context| {
        context.tr_get_name(handle.into())
    })?;
    Ok(name.value().to_vec())
}

/// An operator who was asked already.
struct Known<'a> {
    value: Option<Secret>,
    operator: &'a mut dyn Operator,
}

impl Operator for Known<'_> {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        match self.value.take() {
            Some(value) => Ok(Some(value)),
            None => self.operator.auth(request),
        }
    }

    fn is_person(&self) -> bool {
        self.operator.is_person()
    }
}
