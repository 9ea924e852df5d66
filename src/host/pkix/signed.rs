//! Signatures on certificates, certificate revocation lists and certificate requests.

use core::fmt;
use std::vec;
use std::vec::Vec;

use der::asn1::{Any, AnyRef, BitStringRef};
use der::oid::ObjectIdentifier;
use der::{Decode as _, Encode, Sequence};
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::core::key::{KeyKind, Scheme, SignError, Signer};
use crate::core::x509::oid;

/// sha256WithRSAEncryption (RFC 8017).
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// ecdsa-with-SHA256 (RFC 5758).
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// ecdsa-with-SHA384 (RFC 5758).
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// ecdsa-with-SHA512 (RFC 5758).
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

/// How a key signs certificates: the hash as strong as the curve; ML-DSA without a hash (RFC 9881).
#[derive(Clone)]
pub(crate) struct SignatureAlgorithm {
    scheme: Scheme,
    pub(crate) identifier: AlgorithmIdentifierOwned,
}

impl From<KeyKind> for SignatureAlgorithm {
    fn from(key: KeyKind) -> Self {
        let (scheme, oid) = match key {
            KeyKind::Rsa { .. } => (Scheme::RsaPkcs1Sha256, RSA_SHA256),
            KeyKind::P256 => (Scheme::EcdsaSha256, ECDSA_SHA256),
            KeyKind::P384 => (Scheme::EcdsaSha384, ECDSA_SHA384),
            KeyKind::P521 => (Scheme::EcdsaSha512, ECDSA_SHA512),
            KeyKind::MlDsa44 => (Scheme::MlDsa, oid::ML_DSA_44),
            KeyKind::MlDsa65 => (Scheme::MlDsa, oid::ML_DSA_65),
            KeyKind::MlDsa87 => (Scheme::MlDsa, oid::ML_DSA_87),
        };
        // RSA alone has parameters, and they are NULL (RFC 4055 section 5).
        let parameters = matches!(key, KeyKind::Rsa { .. }).then(Any::null);
        Self {
            scheme,
            identifier: AlgorithmIdentifierOwned { oid, parameters },
        }
    }
}

impl SignatureAlgorithm {
    /// The same with SHA-256 for every curve.
    pub(crate) fn sha256(key: KeyKind) -> Self {
        match key {
            KeyKind::P384 | KeyKind::P521 => Self::from(KeyKind::P256),
            key => Self::from(key),
        }
    }
}

/// The outer structure that certificates, CRLs and certificate requests share.
#[derive(Sequence)]
struct Signed<'a> {
    /// What is signed, DER.
    content: AnyRef<'a>,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitStringRef<'a>,
}

/// Signs `content`, which names `algorithm` in itself, and gives the whole, DER.
pub(crate) fn sign(
    content: &impl Encode,
    algorithm: &SignatureAlgorithm,
    signer: &mut dyn Signer,
) -> Result<Vec<u8>, SigningError> {
    let content = content.to_der()?;
    let mut signature = vec![0; signer.key().max_signature_len()];
    let length = signer.sign(algorithm.scheme, &content, &mut signature)?;
    let whole = Signed {
        content: AnyRef::from_der(&content)?,
        algorithm: algorithm.identifier.clone(),
        signature: BitStringRef::from_bytes(&signature[..length])?,
    };
    Ok(whole.to_der()?)
}

/// Why something was not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningError {
    /// The key did not sign.
    Sign(SignError),
    /// What was to be signed has no DER.
    Encoding(der::Error),
}

impl fmt::Display for SigningError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sign(error) => write!(f, "the key did not sign: {error}"),
            Self::Encoding(error) => write!(f, "what is to be signed cannot be written: {error}"),
        }
    }
}

impl core::error::Error for SigningError {}

impl From<SignError> for SigningError {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl From<der::Error> for SigningError {
    fn from(error: der::Error) -> Self {
        Self::Encoding(error)
    }
}
