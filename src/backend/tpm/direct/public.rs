//! What a public area says of its key.

use std::format;
use std::string::String;
use std::vec::Vec;

use crate::backend::algorithm::{self, SignatureAlgorithm};
use crate::backend::public_key;
use crate::backend::tpm::scheme::Allowed;
use crate::core::tpm::{
    self, Hash, P256, P384, P521, PublicArea, PublicKey, SignatureScheme, attributes,
};
use crate::core::x509::oid;

/// The public key, a DER `SubjectPublicKeyInfo`.
///
/// # Errors
/// Why it is none that serves, for people.
pub fn public_key(area: &PublicArea) -> Result<Vec<u8>, String> {
    let strange = || String::from("its public key is not as long as its kind has it");
    match area.key() {
        PublicKey::Rsa { modulus, exponent } => {
            public_key::rsa(modulus, &exponent.to_be_bytes()).ok_or_else(strange)
        }
        PublicKey::Ec { curve, x, y } => {
            let (curve, len) = match curve {
                P256 => (oid::P256, 32),
                P384 => (oid::P384, 48),
                P521 => (oid::P521, 66),
                other => {
                    return Err(format!(
                        "it is on the curve {other:#06x}, which is of no use here"
                    ));
                }
            };
            let mut point = Vec::from([4]);
            for number in [x, y] {
                // A TPM may leave leading zeros out.
                let missing = len - number.len().min(len);
                point.extend(core::iter::repeat_n(0, missing));
                point.extend(number);
            }
            public_key::ec(curve, &point).ok_or_else(strange)
        }
        PublicKey::KeyedHash => Err("it is sealed data or an HMAC key, and no key pair".into()),
        PublicKey::Symmetric => Err("it is a symmetric key, and no key pair".into()),
    }
}

/// Whether the key can sign what comes from outside.
///
/// # Errors
/// Why not, for people.
pub fn check(area: &PublicArea) -> Result<(), String> {
    let why = match (
        area.has(attributes::RESTRICTED),
        area.has(attributes::SIGN),
        area.has(attributes::DECRYPT),
    ) {
        (true, _, true) => {
            "it is a storage key (restricted, decrypt): it keeps other keys, and signs nothing"
        }
        (true, true, _) => {
            "it is an attestation key (restricted, sign): it signs only what the TPM itself says"
        }
        (_, false, _) => "it only decrypts (no sign attribute)",
        _ => return Ok(()),
    };
    Err(why.into())
}

/// Whether failures of the key count towards lockout.
pub fn counts_towards_lockout(area: &PublicArea) -> bool {
    !area.has(attributes::NO_DA)
}

/// What the key may be used for.
pub fn allowed(area: &PublicArea) -> Allowed {
    match area.allowed() {
        tpm::Allowed::Any => Allowed::Any,
        tpm::Allowed::Only(scheme) => Allowed::Only(algorithm(scheme)),
        tpm::Allowed::None => Allowed::None,
    }
}

fn algorithm(scheme: SignatureScheme) -> SignatureAlgorithm {
    let ours = |hash| match hash {
        Hash::Sha256 => algorithm::Hash::Sha256,
        Hash::Sha384 => algorithm::Hash::Sha384,
        Hash::Sha512 => algorithm::Hash::Sha512,
    };
    match scheme {
        SignatureScheme::RsaSsa(hash) => SignatureAlgorithm::RsaPkcs1(ours(hash)),
        SignatureScheme::RsaPss(hash) => SignatureAlgorithm::RsaPss(ours(hash)),
        SignatureScheme::Ecdsa(hash) => SignatureAlgorithm::Ecdsa(ours(hash)),
    }
}

/// What a TPM calls an algorithm; `None` for one that it does not have.
pub fn scheme(algorithm: SignatureAlgorithm) -> Option<SignatureScheme> {
    let theirs = |hash| match hash {
        algorithm::Hash::Sha256 => Hash::Sha256,
        algorithm::Hash::Sha384 => Hash::Sha384,
        algorithm::Hash::Sha512 => Hash::Sha512,
    };
    match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash) => Some(SignatureScheme::RsaSsa(theirs(hash))),
        SignatureAlgorithm::RsaPss(hash) => Some(SignatureScheme::RsaPss(theirs(hash))),
        SignatureAlgorithm::Ecdsa(hash) => Some(SignatureScheme::Ecdsa(theirs(hash))),
        SignatureAlgorithm::MlDsa(_) => None,
    }
}
