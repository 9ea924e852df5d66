//! A key in the TPM, ready to sign.

use core::fmt;
use std::string::ToString as _;

use super::connection::Connection;
use super::{load, public};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{KeyPlace, OpenKey, Operator};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::PolicyStep;
use crate::backend::tpm::policy;
use crate::backend::tpm::signer::About;
use crate::backend::tpm::uri::SaltKey;
use crate::core::tpm::{Name, PublicArea, Session, attributes};
use crate::core::x509;

/// A key in the TPM.
pub struct LoadedKey {
    /// Where the TPM has it.
    pub handle: u32,
    /// Its public area.
    pub area: PublicArea,
    /// Its name.
    pub name: Name,
    /// What it is else.
    pub about: About,
    /// What sessions with it are salted to.
    pub salt: Option<SaltKey>,
    /// The policy by which it is used; empty, if it is used by its auth value.
    pub policy: std::vec::Vec<PolicyStep>,
    /// A salted session, if one was started on the way.
    pub session: Option<Session>,
    /// Whether it has an auth value, and a key that sessions are salted to, as far as that is known.
    pub wants_salted_session: bool,
    /// Whether sessions with it may have to be salted.
    pub wants_salt: bool,
}

impl LoadedKey {
    /// Loads a key, or finds it.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn open(
        connection: &mut Connection,
        request: &OpenKey,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError> {
        let mut key = match &request.key {
            KeyPlace::Handle(handle) => Self {
                wants_salted_session: request.salt.is_some(),
                ..Self::at(connection, *handle, &request.key)?
            },
            KeyPlace::File { name, contents } => {
                let beside = request.salt.as_ref();
                let loaded = load::load(connection, name, contents, beside, operator)?;
                let mut key = Self::new(name, loaded.handle, loaded.area, loaded.name)?;
                key.about.wants_auth =
                    loaded.policy.is_empty() || policy::wants_auth(&loaded.policy);
                Self {
                    wants_salted_session: loaded.wants_session
                        && (request.salt.is_some() || loaded.salt.is_some()),
                    wants_salt: loaded.wants_salt,
                    salt: loaded.salt,
                    policy: loaded.policy,
                    session: loaded.session,
                    ..key
                }
            }
        };
        key.salt = request.salt.clone().or(key.salt);
        Ok(key)
    }

    /// A key that the TPM has somewhere. `what` is it called?
    ///
    /// # Errors
    /// [`TpmError::Key`], if it is none that signs what Roles Anywhere wants to have signed.
    fn new(
        what: impl fmt::Display,
        handle: u32,
        area: PublicArea,
        name: Name,
    ) -> Result<Self, TpmError> {
        let unfit = |reason| TpmError::Key {
            key: what.to_string(),
            reason,
            remedy: "`keystead key generate tpm:…` makes a key that signs".into(),
        };
        public::check(&area).map_err(unfit)?;
        let public_key = public::public_key(&area).map_err(unfit)?;
        let kind = x509::key_kind(&public_key)
            .ok_or_else(|| unfit("it is of a kind that is of no use here".into()))?;
        let allowed = public::allowed(&area);
        allowed.serves(kind).map_err(unfit)?;
        Ok(Self {
            about: About {
                name: name.to_vec(),
                public_key,
                kind,
                allowed,
                counts: public::counts_towards_lockout(&area),
                wants_auth: true,
            },
            handle,
            area,
            name,
            salt: None,
            policy: std::vec::Vec::new(),
            session: None,
            wants_salted_session: false,
            wants_salt: true,
        })
    }

    fn at(connection: &mut Connection, handle: u32, what: &KeyPlace) -> Result<Self, TpmError> {
        let (area, name) = find(connection, handle)?;
        let key = Self::new(what, handle, area, name)?;
        match key.area.has(attributes::USER_WITH_AUTH) {
            true => Ok(key),
            false => Err(TpmError::Key {
                key: what.to_string(),
                reason: "it is used by a policy only (no userWithAuth attribute), and a handle does not say by \
                         which"
                    .into(),
                remedy: "its key file does".into(),
            }),
        }
    }
}

/// What is at a persistent handle.
///
/// # Errors
/// [`TpmError::NoKey`]; [`TpmError`].
pub fn find(connection: &mut Connection, handle: u32) -> Result<(PublicArea, Name), TpmError> {
    let what = KeyPlace::Handle(handle);
    let read = connection.run(&what, "TPM2_ReadPublic", |chip| chip.read_public(handle));
    read.map_err(|error| match error {
        TpmError::Call { error, .. } if error.code.bare() == code::HANDLE => {
            TpmError::NoKey { handle }
        }
        error => error,
    })
}
