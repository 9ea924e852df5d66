//! Keys that were made elsewhere, and wrapped for a parent key of this TPM.

use tss_esapi::structures::{EncryptedSecret, Private, Public, SymmetricDefinitionObject};

use super::connection::Connection;
use super::parent::Parent;
use crate::backend::tpm::device::Operator;
use crate::backend::tpm::error::TpmError;

/// Makes what was wrapped for the parent key into what can be loaded under it. There is no inner wrapper
/// (draft-bottomley-tpm2-keys, section 3.1.4).
///
/// # Errors
/// [`TpmError::File`], if `secret` is none; [`TpmError`].
pub fn import(
    connection: &mut Connection,
    parent: &mut Parent,
    operator: &mut dyn Operator,
    called: &str,
    public: &Public,
    wrapped: &Private,
    secret: &[u8],
) -> Result<Private, TpmError> {
    let secret = EncryptedSecret::try_from(secret).map_err(|_| TpmError::File {
        name: called.into(),
        reason: "secret: it is longer than any that a TPM takes".into(),
        remedy: std::string::String::new(),
    })?;
    parent.run(connection, operator, "TPM2_Import", |context, parent| {
        context.import(
            parent.into(),
            None,
            public.clone(),
            wrapped.clone(),
            secret.clone(),
            SymmetricDefinitionObject::Null,
        )
    })
}
