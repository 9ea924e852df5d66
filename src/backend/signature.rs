//! Every signature check of the project: certificates, CRLs, CSRs, requests.

use core::fmt;

use ml_dsa::{EncodedVerifyingKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, VerifyingKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use ring::signature::UnparsedPublicKey;

use crate::backend::algorithm::{AlgorithmError, Hash, RSASSA_PSS, SignatureAlgorithm};
use crate::core::key::{KeyKind, Scheme};
use crate::core::x509::{AlgorithmIdentifier, PublicKeyInfo, oid};

/// Checks a signature that was made in a known scheme. `public_key` is a DER
/// `SubjectPublicKeyInfo`; `signature` is DER for ECDSA, raw for RSA and ML-DSA.
///
/// # Errors
/// [`VerifyError::Invalid`] if the signature is not that key's over that message; the others if there
/// is nothing to check with.
pub fn verify(
    public_key: &[u8],
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    check(public_key, scheme.into(), message, signature)
}

/// Checks a signature whose algorithm is written beside it, as in a certificate, a CRL or a CSR.
///
/// # Errors
/// As [`verify`], and [`VerifyError::Algorithm`] for an algorithm that is too weak or unknown.
pub fn verify_with(
    public_key: &[u8],
    algorithm: &AlgorithmIdentifier<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let algorithm = SignatureAlgorithm::from_identifier(algorithm)?;
    check(public_key, algorithm, message, signature)
}

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The public key cannot be read, or is of a kind that keystead does not know.
    PublicKey,
    /// An RSA key below 2048 or above 8192 bits.
    RsaBits(u16),
    /// The algorithm is too weak, unknown or malformed.
    Algorithm(AlgorithmError),
    /// The algorithm is for another kind of key.
    OtherKey,
    /// The signature does not fit the message and the key.
    Invalid,
}

impl From<AlgorithmError> for VerifyError {
    fn from(error: AlgorithmError) -> Self {
        Self::Algorithm(error)
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublicKey => f.write_str("the signer's public key is of no known kind"),
            Self::RsaBits(bits) => {
                write!(f, "the signer's RSA key has {bits} bits, not 2048 to 8192")
            }
            Self::Algorithm(error) => error.fmt(f),
            Self::OtherKey => f.write_str("the signature algorithm is for another kind of key"),
            Self::Invalid => f.write_str("the signature is wrong"),
        }
    }
}

impl core::error::Error for VerifyError {}

fn check(
    public_key: &[u8],
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let key = PublicKeyInfo::from_der(public_key).map_err(|_| VerifyError::PublicKey)?;
    let valid = match algorithm {
        SignatureAlgorithm::RsaPkcs1(hash) => {
            let algorithm = match hash {
                Hash::Sha256 => &ring::signature::RSA_PKCS1_2048_8192_SHA256,
                Hash::Sha384 => &ring::signature::RSA_PKCS1_2048_8192_SHA384,
                Hash::Sha512 => &ring::signature::RSA_PKCS1_2048_8192_SHA512,
            };
            ring_verifies(algorithm, rsa_key(&key)?, message, signature)
        }
        SignatureAlgorithm::RsaPss(hash) => {
            let algorithm = match hash {
                Hash::Sha256 => &ring::signature::RSA_PSS_2048_8192_SHA256,
                Hash::Sha384 => &ring::signature::RSA_PSS_2048_8192_SHA384,
                Hash::Sha512 => &ring::signature::RSA_PSS_2048_8192_SHA512,
            };
            ring_verifies(algorithm, rsa_pss_key(&key)?, message, signature)
        }
        SignatureAlgorithm::Ecdsa(hash) => ecdsa_verifies(hash, &key, message, signature)?,
        SignatureAlgorithm::MlDsa(set) => match key.kind().ok_or(VerifyError::PublicKey)? {
            kind if set.is_some_and(|set| set != kind) => return Err(VerifyError::OtherKey),
            KeyKind::MlDsa44 => ml_dsa_verifies::<MlDsa44>(key.key, message, signature),
            KeyKind::MlDsa65 => ml_dsa_verifies::<MlDsa65>(key.key, message, signature),
            KeyKind::MlDsa87 => ml_dsa_verifies::<MlDsa87>(key.key, message, signature),
            _ => return Err(VerifyError::OtherKey),
        },
    };
    if valid {
        Ok(())
    } else {
        Err(VerifyError::Invalid)
    }
}

/// The PKCS#1 key of an RSA key of a length that ring takes.
fn rsa_key<'a>(key: &PublicKeyInfo<'a>) -> Result<&'a [u8], VerifyError> {
    match key.kind().ok_or(VerifyError::PublicKey)? {
        KeyKind::Rsa {
            bits: 2048..=8192, ..
        } => Ok(key.key),
        KeyKind::Rsa { bits } => Err(VerifyError::RsaBits(bits)),
        _ => Err(VerifyError::OtherKey),
    }
}

/// As [`rsa_key`]; a key that says it is for RSASSA-PSS alone will do as well.
fn rsa_pss_key<'a>(key: &PublicKeyInfo<'a>) -> Result<&'a [u8], VerifyError> {
    let mut key = *key;
    if key.algorithm.oid == RSASSA_PSS {
        key.algorithm.oid = oid::RSA;
    }
    rsa_key(&key)
}

fn ring_verifies(
    algorithm: &'static dyn ring::signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    UnparsedPublicKey::new(algorithm, key)
        .verify(message, signature)
        .is_ok()
}

/// Checks a DER signature over a digest with one of RustCrypto's curves.
macro_rules! prehash_verifies {
    ($curve:ident, $point:expr, $digest:expr, $signature:expr) => {{
        let key = $curve::ecdsa::VerifyingKey::from_sec1_bytes($point);
        let signature = $curve::ecdsa::Signature::from_der($signature);
        match (key, signature) {
            (Ok(key), Ok(signature)) => key.verify_prehash($digest, &signature).is_ok(),
            _ => false,
        }
    }};
}

/// ring knows P-256 and P-384 with SHA-256 and SHA-384; the other pairs go through RustCrypto.
fn ecdsa_verifies(
    hash: Hash,
    key: &PublicKeyInfo<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, VerifyError> {
    let point = key.key;
    let ring = |algorithm| ring_verifies(algorithm, point, message, signature);
    Ok(match (key.kind().ok_or(VerifyError::PublicKey)?, hash) {
        (KeyKind::P256, Hash::Sha256) => ring(&ring::signature::ECDSA_P256_SHA256_ASN1),
        (KeyKind::P256, Hash::Sha384) => ring(&ring::signature::ECDSA_P256_SHA384_ASN1),
        (KeyKind::P384, Hash::Sha256) => ring(&ring::signature::ECDSA_P384_SHA256_ASN1),
        (KeyKind::P384, Hash::Sha384) => ring(&ring::signature::ECDSA_P384_SHA384_ASN1),
        (KeyKind::P256, Hash::Sha512) => {
            prehash_verifies!(p256, point, &hash.digest(message), signature)
        }
        (KeyKind::P384, Hash::Sha512) => {
            prehash_verifies!(p384, point, &hash.digest(message), signature)
        }
        (KeyKind::P521, _) => prehash_verifies!(p521, point, &hash.digest(message), signature),
        _ => return Err(VerifyError::OtherKey),
    })
}

fn ml_dsa_verifies<P: MlDsaParams>(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        EncodedVerifyingKey::<P>::try_from(key),
        ml_dsa::Signature::<P>::try_from(signature),
    ) else {
        return false;
    };
    VerifyingKey::<P>::decode(&key).verify_with_context(message, &[], &signature)
}
