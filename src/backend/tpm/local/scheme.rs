//! How a TPM makes a signature of a scheme: what it is given, and what becomes of its answer.

use std::format;
use std::string::String;

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{EccScheme, HashScheme, Public, RsaScheme, Signature, SignatureScheme};

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
    /// What a public area says.
    pub fn of(public: &Public) -> Self {
        let only = |algorithm: fn(Hash) -> SignatureAlgorithm, hash: &HashScheme| {
            known_hash(hash.hashing_algorithm())
                .map_or(Self::None, |hash| Self::Only(algorithm(hash)))
        };
        match public {
            Public::Rsa { parameters, .. } => match parameters.rsa_scheme() {
                RsaScheme::Null => Self::Any,
                RsaScheme::RsaSsa(hash) => only(SignatureAlgorithm::RsaPkcs1, &hash),
                RsaScheme::RsaPss(hash) => only(SignatureAlgorithm::RsaPss, &hash),
                _ => Self::None,
            },
            Public::Ecc { parameters, .. } => match parameters.ecc_scheme() {
                EccScheme::Null => Self::Any,
                EccScheme::EcDsa(hash) => only(SignatureAlgorithm::Ecdsa, &hash),
                _ => Self::None,
            },
            _ => Self::None,
        }
    }

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

/// What a TPM calls a hash.
pub fn known_hash(hash: HashingAlgorithm) -> Option<Hash> {
    match hash {
        HashingAlgorithm::Sha256 => Some(Hash::Sha256),
        HashingAlgorithm::Sha384 => Some(Hash::Sha384),
        HashingAlgorithm::Sha512 => Some(Hash::Sha512),
        _ => None,
    }
}

/// What a TPM calls it.
pub fn hashing(hash: Hash) -> HashingAlgorithm {
    match hash {
        Hash::Sha256 => HashingAlgorithm::Sha256,
        Hash::Sha384 => HashingAlgorithm::Sha384,
        Hash::Sha512 => HashingAlgorithm::Sha512,
    }
}

/// The scheme of a TPM, and the hash of the message that it is given.
///
/// # Errors
/// [`SignError::UnsupportedScheme`].
pub fn plan(
    kind: KeyKind,
    allowed: Allowed,
    scheme: Scheme,
) -> Result<(SignatureScheme, Hash), SignError> {
    let is_rsa = matches!(kind, KeyKind::Rsa { .. });
    if !allowed.has(scheme) {
        return Err(SignError::UnsupportedScheme);
    }
    let of = |hash| HashScheme::new(hashing(hash));
    match SignatureAlgorithm::from(scheme) {
        SignatureAlgorithm::RsaPkcs1(hash) if is_rsa => Ok((
            SignatureScheme::RsaSsa {
                hash_scheme: of(hash),
            },
            hash,
        )),
        SignatureAlgorithm::RsaPss(hash) if is_rsa => Ok((
            SignatureScheme::RsaPss {
                hash_scheme: of(hash),
            },
            hash,
        )),
        SignatureAlgorithm::Ecdsa(hash) if !is_rsa => Ok((
            SignatureScheme::EcDsa {
                hash_scheme: of(hash),
            },
            hash,
        )),
        _ => Err(SignError::UnsupportedScheme),
    }
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
