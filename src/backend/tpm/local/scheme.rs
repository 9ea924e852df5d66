//! What libtss2 calls the schemes of signatures.

use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::structures::{EccScheme, HashScheme, Public, RsaScheme, SignatureScheme};

use crate::backend::algorithm::{Hash, SignatureAlgorithm};
use crate::backend::tpm::scheme::{Allowed, Signature};

/// What a key may be used for, as its public area says.
pub fn allowed(public: &Public) -> Allowed {
    let only = |algorithm: fn(Hash) -> SignatureAlgorithm, hash: &HashScheme| {
        known_hash(hash.hashing_algorithm())
            .map_or(Allowed::None, |hash| Allowed::Only(algorithm(hash)))
    };
    match public {
        Public::Rsa { parameters, .. } => match parameters.rsa_scheme() {
            RsaScheme::Null => Allowed::Any,
            RsaScheme::RsaSsa(hash) => only(SignatureAlgorithm::RsaPkcs1, &hash),
            RsaScheme::RsaPss(hash) => only(SignatureAlgorithm::RsaPss, &hash),
            _ => Allowed::None,
        },
        Public::Ecc { parameters, .. } => match parameters.ecc_scheme() {
            EccScheme::Null => Allowed::Any,
            EccScheme::EcDsa(hash) => only(SignatureAlgorithm::Ecdsa, &hash),
            _ => Allowed::None,
        },
        _ => Allowed::None,
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

/// The scheme of a TPM. That without one is left to the key.
pub fn scheme(algorithm: SignatureAlgorithm) -> SignatureScheme {
    let of = |hash| HashScheme::new(hashing(hash));
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash) => SignatureScheme::RsaSsa {
            hash_scheme: of(hash),
        },
        SignatureAlgorithm::RsaPss(hash) => SignatureScheme::RsaPss {
            hash_scheme: of(hash),
        },
        SignatureAlgorithm::Ecdsa(hash) => SignatureScheme::EcDsa {
            hash_scheme: of(hash),
        },
        SignatureAlgorithm::MlDsa(_) => SignatureScheme::Null,
    }
}

/// What the TPM answered, if it is a signature of a kind that was asked for.
pub fn signature(signature: &tss_esapi::structures::Signature) -> Option<Signature> {
    use tss_esapi::structures::Signature as Theirs;
    match signature {
        Theirs::RsaSsa(rsa) | Theirs::RsaPss(rsa) => {
            Some(Signature::Rsa(rsa.signature().value().into()))
        }
        Theirs::EcDsa(ecc) => Some(Signature::Ecdsa {
            r: ecc.signature_r().value().into(),
            s: ecc.signature_s().value().into(),
        }),
        _ => None,
    }
}
