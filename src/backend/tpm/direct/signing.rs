//! Signs with a key.

use std::string::ToString as _;

use super::connection::Connection;
use super::key::LoadedKey;
use super::session::{self, Authorisation};
use super::{public, salt};
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::Reached;
use crate::backend::tpm::device::{Access, KeyPlace, OpenKey, Operator};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::scheme::Signature;
use crate::backend::tpm::signer::{About, Job, TpmKey};
use crate::core::tpm::{Session, SessionKind, SignatureScheme};

/// A key that is open.
pub struct DirectKey {
    connection: Connection,
    key: LoadedKey,
    /// That for the first signature, where it is already known to want one.
    early: Option<Session>,
    authorisation: Option<Authorisation>,
}

impl Reached for DirectKey {
    fn access(&self) -> &Access {
        self.connection.access()
    }
}

impl TpmKey for DirectKey {
    fn open(
        access: &Access,
        request: &OpenKey,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError> {
        let mut connection = Connection::open(access)?;
        let mut key = LoadedKey::open(&mut connection, request, operator)?;
        // A policy's session is salted when the key's auth value is there. Whether it can be is found out before
        // anybody is asked for that.
        if let Some(salt) = &key.salt
            && key.wants_salt
            && key.session.is_none()
            && !(key.wants_salted_session || access.plain_auth)
        {
            salt::with(&mut connection, salt, |_, _| Ok(()))?;
        }
        let early = match key.session.take() {
            None if key.wants_salted_session && !access.plain_auth => {
                let salt = key.salt.as_ref();
                Some(session::start(&mut connection, SessionKind::Hmac, salt)?)
            }
            session => session,
        };
        Ok(Self {
            connection,
            key,
            early,
            authorisation: None,
        })
    }

    fn about(&self) -> &About {
        &self.key.about
    }

    fn begin(&mut self, value: &Secret) -> Result<(), TpmError> {
        let authorisation = match self.authorisation.take() {
            Some(session) if !session.is_too_open(&self.connection, &self.key, value) => {
                session.with(value)
            }
            other => {
                if let Some(other) = other {
                    other.end(&mut self.connection);
                }
                Authorisation::begin(&mut self.connection, &self.key, value, &mut self.early)?
            }
        };
        self.authorisation = Some(authorisation);
        Ok(())
    }

    fn begin_again(&mut self) -> Result<(), TpmError> {
        if let Some(lost) = self.authorisation.take() {
            let new = lost.begin_again(&mut self.connection, &self.key)?;
            self.authorisation = Some(new);
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some(authorisation) = self.authorisation.take() {
            authorisation.end(&mut self.connection);
        }
    }

    fn sign(&mut self, what: &KeyPlace, job: &Job) -> Result<Signature, TpmError> {
        let unfit = || TpmError::Unsupported {
            what: "a TPM has no such scheme of signatures".to_string(),
            remedy: std::string::String::new(),
        };
        let scheme = public::scheme(job.algorithm).ok_or_else(unfit)?;
        let authorisation = self.authorisation.as_mut().ok_or_else(unfit)?;
        let (handle, name) = (self.key.handle, self.key.name);
        authorisation.run(
            &mut self.connection,
            &self.key,
            &what.to_string(),
            "TPM2_Sign",
            |chip, auth| {
                let signature = chip.sign(handle, &name, auth, scheme, &job.digest)?;
                Ok(signature.numbers(|first, second| match scheme {
                    SignatureScheme::Ecdsa(_) => Signature::Ecdsa {
                        r: first.into(),
                        s: second.into(),
                    },
                    _ => Signature::Rsa(first.into()),
                }))
            },
        )
    }
}
