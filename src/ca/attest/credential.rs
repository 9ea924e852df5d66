//! MakeCredential (TPM 2.0 Part 1, section 24, and Part 3, section 12.6), without a TPM: a secret for the
//! one TPM that has an endorsement key, and only while it holds an object of a certain name.

use std::vec;
use std::vec::Vec;

use aws_lc_rs::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepPublicEncryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::{hmac, iv};
use zeroize::Zeroizing;

use super::AttestError;
use super::structure::{Attributes, Curve, Key, PublicArea};
use crate::backend::algorithm::Hash;

/// What [`make_credential`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The contents of a `TPM2B_ID_OBJECT`.
    pub blob: Vec<u8>,
    /// The contents of a `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted_secret: Vec<u8>,
}

/// Encrypts `secret` (at most as long as the hash of the endorsement key's name) for the TPM with the
/// endorsement key of the public area `ek_public` (a `TPMT_PUBLIC`), to be released while an object of
/// the name `name` is loaded.
///
/// # Errors
/// [`AttestError`] if the key is none for that.
pub fn make_credential(
    ek_public: &[u8],
    name: &[u8],
    secret: &[u8],
) -> Result<Credential, AttestError> {
    let ek = PublicArea::read(ek_public)
        .map_err(|error| AttestError::public_area("endorsement key", error))?;
    let aes_bits = storage_cipher(&ek)?;
    encrypt(&ek, aes_bits, name, secret).map_err(|Unspecified| {
        AttestError::EndorsementKey("nothing can be encrypted to its public key")
    })
}

/// The bits of its symmetric key, if it is an endorsement key.
///
/// # Errors
/// What of an endorsement key it lacks.
pub fn storage_cipher(ek: &PublicArea) -> Result<u16, AttestError> {
    let attributes = ek.attributes;
    for (attribute, name) in [
        (Attributes::FIXED_TPM, "fixedTPM"),
        (Attributes::FIXED_PARENT, "fixedParent"),
        (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
        (Attributes::RESTRICTED, "restricted"),
        (Attributes::DECRYPT, "decrypt"),
    ] {
        if !attributes.has(attribute) {
            return Err(AttestError::Lacks("endorsement key", name));
        }
    }
    ek.aes_bits
        .filter(|bits| matches!(bits, 128 | 256))
        .ok_or(AttestError::EndorsementKey(
            "it protects what is encrypted to it by something other than AES-128 or AES-256 in CFB mode",
        ))
}

fn encrypt(
    ek: &PublicArea,
    aes_bits: u16,
    name: &[u8],
    secret: &[u8],
) -> Result<Credential, Unspecified> {
    let hash = ek.name_hash;
    if secret.len() > hash.digest_len() {
        return Err(Unspecified);
    }
    let (seed, encrypted_secret) = match &ek.key {
        Key::Rsa => rsa_seed(ek)?,
        Key::Ecc(curve, point) => ecdh_seed(hash, *curve, point)?,
    };
    // TPM2B_DIGEST.
    let mut identity = u16::try_from(secret.len())
        .map_err(|_| Unspecified)?
        .to_be_bytes()
        .to_vec();
    identity.extend_from_slice(secret);
    let key = kdf_a(hash, &seed, b"STORAGE", name, aes_bits.into());
    let cipher = match aes_bits {
        128 => &AES_128,
        _ => &AES_256,
    };
    // The key is used this once, so that the vector may be zero (Part 1, section 24.4).
    EncryptingKey::cfb128(UnboundCipherKey::new(cipher, &key)?)?.less_safe_encrypt(
        &mut identity,
        EncryptionContext::Iv128(iv::FixedLength::from([0; 16])),
    )?;
    let key = kdf_a(hash, &seed, b"INTEGRITY", &[], hash.digest_len() * 8);
    let mut authenticated = identity.clone();
    authenticated.extend_from_slice(name);
    let integrity = hmac::sign(&hmac::Key::new(hmac_algorithm(hash), &key), &authenticated);
    let mut blob = Vec::new();
    push_sized(&mut blob, integrity.as_ref());
    blob.append(&mut identity);
    Ok(Credential {
        blob,
        encrypted_secret,
    })
}

type Seed = (Zeroizing<Vec<u8>>, Vec<u8>);

/// A random seed, encrypted to an RSA key (Part 1, section B.10.4).
fn rsa_seed(ek: &PublicArea) -> Result<Seed, Unspecified> {
    let mut seed = Zeroizing::new(vec![0; ek.name_hash.digest_len()]);
    SystemRandom::new().fill(&mut seed)?;
    let key = PublicEncryptingKey::from_der(&ek.public_key).map_err(|_| Unspecified)?;
    let key = OaepPublicEncryptingKey::new(key)?;
    let algorithm = match ek.name_hash {
        Hash::Sha256 => &OAEP_SHA256_MGF1SHA256,
        Hash::Sha384 => &OAEP_SHA384_MGF1SHA384,
        Hash::Sha512 => &OAEP_SHA512_MGF1SHA512,
    };
    let mut encrypted = vec![0; key.ciphertext_size()];
    key.encrypt(algorithm, &seed, &mut encrypted, Some(b"IDENTITY\0"))?;
    Ok((seed, encrypted))
}

/// A seed agreed on with an elliptic curve key (Part 1, section C.6.4).
fn ecdh_seed(hash: Hash, curve: Curve, point: &[u8]) -> Result<Seed, Unspecified> {
    let algorithm = match curve {
        Curve::P256 => &agreement::ECDH_P256,
        Curve::P384 => &agreement::ECDH_P384,
        Curve::P521 => &agreement::ECDH_P521,
    };
    let ours = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new())?;
    let public = ours.compute_public_key()?;
    // Both uncompressed: 4, x, y.
    let coordinate = |point: &[u8], number: usize| {
        let len = curve.len();
        let start = 1 + number * len;
        point.get(start..start + len).map(<[u8]>::to_vec)
    };
    let x = coordinate(public.as_ref(), 0).ok_or(Unspecified)?;
    let y = coordinate(public.as_ref(), 1).ok_or(Unspecified)?;
    let theirs = coordinate(point, 0).ok_or(Unspecified)?;
    let peer = UnparsedPublicKey::new(algorithm, point);
    let seed = agreement::agree_ephemeral(ours, peer, Unspecified, |z| {
        Ok(kdf_e(hash, z, b"IDENTITY", &x, &theirs))
    })?;
    // TPMS_ECC_POINT.
    let mut encrypted = Vec::new();
    push_sized(&mut encrypted, &x);
    push_sized(&mut encrypted, &y);
    Ok((seed, encrypted))
}

/// KDFa (Part 1, section 11.4.10.2) with an empty second context, for at most one or two digests.
pub(super) fn kdf_a(
    hash: Hash,
    key: &[u8],
    label: &[u8],
    context: &[u8],
    bits: usize,
) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac_algorithm(hash), key);
    let mut derived = Zeroizing::new(Vec::new());
    let mut counter = 0_u32;
    while derived.len() * 8 < bits {
        counter += 1;
        let mut context_of = hmac::Context::with_key(&key);
        context_of.update(&counter.to_be_bytes());
        context_of.update(label);
        context_of.update(&[0]);
        context_of.update(context);
        context_of.update(&(bits as u32).to_be_bytes());
        derived.extend_from_slice(context_of.sign().as_ref());
    }
    derived.truncate(bits / 8);
    derived
}

/// KDFe (Part 1, section 11.4.10.3) for one digest.
pub(super) fn kdf_e(
    hash: Hash,
    z: &[u8],
    label: &[u8],
    party_u: &[u8],
    party_v: &[u8],
) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(z.len() * 3 + label.len() + 5));
    for part in [&1_u32.to_be_bytes()[..], z, label, &[0], party_u, party_v] {
        message.extend_from_slice(part);
    }
    Zeroizing::new(hash.digest(&message).to_vec())
}

fn hmac_algorithm(hash: Hash) -> hmac::Algorithm {
    match hash {
        Hash::Sha256 => hmac::HMAC_SHA256,
        Hash::Sha384 => hmac::HMAC_SHA384,
        Hash::Sha512 => hmac::HMAC_SHA512,
    }
}

fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    // None of them is longer than a kilobyte.
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}
