//! The NV memory of a TPM.

use std::format;
use std::vec::Vec;

use tss_esapi::constants::PropertyTag;
use tss_esapi::handles::{NvIndexHandle, NvIndexTpmHandle, TpmHandle};
use tss_esapi::interface_types::resource_handles::NvAuth;
use tss_esapi::interface_types::session_handles::AuthSession;

use super::capability;
use super::connection::Connection;
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;

/// What each TPM gives at once, if it does not say how much (TPM_PT_NV_BUFFER_MAX).
const AT_ONCE: u32 = 512;

/// The content of an index that anyone may read; `None` if there is no such index.
///
/// # Errors
/// [`TpmError::Call`].
pub fn read(connection: &mut Connection, index: u32) -> Result<Option<Vec<u8>>, TpmError> {
    let Ok(tpm_handle) = NvIndexTpmHandle::new(index) else {
        return Ok(None);
    };
    let what = format!("NV index {index:#010x}");
    let found = connection.run(&what, "TPM2_NV_ReadPublic", |context| {
        context.execute_without_session(|context| {
            context.tr_from_tpm_public(TpmHandle::NvIndex(tpm_handle))
        })
    });
    let handle = match found {
        Ok(handle) => NvIndexHandle::from(handle),
        Err(TpmError::Call { error, .. }) if error.code.bare() == code::HANDLE => return Ok(None),
        Err(error) => return Err(error),
    };
    let content = content(connection, &what, handle);
    let closed = connection.run(&what, "Esys_TR_Close", |context| {
        context.tr_close(&mut handle.into())
    });
    let content = content?;
    closed.map(|()| Some(content))
}

fn content(
    connection: &mut Connection,
    what: &str,
    handle: NvIndexHandle,
) -> Result<Vec<u8>, TpmError> {
    let (public, _) = connection.run(what, "TPM2_NV_ReadPublic", |context| {
        context.execute_without_session(|context| context.nv_read_public(handle))
    })?;
    let most = capability::property(connection, PropertyTag::NvBufferMax)?;
    let most = usize::try_from(most.unwrap_or(AT_ONCE).clamp(1, 2048)).unwrap_or(1);
    let mut content = Vec::with_capacity(public.data_size());
    while content.len() < public.data_size() {
        let len = most.min(public.data_size() - content.len());
        let (len, offset) = (len as u16, content.len() as u16);
        let part = connection.run(what, "TPM2_NV_Read", |context| {
            context.execute_with_session(Some(AuthSession::Password), |context| {
                context.nv_read(NvAuth::NvIndex(handle), handle, len, offset)
            })
        })?;
        if part.value().is_empty() {
            break;
        }
        content.extend(part.value());
    }
    Ok(content)
}
