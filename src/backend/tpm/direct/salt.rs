//! The key that sessions are salted to. What somebody between us and the TPM could put in its place must not be
//! taken for it: its public area is read, and has to have the name that was recorded.

use std::borrow::ToOwned as _;
use std::format;

use super::connection::{Connection, bytes};
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::ledger::What;
use crate::backend::tpm::salt::{changed, what, wrong};
use crate::backend::tpm::uri::SaltKey;
use crate::backend::tpm::{key_file, primary};
use crate::core::tpm::{Auth, Hash, P256, PublicArea, PublicKey, SaltTo};

/// Whether the salt can be encrypted to the key here, as far as that is known without making it anew.
///
/// # Errors
/// [`TpmError::Unsupported`], if libtss2 has to do that; [`TpmError`].
pub fn check(connection: &mut Connection, salt: &SaltKey) -> Result<(), TpmError> {
    if salt.handle != key_file::Hierarchy::Owner.handle()
        && let Some(area) = read(connection, salt)?
    {
        fits(salt, &area)?;
    }
    Ok(())
}

/// Does `work` with the key. That which had to be made anew is removed from the TPM then.
///
/// # Errors
/// [`TpmError::Key`], if the TPM has no key with this name; [`TpmError::Unsupported`] for one that a salt
/// cannot be encrypted to here; [`TpmError`].
pub fn with<T>(
    connection: &mut Connection,
    salt: &SaltKey,
    work: impl FnOnce(&mut Connection, SaltTo<'_>) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let owner = key_file::Hierarchy::Owner.handle();
    if salt.handle != owner
        && let Some(area) = read(connection, salt)?
    {
        fits(salt, &area)?;
        let handle = salt.handle;
        return work(
            connection,
            SaltTo {
                handle,
                area: &area,
            },
        );
    }
    // It was not persistent, or is not any more.
    let template = primary::template(key_file::Template::Ecc).area();
    let created = connection.record(
        What::template(&bytes(&template)),
        |connection| {
            connection.run(what(salt), "TPM2_CreatePrimary", |chip| {
                chip.create_primary(owner, Auth::Password(&[]), &template)
            })
        },
        |(handle, ..)| *handle,
    );
    let (handle, area, name) = created.map_err(|error| match error {
        TpmError::Call { error, .. } if error.code.bare() == code::BAD_AUTH => wrong(
            salt,
            "it has to be made anew, and its hierarchy has a password",
            "make it persistent (tpm2_createprimary, tpm2_evictcontrol), and name it by that handle",
        ),
        error => error,
    })?;
    connection.while_loaded(handle, |connection| {
        if *name != *salt.name {
            return Err(changed(salt));
        }
        work(
            connection,
            SaltTo {
                handle,
                area: &area,
            },
        )
    })
}

/// What is at its handle, if anything is.
fn read(connection: &mut Connection, salt: &SaltKey) -> Result<Option<PublicArea>, TpmError> {
    let read = connection.run(what(salt), "TPM2_ReadPublic", |chip| {
        chip.read_public(salt.handle)
    });
    match read {
        Ok((area, name)) if *name == *salt.name => Ok(Some(area)),
        Ok(_) => Err(changed(salt)),
        Err(TpmError::Call { error, .. }) if error.code.bare() == code::HANDLE => Ok(None),
        // Whoever puts an area in its place whose name is another than the one that is said.
        Err(TpmError::Call { error, .. }) if error.code == code::MALFORMED_RESPONSE => {
            Err(changed(salt))
        }
        Err(error) => Err(error),
    }
}

/// Whether a salt can be encrypted to a key here.
///
/// # Errors
/// [`TpmError::Unsupported`].
pub fn fits(salt: &SaltKey, area: &PublicArea) -> Result<(), TpmError> {
    let is_p256 = matches!(area.key(), PublicKey::Ec { curve: P256, .. });
    match is_p256 && area.name_hash() == Some(Hash::Sha256) {
        true => Ok(()),
        false => Err(TpmError::Unsupported {
            what: format!(
                "{}: sessions are salted to it by libtss2 alone, since it is not on P-256",
                what(salt)
            ),
            remedy: "--tpm-transport tss, or tpm-transport = \"tss\", has keystead-signer use the key, which has \
                     libtss2"
                .to_owned(),
        }),
    }
}
