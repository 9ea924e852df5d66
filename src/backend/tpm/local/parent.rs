//! What keys are loaded under: the key at a persistent handle, or a hierarchy's primary key.

use std::string::{String, ToString as _};
use std::vec::Vec;

use tss_esapi::handles::KeyHandle;
use tss_esapi::{Context, Error};

use super::auth::{Subject, authorise, remember_refused};
use super::connection::Connection;
use super::hierarchy::{Hierarchy, with_value};
use super::{key, primary, public};
use crate::backend::secret::{Secret, SecretError};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{AuthRequest, Object, Operator};
use crate::backend::tpm::error::{AuthProblem, TpmError};
use crate::backend::tpm::key_file::ParentKey;

/// A key that is in the TPM, for others to be loaded (made, imported) under.
#[derive(Debug)]
pub struct Parent {
    /// Where the TPM has it.
    pub handle: KeyHandle,
    /// Its name.
    pub name: Vec<u8>,
    /// Whether it is a hierarchy's primary key that was made for this.
    pub is_primary: bool,
    /// What its auth value is asked for.
    called: String,
    /// The one that the TPM took.
    taken: Option<Secret>,
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
                let mut hierarchy = Hierarchy::new(hierarchy);
                let handle = hierarchy.create_primary(connection, operator, called, &template)?;
                connection.while_loaded(handle, |connection| {
                    let name = name(connection, handle)?;
                    let mut parent = Self {
                        handle,
                        name,
                        is_primary: true,
                        called: called.into(),
                        // It is made with the empty auth value.
                        taken: Some(Secret::new(Vec::new())),
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
            called: called.into(),
            taken: None,
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
        let called = &*self.called;
        let attempt = |connection: &mut Connection, value: &Secret| {
            with_value(connection, handle.into(), value, called, call, &|context| {
                command(context, handle)
            })
        };
        if let Some(value) = &self.taken {
            return attempt(connection, value);
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
        let mut subject = Subject::key(Object::Parent, called, &self.name, false);
        let mut taken = None;
        let mut costs = false;
        let mut attempt = |connection: &mut Connection, value: &Secret| {
            let done = attempt(connection, value);
            match &done {
                Ok(_) => taken = Some(value.clone()),
                Err(TpmError::Call { error, .. }) => {
                    costs |= error.code.bare() == code::AUTH_FAIL && value.expose().is_empty();
                }
                Err(_) => {}
            }
            done
        };
        let done = match stored {
            Some(value) => {
                // Only now it matters: most parent keys have the empty value, and it costs a command.
                let (area, ..) = connection.run(called, "TPM2_ReadPublic", |context| {
                    context.read_public(handle)
                })?;
                subject.counts = public::counts_towards_lockout(&area);
                let value = Some(value);
                let mut known = Known { value, operator };
                authorise(connection, &subject, &mut known, &mut attempt)
            }
            None => {
                subject.empty = Some(true);
                authorise(connection, &subject, operator, &mut attempt)
            }
        };
        if costs {
            // That it is the empty value is worth a try, but not two.
            remember_refused(connection.access(), &subject, &Secret::new(Vec::new()));
        }
        self.taken = taken;
        done
    }
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
