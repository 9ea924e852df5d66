//! SigV4 with a certificate's private key, as IAM Roles Anywhere takes it: no derived keys, the
//! private key signs the string to sign itself.

use super::StringToSign;
use crate::core::key::{KeyKind, SignError, Signer};

/// The name of the algorithm that goes with a kind of key.
pub fn algorithm(key: KeyKind) -> &'static str {
    match key {
        KeyKind::Rsa { .. } => "AWS4-X509-RSA-SHA256",
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => "AWS4-X509-ECDSA-SHA256",
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => "AWS4-X509-MLDSA",
    }
}

/// Signs a string to sign; gives the signature, which is in `out`.
///
/// # Errors
/// The signer's.
pub fn sign<'o>(
    signer: &mut dyn Signer,
    string_to_sign: &StringToSign,
    out: &'o mut [u8],
) -> Result<&'o [u8], SignError> {
    let scheme = signer.key().roles_anywhere_scheme();
    let len = signer.sign(scheme, string_to_sign.as_str().as_bytes(), out)?;
    out.get(..len).ok_or(SignError::BufferTooSmall)
}
