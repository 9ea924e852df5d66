//! How a TPM makes a signature of a scheme: what it is given, and what becomes of its answer.

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{HashScheme, Signature, SignatureScheme};

use crate::backend::algorithm::Hash;
use crate::backend::ecdsa;
use crate::core::key::{KeyKind, Scheme, SignError};

/// The scheme of a TPM, and the hash of the message that it is given.
///
/// # Errors
/// [`SignError::UnsupportedScheme`].
pub fn plan(kind: KeyKind, scheme: Scheme) -> Result<(SignatureScheme, Hash), SignError> {
    let is_rsa = matches!(kind, KeyKind::Rsa { .. });
    let (hash, wants_rsa) = match scheme {
        Scheme::RsaPkcs1Sha256 | Scheme::RsaPssSha256 => (Hash::Sha256, true),
        Scheme::RsaPkcs1Sha384 | Scheme::RsaPssSha384 => (Hash::Sha384, true),
        Scheme::RsaPkcs1Sha512 | Scheme::RsaPssSha512 => (Hash::Sha512, true),
        Scheme::EcdsaSha256 => (Hash::Sha256, false),
        Scheme::EcdsaSha384 => (Hash::Sha384, false),
        Scheme::EcdsaSha512 => (Hash::Sha512, false),
        _ => return Err(SignError::UnsupportedScheme),
    };
    if is_rsa != wants_rsa {
        return Err(SignError::UnsupportedScheme);
    }
    let hash_scheme = HashScheme::new(match hash {
        Hash::Sha256 => HashingAlgorithm::Sha256,
        Hash::Sha384 => HashingAlgorithm::Sha384,
        Hash::Sha512 => HashingAlgorithm::Sha512,
    });
    let scheme = match scheme {
        Scheme::RsaPkcs1Sha256 | Scheme::RsaPkcs1Sha384 | Scheme::RsaPkcs1Sha512 => {
            SignatureScheme::RsaSsa { hash_scheme }
        }
        Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512 => {
            SignatureScheme::RsaPss { hash_scheme }
        }
        _ => SignatureScheme::EcDsa { hash_scheme },
    };
    Ok((scheme, hash))
}

/// Writes a signature as [`crate::core::key::Signer::sign`] has it.
///
/// # Errors
/// [`SignError::BufferTooSmall`]; [`SignError::Failed`] if the TPM answered with another kind.
pub fn write(signature: &Signature, out: &mut [u8]) -> Result<usize, SignError> {
    match signature {
        Signature::RsaSsa(rsa) | Signature::RsaPss(rsa) => {
            let bytes = rsa.signature().value();
            let place = out
                .get_mut(..bytes.len())
                .ok_or(SignError::BufferTooSmall)?;
            place.copy_from_slice(bytes);
            Ok(bytes.len())
        }
        Signature::EcDsa(ecc) => {
            ecdsa::write(ecc.signature_r().value(), ecc.signature_s().value(), out)
        }
        _ => Err(SignError::Failed),
    }
}
