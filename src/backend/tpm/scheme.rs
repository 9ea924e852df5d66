//! How a TPM makes a signature of a scheme: what it is given, and what becomes of its answer.

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::backend::algorithm::{Hash, SignatureAlgorithm};
use crate::core::ecdsa;
use crate::core::key::{KeyKind, Scheme, SignError};

/// What a key may be used for, as its public area says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Each scheme of its kind.
    Any,
    /// One.
    Only(SignatureAlgorithm),
    /// None that is known here.
    None,
}

impl Allowed {
    /// Whether the key may sign so.
    pub fn has(self, scheme: Scheme) -> bool {
        match self {
            Self::Any => true,
            Self::Only(algorithm) => algorithm == scheme.into(),
            Self::None => false,
        }
    }

    /// Whether the key may sign what Roles Anywhere wants to have signed.
    ///
    /// # Errors
    /// Why not, for people.
    pub fn serves(self, kind: KeyKind) -> Result<(), String> {
        let wanted = kind.roles_anywhere_scheme();
        match self {
            _ if self.has(wanted) => Ok(()),
            Self::Only(algorithm) => Err(format!(
                "it signs by {algorithm} only, and IAM Roles Anywhere wants {} from {kind}",
                SignatureAlgorithm::from(wanted)
            )),
            _ => Err("its scheme is for something other than signatures".into()),
        }
    }
}

/// By which algorithm the TPM signs, and the hash of the message that it is given.
///
/// # Errors
/// [`SignError::UnsupportedScheme`].
pub fn plan(
    kind: KeyKind,
    allowed: Allowed,
    scheme: Scheme,
) -> Result<(SignatureAlgorithm, Hash), SignError> {
    let is_rsa = matches!(kind, KeyKind::Rsa { .. });
    if !allowed.has(scheme) {
        return Err(SignError::UnsupportedScheme);
    }
    let algorithm = SignatureAlgorithm::from(scheme);
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash) | SignatureAlgorithm::RsaPss(hash) if is_rsa => {
            Ok((algorithm, hash))
        }
        SignatureAlgorithm::Ecdsa(hash) if !is_rsa => Ok((algorithm, hash)),
        _ => Err(SignError::UnsupportedScheme),
    }
}

/// A signature, as a TPM gives it: big-endian numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// RSA.
    Rsa(Vec<u8>),
    /// ECDSA.
    Ecdsa {
        /// r.
        r: Vec<u8>,
        /// s.
        s: Vec<u8>,
    },
}

impl Signature {
    /// Writes it as [`crate::core::key::Signer::sign`] has it.
    ///
    /// # Errors
    /// [`SignError::BufferTooSmall`]; [`SignError::Failed`] if the numbers are too long.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, SignError> {
        match self {
            Self::Rsa(bytes) => {
                let place = out
                    .get_mut(..bytes.len())
                    .ok_or(SignError::BufferTooSmall)?;
                place.copy_from_slice(bytes);
                Ok(bytes.len())
            }
            Self::Ecdsa { r, s } => ecdsa::write(r, s, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_a_scheme_of_its_own_signs_by_no_other() {
        let only = Allowed::Only(SignatureAlgorithm::Ecdsa(Hash::Sha384));
        assert!(only.has(Scheme::EcdsaSha384));
        assert!(!only.has(Scheme::EcdsaSha256));
        assert_eq!(
            plan(KeyKind::P384, only, Scheme::EcdsaSha256),
            Err(SignError::UnsupportedScheme)
        );
        assert_eq!(
            only.serves(KeyKind::P384).unwrap_err(),
            "it signs by ECDSA with SHA-384 only, and IAM Roles Anywhere wants ECDSA with SHA-256 from EC P-384"
        );
        let rsa = Allowed::Only(SignatureAlgorithm::RsaPkcs1(Hash::Sha256));
        assert_eq!(rsa.serves(KeyKind::Rsa { bits: 2048 }), Ok(()));
        assert!(!rsa.has(Scheme::RsaPssSha256));
    }

    #[test]
    fn schemes_of_other_kinds_of_keys_are_refused() {
        for (kind, scheme) in [
            (KeyKind::P256, Scheme::RsaPkcs1Sha256),
            (KeyKind::P256, Scheme::MlDsa),
            (KeyKind::Rsa { bits: 2048 }, Scheme::EcdsaSha256),
        ] {
            assert_eq!(
                plan(kind, Allowed::Any, scheme),
                Err(SignError::UnsupportedScheme)
            );
        }
    }
}
