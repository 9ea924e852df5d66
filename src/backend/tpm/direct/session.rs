//! How a key's commands are authorised.

use std::borrow::ToOwned as _;

use super::connection::{Chip, Connection};
use super::key::LoadedKey;
use super::{policy, salt};
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::Reached as _;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::uri::SaltKey;
use crate::core::tpm::{Auth, Error, Hash, PublicArea, SaltTo, Session, SessionKind};

/// Starts a session, salted to a key that is known for sure if there is one.
///
/// # Errors
/// [`TpmError`].
pub fn start_with(
    connection: &mut Connection,
    kind: SessionKind,
    salt: Option<SaltTo<'_>>,
) -> Result<Session, TpmError> {
    connection.record(
        What::Session,
        |connection| {
            connection.run("a session", "TPM2_StartAuthSession", |chip| {
                chip.start_session(kind, salt)
            })
        },
        Session::handle,
    )
}

/// Starts a session, salted to the key with this name if there is one.
///
/// # Errors
/// [`TpmError::Key`], if the TPM has another key in its place; [`TpmError`].
pub fn start(
    connection: &mut Connection,
    kind: SessionKind,
    salt: Option<&SaltKey>,
) -> Result<Session, TpmError> {
    let Some(salt) = salt else {
        return start_with(connection, kind, None);
    };
    salt::with(connection, salt, |connection, to| {
        start_with(connection, kind, Some(to))
    })
}

/// Starts a policy session for a key.
///
/// # Errors
/// [`TpmError::Unsupported`] for a key whose policy is not hashed by SHA-256; [`TpmError`].
pub fn start_policy(
    connection: &mut Connection,
    area: &PublicArea,
    salt: Option<&SaltKey>,
) -> Result<Session, TpmError> {
    if area.name_hash() != Some(Hash::Sha256) {
        return Err(TpmError::Unsupported {
            what: "a policy whose hash is not SHA-256 takes libtss2".to_owned(),
            remedy:
                "--tpm-transport tss, or tpm-transport = \"tss\", has keystead-signer use the key"
                    .to_owned(),
        });
    }
    start(connection, SessionKind::Policy, salt)
}

/// How a key is used, and the auth value.
pub enum Authorisation {
    /// By its auth value in clear: there is none, or it is wished.
    Password(Secret),
    /// By its auth value, so that it does not leave this process.
    Session(Session, Secret),
    /// By its policy, which is carried out anew for each command.
    Policy {
        /// In this session.
        session: Session,
        /// Whether it was salted.
        is_salted: bool,
        /// For a policy that wants it.
        value: Secret,
    },
}

impl Authorisation {
    /// What the value and the way to the TPM call for; in a session that was started already, if there is one.
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
        let value = value.clone();
        if !key.policy.is_empty() {
            let session = start_policy(connection, &key.area, salt)?;
            return Ok(Self::Policy {
                session,
                is_salted: salt.is_some(),
                value,
            });
        }
        if is_in_clear {
            return Ok(Self::Password(value));
        }
        let session = match started.take() {
            Some(session) => session,
            None => start(connection, SessionKind::Hmac, salt)?,
        };
        Ok(Self::Session(session, value))
    }

    /// Whether it is none for this value: what is kept from listeners takes a session that a salt is known for.
    pub fn is_too_open(&self, connection: &Connection, key: &LoadedKey, value: &Secret) -> bool {
        match self {
            Self::Password(_) => true,
            Self::Policy { is_salted, .. } => {
                !is_salted
                    && key.salt.is_some()
                    && !value.expose().is_empty()
                    && !connection.access().plain_auth
            }
            Self::Session(..) => false,
        }
    }

    /// The same with another value, which is tried in its place.
    #[must_use]
    pub fn with(self, new: &Secret) -> Self {
        match self {
            Self::Password(_) => Self::Password(new.clone()),
            Self::Session(session, _) => Self::Session(session, new.clone()),
            Self::Policy {
                session, is_salted, ..
            } => Self::Policy {
                session,
                is_salted,
                value: new.clone(),
            },
        }
    }

    /// Sends a command that a key authorises, whose first parameter has a length; `what` is it about.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn run<T>(
        &mut self,
        connection: &mut Connection,
        key: &LoadedKey,
        what: &str,
        call: &'static str,
        mut command: impl FnMut(&mut Chip, Auth<'_>) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        match self {
            Self::Password(value) => connection.run(what, call, |chip| {
                command(chip, Auth::Password(value.expose()))
            }),
            Self::Session(session, value) => connection.run(what, call, |chip| {
                let auth = Auth::Session {
                    session,
                    value: value.expose(),
                    encrypts: true,
                };
                command(chip, auth)
            }),
            Self::Policy { session, value, .. } => {
                let carried_out = policy::carry_out(connection, what, session, &key.policy);
                let result = carried_out.and_then(|()| {
                    connection.run(what, call, |chip| {
                        let auth = Auth::Session {
                            session,
                            value: value.expose(),
                            encrypts: true,
                        };
                        command(chip, auth)
                    })
                });
                result.inspect_err(|error| {
                    if !matches!(error, TpmError::Call { .. }) {
                        return;
                    }
                    // What was carried out of the policy would stay.
                    let _ = connection.run(what, "TPM2_PolicyRestart", |chip| {
                        chip.policy_restart(session)
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
            Self::Password(value) => Ok(Self::Password(value)),
            Self::Session(session, value) => {
                let _ = connection.flush(session.handle());
                let session = start(connection, SessionKind::Hmac, salt)?;
                Ok(Self::Session(session, value))
            }
            Self::Policy {
                session,
                is_salted,
                value,
            } => {
                let _ = connection.flush(session.handle());
                let salt = salt.filter(|_| is_salted);
                let session = start_policy(connection, &key.area, salt)?;
                Ok(Self::Policy {
                    session,
                    is_salted,
                    value,
                })
            }
        }
    }

    /// Ends it. What is lost may be gone already, and is then not to be flushed.
    pub fn end(self, connection: &mut Connection) {
        let _ = match self {
            Self::Password(_) => Ok(()),
            Self::Session(session, _) | Self::Policy { session, .. } => {
                connection.flush(session.handle())
            }
        };
    }
}
