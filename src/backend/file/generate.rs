//! New private keys.

use core::fmt;
use std::string::String;

use der::Encode as _;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::{pbes2, scrypt};
use pkcs8::spki::AlgorithmIdentifierRef;
use pkcs8::{PrivateKeyInfoRef, SecretDocument};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::private_key;
use crate::backend::BoxedSigner;
use crate::backend::secret::Secret;
use crate::core::x509::oid;

/// The kinds of keys that can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyType {
    /// EC P-256.
    #[default]
    P256,
    /// EC P-384.
    P384,
    /// EC P-521.
    P521,
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
    pub const ALL: [Self; 9] = [
        Self::P256,
        Self::P384,
        Self::P521,
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
            Self::P521 => "ec-p521",
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
    /// [`GenerateError`]; RSA keys are made only with the feature `ca`.
    pub fn generate(kind: KeyType) -> Result<Self, GenerateError> {
        match kind {
            KeyType::P256 => elliptic(&signature::ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyType::P384 => elliptic(&signature::ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyType::P521 => p521(),
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => rsa(kind),
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
    /// [`GenerateError::Encoding`] if there is not enough memory for it.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, GenerateError> {
        self.0
            .to_pem("PRIVATE KEY", LineEnding::LF)
            .map_err(|_| GenerateError::Encoding)
    }

    /// The key as a PEM block `ENCRYPTED PRIVATE KEY`: AES-256 under a key that scrypt derives from the
    /// password, at the cost that OpenSSL reads at most by default.
    ///
    /// # Errors
    /// [`GenerateError::Random`] and [`GenerateError::Encoding`].
    pub fn to_encrypted_pem(&self, password: &Secret) -> Result<Zeroizing<String>, GenerateError> {
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        random(&mut salt)?;
        random(&mut iv)?;
        let encrypt = || {
            let cost = scrypt::Params::new(14, 8, 1).ok()?;
            let parameters = pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).ok()?;
            let key = PrivateKeyInfoRef::try_from(self.as_der()).ok()?;
            let encrypted = key.encrypt_with_params(parameters, password.expose());
            encrypted
                .ok()?
                .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
                .ok()
        };
        encrypt().ok_or(GenerateError::Encoding)
    }

    /// What signs with the key.
    ///
    /// # Errors
    /// [`GenerateError::Unusable`].
    pub fn signer(&self) -> Result<BoxedSigner, GenerateError> {
        private_key::from_pkcs8(self.as_der()).map_err(|_| GenerateError::Unusable)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(\u{2026})")
    }
}

fn elliptic(algorithm: &'static EcdsaSigningAlgorithm) -> Result<PrivateKey, GenerateError> {
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
        .map_err(|_| GenerateError::Random)?;
    from_der(key.as_ref())
}

/// ring does not know this curve.
fn p521() -> Result<PrivateKey, GenerateError> {
    let mut scalar = Zeroizing::new([0; 66]);
    loop {
        random(scalar.as_mut())?;
        // The order has 521 bits, and is so close to 2^521 that the first try is as good as sure.
        scalar[0] &= 1;
        if let Ok(key) = p521::SecretKey::from_slice(scalar.as_slice()) {
            let public_key = p521::ecdsa::VerifyingKey::from(key.public_key()).to_sec1_point(false);
            let key = EcPrivateKey {
                private_key: scalar.as_slice(),
                parameters: None,
                public_key: Some(public_key.as_bytes()),
            };
            let key = key.to_der().map_err(|_| GenerateError::Encoding)?;
            return pkcs8(oid::EC, Some((&oid::P521).into()), &Zeroizing::new(key));
        }
    }
}

/// ring makes no RSA keys.
#[cfg(feature = "ca")]
fn rsa(kind: KeyType) -> Result<PrivateKey, GenerateError> {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};

    let size = match kind {
        KeyType::Rsa3072 => KeySize::Rsa3072,
        KeyType::Rsa4096 => KeySize::Rsa4096,
        _ => KeySize::Rsa2048,
    };
    let key = KeyPair::generate(size).map_err(|_| GenerateError::Random)?;
    let key: Pkcs8V1Der<'_> = key.as_der().map_err(|_| GenerateError::Encoding)?;
    from_der(key.as_ref())
}

#[cfg(not(feature = "ca"))]
fn rsa(kind: KeyType) -> Result<PrivateKey, GenerateError> {
    Err(GenerateError::NotBuilt(kind))
}

/// An ML-DSA private key is its seed: `[0] IMPLICIT OCTET STRING` of 32 bytes (RFC 9881 section 6).
fn ml_dsa(oid: ObjectIdentifier) -> Result<PrivateKey, GenerateError> {
    const SEED_LEN: u8 = 32;
    let mut key = Zeroizing::new([0; 2 + SEED_LEN as usize]);
    let (header, seed) = key.split_at_mut(2);
    header.copy_from_slice(&[0x80, SEED_LEN]);
    random(seed)?;
    pkcs8(oid, None, key.as_slice())
}

fn pkcs8(
    oid: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<PrivateKey, GenerateError> {
    let algorithm = AlgorithmIdentifierRef { oid, parameters };
    OctetStringRef::new(key)
        .and_then(|key| SecretDocument::encode_msg(&PrivateKeyInfoRef::new(algorithm, key)))
        .map(PrivateKey)
        .map_err(|_| GenerateError::Encoding)
}

fn random(bytes: &mut [u8]) -> Result<(), GenerateError> {
    SystemRandom::new()
        .fill(bytes)
        .map_err(|_| GenerateError::Random)
}

fn from_der(der: &[u8]) -> Result<PrivateKey, GenerateError> {
    SecretDocument::try_from(der)
        .map(PrivateKey)
        .map_err(|_| GenerateError::Encoding)
}

/// Why there is no new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenerateError {
    /// The system gave no random numbers, or the key generator failed.
    Random,
    /// The new key cannot be written.
    Encoding,
    /// The new key cannot be used.
    Unusable,
    /// This program was built without what makes such keys.
    NotBuilt(KeyType),
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("the key generator failed"),
            Self::Encoding => f.write_str("the key just generated cannot be written"),
            Self::Unusable => f.write_str("the key just generated cannot be used"),
            Self::NotBuilt(kind) => {
                write!(f, "{kind} keys are not made: built without feature `ca`")
            }
        }
    }
}

impl core::error::Error for GenerateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::signature::verify;
    use crate::core::key::Signer as _;
    use std::vec;

    #[test]
    fn every_kind_can_be_used() {
        for kind in KeyType::ALL {
            let made = PrivateKey::generate(kind);
            if cfg!(not(feature = "ca")) && kind.name().starts_with("rsa") {
                assert_eq!(made.err(), Some(GenerateError::NotBuilt(kind)));
                continue;
            }
            let mut signer = made.unwrap().signer().unwrap();
            let scheme = signer.key().roles_anywhere_scheme();
            let mut signature = vec![0; signer.key().max_signature_len()];
            let len = signer.sign(scheme, b"message", &mut signature).unwrap();
            verify(signer.public_key(), scheme, b"message", &signature[..len]).unwrap();
        }
    }
}
