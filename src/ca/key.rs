//! New private keys.

use core::fmt;
use std::string::String;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use der::oid::ObjectIdentifier;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm};
use x509_cert::der::pem::LineEnding;
use zeroize::Zeroizing;

use super::Error;
use crate::backend::BoxedSigner;
use crate::backend::file::signer_from_pkcs8;
use crate::core::x509::oid;

/// The kinds of keys that the authority makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// EC P-256.
    #[default]
    P256,
    /// EC P-384.
    P384,
    /// RSA with 2048 bits.
    Rsa2048,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl KeyType {
    /// Every kind, the usual one first.
    pub const ALL: [Self; 8] = [
        Self::P256,
        Self::P384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "ec-p256",
            Self::P384 => "ec-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::MlDsa44 => "ml-dsa-44",
            Self::MlDsa65 => "ml-dsa-65",
            Self::MlDsa87 => "ml-dsa-87",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A private key just made, PKCS#8 (RFC 5958); ML-DSA as its seed (RFC 9881 section 6).
pub struct PrivateKey(SecretDocument);

impl PrivateKey {
    /// Makes a key with the system's random numbers.
    ///
    /// # Errors
    /// [`Error::KeyGeneration`].
    pub fn generate(kind: KeyType) -> Result<Self, Error> {
        match kind {
            KeyType::P256 => elliptic(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyType::P384 => elliptic(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyType::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyType::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyType::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyType::MlDsa44 => ml_dsa(oid::ML_DSA_44),
            KeyType::MlDsa65 => ml_dsa(oid::ML_DSA_65),
            KeyType::MlDsa87 => ml_dsa(oid::ML_DSA_87),
        }
    }

    /// The key as DER PKCS#8.
    pub fn as_der(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The key as a PEM block `PRIVATE KEY`.
    ///
    /// # Errors
    /// [`Error::Encoding`] if there is not enough memory for it.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        Ok(self.0.to_pem("PRIVATE KEY", LineEnding::LF)?)
    }

    /// What signs with the key.
    ///
    /// # Errors
    /// [`Error::GeneratedKey`].
    pub fn signer(&self) -> Result<BoxedSigner, Error> {
        signer_from_pkcs8(self.as_der()).ok_or(Error::GeneratedKey)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(\u{2026})")
    }
}

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> Result<PrivateKey, Error> {
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
        .map_err(|_| Error::KeyGeneration)?;
    from_der(key.as_ref())
}

/// ring makes no RSA keys.
fn rsa(size: KeySize) -> Result<PrivateKey, Error> {
    let key = aws_lc_rs::rsa::KeyPair::generate(size).map_err(|_| Error::KeyGeneration)?;
    let key: Pkcs8V1Der<'_> = key.as_der().map_err(|_| Error::KeyGeneration)?;
    from_der(key.as_ref())
}

/// An ML-DSA private key is its seed: `[0] IMPLICIT OCTET STRING` of 32 bytes (RFC 9881 section 6).
fn ml_dsa(oid: ObjectIdentifier) -> Result<PrivateKey, Error> {
    const SEED_LEN: u8 = 32;
    let mut key = Zeroizing::new([0; 2 + SEED_LEN as usize]);
    let (header, seed) = key.split_at_mut(2);
    header.copy_from_slice(&[0x80, SEED_LEN]);
    SystemRandom::new()
        .fill(seed)
        .map_err(|_| Error::KeyGeneration)?;
    let algorithm = AlgorithmIdentifierRef {
        oid,
        parameters: None,
    };
    let key = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(key.as_slice())?);
    Ok(PrivateKey(SecretDocument::encode_msg(&key)?))
}

fn from_der(der: &[u8]) -> Result<PrivateKey, Error> {
    Ok(PrivateKey(SecretDocument::try_from(der)?))
}
