//! Keys on NIST's curves: P-256 through ring, P-384 and P-521 through RustCrypto, since ring does not
//! sign with the SHA-256 that Roles Anywhere wants from every curve.

use std::boxed::Box;
use std::vec::Vec;

use der::asn1::{AnyRef, ObjectIdentifier};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use zeroize::Zeroizing;

use super::error::Reason;
use super::private_key::public_key_info;
use crate::backend::BoxedSigner;
use crate::backend::algorithm::Hash;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};
use crate::core::x509::oid;

/// The signer of a private number on a curve; a public key that comes with it must belong to it.
pub fn signer(
    curve: ObjectIdentifier,
    private_key: &[u8],
    public_key: Option<&[u8]>,
) -> Result<BoxedSigner, Reason> {
    let (key, point) = match curve {
        oid::P256 => p256(private_key, public_key)?,
        oid::P384 => {
            let key = p384::ecdsa::SigningKey::from_slice(&*padded::<48>(private_key)?)
                .map_err(|_| OUT_OF_RANGE)?;
            let point = key.verifying_key().to_sec1_point(false);
            (EcKey::P384(key), point.as_bytes().to_vec())
        }
        oid::P521 => {
            let key = p521::ecdsa::SigningKey::from_slice(&*padded::<66>(private_key)?)
                .map_err(|_| OUT_OF_RANGE)?;
            let point = key.verifying_key().to_sec1_point(false);
            (EcKey::P521(key), point.as_bytes().to_vec())
        }
        oid::SECP256K1 => return Err(Reason::UnsupportedKey("on the curve secp256k1")),
        other => return Err(Reason::UnknownCurve(other)),
    };
    if public_key.is_some_and(|given| !same_point(given, &point)) {
        return Err(Reason::Inconsistent("EC"));
    }
    Ok(Box::new(EcSigner {
        key,
        public_key: public_key_info(oid::EC, Some(AnyRef::from(&curve)), &point)?,
    }))
}

const OUT_OF_RANGE: Reason = Reason::Malformed("EC key's private number");

fn p256(private_key: &[u8], public_key: Option<&[u8]>) -> Result<(EcKey, Vec<u8>), Reason> {
    let private_key = padded::<32>(private_key)?;
    let point = match public_key {
        // ring checks that it belongs to the private number; to compute it takes as long again.
        Some(point @ [UNCOMPRESSED, ..]) => point.to_vec(),
        _ => p256::SecretKey::from_slice(&*private_key)
            .map_err(|_| OUT_OF_RANGE)?
            .public_key()
            .to_sec1_point(false)
            .as_bytes()
            .to_vec(),
    };
    let key = EcdsaKeyPair::from_private_key_and_public_key(
        &ECDSA_P256_SHA256_ASN1_SIGNING,
        &*private_key,
        &point,
        &SystemRandom::new(),
    )
    .map_err(|_| Reason::Inconsistent("EC"))?;
    Ok((EcKey::P256 { key, private_key }, point))
}

/// The first byte of a point in its long form (SEC 1 section 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// Compares a point in either form with one in the long form.
fn same_point(given: &[u8], point: &[u8]) -> bool {
    match given {
        [UNCOMPRESSED, ..] => given == point,
        [sign @ (2 | 3), x @ ..] => {
            let (long_x, y) = point[1..].split_at(point.len() / 2);
            x == long_x && y.last().is_some_and(|y| y & 1 == sign & 1)
        }
        _ => false,
    }
}

/// Some writers leave leading zero bytes out.
fn padded<const LEN: usize>(private_key: &[u8]) -> Result<Zeroizing<[u8; LEN]>, Reason> {
    let mut padded = Zeroizing::new([0; LEN]);
    let start = LEN.checked_sub(private_key.len()).ok_or(OUT_OF_RANGE)?;
    padded[start..].copy_from_slice(private_key);
    Ok(padded)
}

enum EcKey {
    P256 {
        key: EcdsaKeyPair,
        /// For the hashes that ring does not sign with.
        private_key: Zeroizing<[u8; 32]>,
    },
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
}

struct EcSigner {
    key: EcKey,
    public_key: Vec<u8>,
}

impl Signer for EcSigner {
    fn key(&self) -> KeyKind {
        match self.key {
            EcKey::P256 { .. } => KeyKind::P256,
            EcKey::P384(_) => KeyKind::P384,
            EcKey::P521(_) => KeyKind::P521,
        }
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let hash = match scheme {
            Scheme::EcdsaSha256 => Hash::Sha256,
            Scheme::EcdsaSha384 => Hash::Sha384,
            Scheme::EcdsaSha512 => Hash::Sha512,
            _ => return Err(SignError::UnsupportedScheme),
        };
        let digest = hash.digest(message);
        match &self.key {
            EcKey::P256 { key, .. } if hash == Hash::Sha256 => {
                let signature = key
                    .sign(&SystemRandom::new(), message)
                    .map_err(|_| SignError::Failed)?;
                copy(signature.as_ref(), out)
            }
            EcKey::P256 { private_key, .. } => {
                let key = p256::ecdsa::SigningKey::from_slice(&**private_key)
                    .map_err(|_| SignError::Failed)?;
                sign_digest::<p256::ecdsa::DerSignature>(&key, &digest, out)
            }
            EcKey::P384(key) => sign_digest::<p384::ecdsa::DerSignature>(key, &digest, out),
            EcKey::P521(key) => sign_digest::<p521::ecdsa::DerSignature>(key, &digest, out),
        }
    }
}

fn sign_digest<S: AsRef<[u8]>>(
    key: &impl PrehashSigner<S>,
    digest: &[u8],
    out: &mut [u8],
) -> Result<usize, SignError> {
    let signature = key.sign_prehash(digest).map_err(|_| SignError::Failed)?;
    copy(signature.as_ref(), out)
}

fn copy(signature: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
    out.get_mut(..signature.len())
        .ok_or(SignError::BufferTooSmall)?
        .copy_from_slice(signature);
    Ok(signature.len())
}
