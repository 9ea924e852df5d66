//! A key in the TPM, ready to sign.

use core::fmt;
use std::string::ToString as _;
use std::vec::Vec;

use tss_esapi::handles::{KeyHandle, PersistentTpmHandle, TpmHandle};
use tss_esapi::structures::Public;

use super::connection::Connection;
use super::session::Session;
use super::{load, public, scheme, template};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{KeyPlace, OpenKey, Operator};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::PolicyStep;
use crate::backend::tpm::scheme::Allowed;
use crate::backend::tpm::uri::SaltKey;
use crate::core::key::KeyKind;
use crate::core::x509;

/// A key in the TPM.
#[derive(Debug)]
pub struct LoadedKey {
    /// Where the TPM has it.
    pub handle: KeyHandle,
    /// Its public area.
    pub public: Public,
    /// Its name.
    pub name: Vec<u8>,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// Its kind.
    pub kind: KeyKind,
    /// By which schemes it signs.
    pub allowed: Allowed,
    /// What sessions with it are salted to.
    pub salt: Option<SaltKey>,
    /// The policy by which it is used; empty, if it is used by its auth value.
    pub policy: Vec<PolicyStep>,
    /// A salted session, if one was started on the way.
    pub session: Option<Session>,
    /// Whether it has an auth value, and a key that sessions are salted to, as far as that is known.
    pub wants_salted_session: bool,
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
                ..Self::at(connection, *handle, request)?
            },
            KeyPlace::File { name, contents } => {
                // What is said beside the file goes before what is in it.
                let may_be_salt = request.salt.is_none();
                let loaded = load::load(connection, name, contents, may_be_salt, operator)?;
                let key = Self::new(name, loaded.handle, loaded.public, loaded.name)?;
                Self {
                    wants_salted_session: loaded.wants_session
                        && (request.salt.is_some() || loaded.salt.is_some()),
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
    pub fn new(
        what: impl fmt::Display,
        handle: KeyHandle,
        public: Public,
        name: Vec<u8>,
    ) -> Result<Self, TpmError> {
        let unfit = |reason| TpmError::Key {
            key: what.to_string(),
            reason,
            remedy: "`keystead key generate tpm:…` makes a key that signs".into(),
        };
        public::check(&public).map_err(unfit)?;
        let public_key = public::public_key(&public).map_err(unfit)?;
        let kind = x509::key_kind(&public_key)
            .ok_or_else(|| unfit("it is of a kind that is of no use here".into()))?;
        let allowed = scheme::allowed(&public);
        allowed.serves(kind).map_err(unfit)?;
        Ok(Self {
            handle,
            public,
            name,
            public_key,
            kind,
            allowed,
            salt: None,
            policy: Vec::new(),
            session: None,
            wants_salted_session: false,
        })
    }

    /// The key at a persistent handle. libtss2 reads its public area, and keeps it to itself; it is read
    /// once more only where it does not follow from a certificate.
    fn at(connection: &mut Connection, handle: u32, request: &OpenKey) -> Result<Self, TpmError> {
        let what = &request.key;
        let key = find(connection, handle)?;
        let name = connection.run(what, "Esys_TR_GetName", |context| {
            context.tr_get_name(key.into())
        })?;
        let name = name.value().to_vec();
        let public = match template::public_area(&request.certificates, &name) {
            Some(public) => public,
            None => {
                connection
                    .run(what, "TPM2_ReadPublic", |context| context.read_public(key))?
                    .0
            }
        };
        let key = Self::new(what, key, public, name)?;
        match key.public.object_attributes().user_with_auth() {
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
/// [`TpmError::NoKey`], or [`TpmError::Call`].
pub fn find(connection: &mut Connection, handle: u32) -> Result<KeyHandle, TpmError> {
    let persistent = PersistentTpmHandle::new(handle).map_err(|_| TpmError::NoKey { handle })?;
    let what = KeyPlace::Handle(handle);
    let object = connection.run(&what, "TPM2_ReadPublic", |context| {
        context.tr_from_tpm_public(TpmHandle::Persistent(persistent))
    });
    object.map(KeyHandle::from).map_err(|error| match error {
        TpmError::Call { error, .. } if error.code.bare() == code::HANDLE => {
            TpmError::NoKey { handle }
        }
        error => error,
    })
}
