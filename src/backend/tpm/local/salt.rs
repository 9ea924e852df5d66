//! The key that sessions are salted to. What somebody between us and the TPM could put in its place must
//! not be taken for it.
//!
//! libtss2 (3.2.1) does not compare the public area that TPM2_ReadPublic answers with the name beside it,
//! and does not show the area that it is going to encrypt to: who answers with an area of his own and the
//! right name would learn the salt. So the key is made anew from its template: of TPM2_CreatePrimary the
//! area that libtss2 uses comes back, and its hash is compared with the name that was recorded.

use tss_esapi::handles::KeyHandle;
use tss_esapi::interface_types::resource_handles::Hierarchy;
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{EccParameter, EccPoint, Public, PublicKeyRsa};

use super::connection::Connection;
use super::key;
use super::public;
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file;
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::primary;
use crate::backend::tpm::salt::{changed, what, wrong};
use crate::backend::tpm::uri::SaltKey;

/// The handles of endorsement keys (Registry of Reserved TPM 2.0 Handles, section 2.3.2).
const ENDORSEMENT_KEYS: core::ops::RangeInclusive<u32> = 0x8101_0000..=0x8101_ffff;

/// What to do where that cannot be.
const WITHOUT: &str = "without salt-handle and salt-name in its URI, or Parent-Name in its key file, a key's sessions \
                       are not salted: who listens can then try values that are easily guessed";

/// Loads it. The caller flushes it.
///
/// # Errors
/// [`TpmError::Key`], if there is no key with this name, or it cannot be made sure that it is that key.
pub fn load(connection: &mut Connection, salt: &SaltKey) -> Result<KeyHandle, TpmError> {
    match make(connection, salt)? {
        Made::Key(key) => Ok(key),
        Made::None(reason) => Err(wrong(salt, reason, WITHOUT)),
    }
}

/// Whether it can be made sure that a key is the one with this name, now and then.
///
/// # Errors
/// [`TpmError::Key`], if there is another key in its place; [`TpmError`].
pub fn serves(connection: &mut Connection, salt: &SaltKey) -> Result<bool, TpmError> {
    match make(connection, salt)? {
        Made::Key(key) => connection.flush(key).map(|()| true),
        Made::None(_) => Ok(false),
    }
}

/// What became of the salt key.
enum Made {
    /// It is in the TPM.
    Key(KeyHandle),
    /// It cannot be made anew, and why.
    None(&'static str),
}

fn make(connection: &mut Connection, salt: &SaltKey) -> Result<Made, TpmError> {
    let is_endorsement = ENDORSEMENT_KEYS.contains(&salt.handle);
    if !is_endorsement {
        let template = public::of_template(&primary::template(key_file::Template::Ecc));
        if let Some(made) = create(connection, salt, Hierarchy::Owner, &template)? {
            return Ok(made);
        }
    }
    if salt.handle == key_file::Hierarchy::Owner.handle() {
        return Err(changed(salt));
    }
    // What it is made by follows from what it is.
    let at = key::find(connection, salt.handle)?;
    let (area, ..) = connection.run(what(salt), "TPM2_ReadPublic", |context| {
        context.read_public(at)
    })?;
    if public::name(&area).as_ref() != Some(&salt.name) {
        return Err(changed(salt));
    }
    let hierarchy = match is_endorsement {
        true => Hierarchy::Endorsement,
        false => Hierarchy::Owner,
    };
    for template in templates(&area) {
        if let Some(made) = create(connection, salt, hierarchy, &template)? {
            return Ok(made);
        }
    }
    Ok(Made::None(
        "made anew by its template it has not the name that was recorded: it was made in another way, or somebody \
         between here and the TPM puts a key of their own in its place",
    ))
}

/// The primary key by a template, if it has the name.
fn create(
    connection: &mut Connection,
    salt: &SaltKey,
    hierarchy: Hierarchy,
    template: &Public,
) -> Result<Option<Made>, TpmError> {
    let created = connection.record(What::template(&public::bytes(template)), |connection| {
        connection.run(what(salt), "TPM2_CreatePrimary", |context| {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.create_primary(hierarchy, template.clone(), None, None, None, None)
            })
        })
    });
    let created = match created {
        Err(TpmError::Call { error, .. }) if error.code.bare() == code::BAD_AUTH => {
            return Ok(Some(Made::None(
                "it has to be made anew, and its hierarchy has a password",
            )));
        }
        created => created?,
    };
    if public::name(&created.out_public).as_ref() == Some(&salt.name) {
        return Ok(Some(Made::Key(created.key_handle)));
    }
    connection.flush(created.key_handle)?;
    Ok(None)
}

/// The templates that a primary key may have been made by: its area, with the unique field empty or
/// filled with zeros.
fn templates(area: &Public) -> impl Iterator<Item = Public> {
    [false, true].into_iter().filter_map(|is_filled| {
        let mut template = area.clone();
        match &mut template {
            Public::Ecc { unique, .. } => {
                let zeros = |number: &EccParameter| {
                    let len = if is_filled { number.len() } else { 0 };
                    EccParameter::try_from(std::vec![0; len]).ok()
                };
                *unique = EccPoint::new(zeros(unique.x())?, zeros(unique.y())?);
            }
            Public::Rsa { unique, .. } => {
                let len = if is_filled { unique.len() } else { 0 };
                *unique = PublicKeyRsa::try_from(std::vec![0; len]).ok()?;
            }
            _ => return None,
        }
        Some(template)
    })
}
