//! Sessions: how a command is authorised by an auth value that nobody on the way to the TPM is to learn.

use core::fmt;
use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{KeyHandle, ObjectHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{Auth, SymmetricDefinition};
use tss_esapi::{Context, Error, WrapperErrorKind};

use super::connection::Connection;
use super::key::LoadedKey;
use super::{policy, salt};
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::Reached as _;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::uri::SaltKey;

/// What is encrypted on the way: of a command and of its answer the first parameter, where that is one
/// with a length (TPM 2.0 Part 1, section 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encrypted {
    /// That of the command.
    Command,
    /// That of both.
    Both,
}

/// An HMAC session with parameter encryption. It lasts until it is ended.
#[derive(Debug)]
pub struct Session(AuthSession);

impl Session {
    /// Starts one, salted to a key that libtss2 surely has the right public area of.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    pub fn start_with(connection: &mut Connection, salt: KeyHandle) -> Result<Self, TpmError> {
        start(
            connection,
            Some(salt),
            SessionType::Hmac,
            HashingAlgorithm::Sha256,
        )
        .map(Self)
    }

    /// Starts one, salted to the key with this name if there is one.
    ///
    /// # Errors
    /// [`TpmError::Key`], if it cannot be made sure that it is that key; [`TpmError::Call`].
    pub fn start_salted(
        connection: &mut Connection,
        salt: Option<&SaltKey>,
    ) -> Result<Self, TpmError> {
        let hash = HashingAlgorithm::Sha256;
        start_salted(connection, salt, SessionType::Hmac, hash).map(Self)
    }

    /// Sends a command that it authorises.
    ///
    /// # Errors
    /// What the command returned.
    pub fn send<T>(
        &self,
        context: &mut Context,
        encrypted: Encrypted,
        command: impl FnOnce(&mut Context) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (attributes, mask) = SessionAttributesBuilder::new()
            .with_continue_session(true)
            .with_decrypt(true)
            .with_encrypt(encrypted == Encrypted::Both)
            .build();
        context.tr_sess_set_attributes(self.0, attributes, mask)?;
        context.execute_with_session(Some(self.0), command)
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    pub fn end(self, connection: &mut Connection) -> Result<(), TpmError> {
        connection.flush(SessionHandle::from(self.0))
    }
}

fn start(
    connection: &mut Connection,
    salt: Option<KeyHandle>,
    kind: SessionType,
    hash: HashingAlgorithm,
) -> Result<AuthSession, TpmError> {
    connection.record(What::Session, |connection| {
        connection.run("a session", "TPM2_StartAuthSession", |context| {
            let symmetric = SymmetricDefinition::AES_128_CFB;
            context
                .start_auth_session(salt, None, None, kind, symmetric, hash)?
                .ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))
        })
    })
}

fn start_salted(
    connection: &mut Connection,
    salt: Option<&SaltKey>,
    kind: SessionType,
    hash: HashingAlgorithm,
) -> Result<AuthSession, TpmError> {
    let Some(salt) = salt else {
        return start(connection, None, kind, hash);
    };
    let key = salt::load(connection, salt)?;
    connection.while_loaded(key, |connection| start(connection, Some(key), kind, hash))
}

/// Starts a policy session. `hash` is that of the name of the key that is to be used by it.
///
/// # Errors
/// [`TpmError`].
pub fn start_policy(
    connection: &mut Connection,
    salt: Option<&SaltKey>,
    hash: HashingAlgorithm,
) -> Result<PolicySession, TpmError> {
    match start_salted(connection, salt, SessionType::Policy, hash)? {
        AuthSession::PolicySession(session) => Ok(session),
        other => {
            connection.flush(SessionHandle::from(other))?;
            Err(TpmError::Unsupported {
                what: "policies".to_owned(),
                remedy: String::new(),
            })
        }
    }
}

/// How a key's commands are authorised.
#[derive(Debug)]
pub enum Authorisation {
    /// By its auth value in clear: there is none, or it is wished.
    Password,
    /// By its auth value, so that it does not leave this process.
    Session(Session),
    /// By its policy, which is carried out anew for each command.
    Policy {
        /// In this session.
        session: PolicySession,
        /// Whether it was salted.
        is_salted: bool,
    },
}

impl Authorisation {
    /// What the value and the way to the TPM call for; in a session that was started already, if there is
    /// one.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn begin(
        connection: &mut Connection,
        key: &LoadedKey,
        value: &Secret,
        started: &mut Option<Session>,
    ) -> Result<Self, TpmError> {
        let is_in_clear = value.expose().is_empty() || connection.access().plain_auth;
        let salt = key.salt.as_ref().filter(|_| !is_in_clear);
        if !key.policy.is_empty() {
            let hash = key.public.name_hashing_algorithm();
            let session = start_policy(connection, salt, hash)?;
            let is_salted = salt.is_some();
            return Ok(Self::Policy { session, is_salted });
        }
        if is_in_clear {
            return Ok(Self::Password);
        }
        match started.take() {
            Some(session) => Ok(Self::Session(session)),
            None => Session::start_salted(connection, salt).map(Self::Session),
        }
    }

    /// Whether it is none for this value: what is kept from listeners takes a session that a salt is known for.
    pub fn is_too_open(&self, connection: &Connection, key: &LoadedKey, value: &Secret) -> bool {
        match self {
            Self::Password => true,
            Self::Policy { is_salted, .. } => {
                !is_salted
                    && key.salt.is_some()
                    && !value.expose().is_empty()
                    && !connection.access().plain_auth
            }
            Self::Session(_) => false,
        }
    }

    /// Sends a command that a key authorises; `what` is it about.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn run<T>(
        &self,
        connection: &mut Connection,
        key: &LoadedKey,
        what: impl fmt::Display,
        call: &'static str,
        command: impl Fn(&mut Context, KeyHandle) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        let command = |context: &mut Context| command(context, key.handle);
        match self {
            Self::Password => connection.run(what, call, |context| {
                context.execute_with_session(Some(AuthSession::Password), command)
            }),
            Self::Session(session) => connection.run(what, call, |context| {
                session.send(context, Encrypted::Command, command)
            }),
            Self::Policy { session, .. } => {
                let called = what.to_string();
                let session = *session;
                let result =
                    policy::carry_out(connection, &called, session, &key.policy).and_then(|()| {
                        connection.run(what, call, |context| {
                            context.execute_with_session(Some(session.into()), command)
                        })
                    });
                result.inspect_err(|error| {
                    let is_answered = matches!(error, TpmError::Call { error, .. }
                        if !error.code.is_of_connection());
                    if !is_answered {
                        return;
                    }
                    // What was carried out of the policy would stay.
                    let _ = connection.run(&called, "TPM2_PolicyRestart", |context| {
                        context.policy_restart(session)
                    });
                })
            }
        }
    }

    /// Begins again, where the session is lost.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn begin_again(
        self,
        connection: &mut Connection,
        key: &LoadedKey,
    ) -> Result<Self, TpmError> {
        let salt = key.salt.as_ref();
        match self {
            Self::Password => Ok(Self::Password),
            Self::Session(_) => {
                self.end(connection);
                Session::start_salted(connection, salt).map(Self::Session)
            }
            Self::Policy { is_salted, .. } => {
                self.end(connection);
                let salt = salt.filter(|_| is_salted);
                let hash = key.public.name_hashing_algorithm();
                let session = start_policy(connection, salt, hash)?;
                Ok(Self::Policy { session, is_salted })
            }
        }
    }

    /// Ends it. What is lost may be gone already, and is then not to be flushed.
    pub fn end(self, connection: &mut Connection) {
        let _ = match self {
            Self::Password => Ok(()),
            Self::Session(session) => session.end(connection),
            Self::Policy { session, .. } => connection.flush(SessionHandle::from(session)),
        };
    }
}

/// Does something that a key authorises by its auth value, whatever its policy is: in clear or by a
/// session, as [`Authorisation::begin`] has it.
///
/// # Errors
/// [`TpmError`].
pub fn with_auth<T>(
    connection: &mut Connection,
    key: &LoadedKey,
    value: &Secret,
    something: impl FnOnce(&mut Connection, AuthSession) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    set_auth(connection, key.handle, value)?;
    if value.expose().is_empty() || connection.access().plain_auth {
        return something(connection, AuthSession::Password);
    }
    let (salt, hash) = (key.salt.as_ref(), HashingAlgorithm::Sha256);
    let session = start_salted(connection, salt, SessionType::Hmac, hash)?;
    connection.while_loaded(SessionHandle::from(session), |connection| {
        something(connection, session)
    })
}

/// Has libtss2 use a value wherever this object is authorised.
///
/// # Errors
/// [`TpmError`].
pub fn set_auth(
    connection: &mut Connection,
    object: impl Into<ObjectHandle>,
    value: &Secret,
) -> Result<(), TpmError> {
    let object = object.into();
    let value = Auth::try_from(value.expose()).map_err(|_| TpmError::Unsupported {
        what: format!("an auth value of more than {} bytes", Auth::MAX_SIZE),
        remedy: "a TPM takes at most as many bytes as its longest hash has".to_owned(),
    })?;
    connection.run("an auth value", "Esys_TR_SetAuth", |context| {
        context.tr_set_auth(object, value.clone())
    })
}
