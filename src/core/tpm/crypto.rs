//! What sessions are made of (TPM 2.0 Part 1, sections 11.4.10 and 21): key derivation, HMAC, AES in CFB mode.

use aes::Aes128;
use cfb_mode::Encryptor;
use cfb_mode::cipher::KeyIvInit as _;
use hmac::Hmac;
use hmac::digest::{KeyInit as _, Mac as _};
use p256::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, Sec1Point, SecretKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroize as _;

use super::error::{Error, Random};

type HmacSha256 = Hmac<Sha256>;

/// The HMAC of pieces under a key in pieces.
pub fn hmac(key: &Key, pieces: &[&[u8]]) -> HmacSha256 {
    let mut mac = key.mac();
    for piece in pieces {
        mac.update(piece);
    }
    mac
}

/// A session's secret, and the auth value of what it authorises: together the key of its HMACs. At most 32 + 64
/// bytes.
pub struct Key {
    bytes: [u8; 96],
    len: usize,
}

impl Key {
    /// The two together.
    ///
    /// # Errors
    /// [`Error::Unfit`] for an auth value that is too long.
    pub fn new(secret: &[u8], auth: &[u8]) -> Result<Self, Error> {
        let mut key = Self {
            bytes: [0; 96],
            len: secret.len() + auth.len(),
        };
        let place = key.bytes.get_mut(..key.len).ok_or(Error::Unfit)?;
        let (first, second) = place.split_at_mut(secret.len());
        first.copy_from_slice(secret);
        second.copy_from_slice(auth);
        Ok(key)
    }

    fn mac(&self) -> HmacSha256 {
        // HMAC takes keys of any length.
        HmacSha256::new_from_slice(&self.bytes[..self.len])
            .unwrap_or_else(|_| HmacSha256::new(&Default::default()))
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// KDFa with SHA-256, for at most 32 bytes (TPM 2.0 Part 1, section 11.4.10.2).
pub fn kdf_a(key: &Key, label: &[u8], u: &[u8], v: &[u8]) -> [u8; 32] {
    let bits = 256_u32.to_be_bytes();
    let counter = 1_u32.to_be_bytes();
    hmac(key, &[&counter, label, &[0], u, v, &bits])
        .finalize()
        .into_bytes()
        .into()
}

/// KDFe with SHA-256, for 32 bytes (TPM 2.0 Part 1, section 11.4.10.3).
fn kdf_e(z: &[u8], label: &[u8], u: &[u8], v: &[u8]) -> [u8; 32] {
    let counter = 1_u32.to_be_bytes();
    let mut hash = Sha256::new();
    for piece in [&counter, z, label, &[0], u, v] {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// Encrypts a parameter in place (TPM 2.0 Part 1, section 21.3): AES-128 in CFB mode, by a key
/// from the nonces, the newer one first.
pub fn encrypt(key: &Key, newer: &[u8], older: &[u8], data: &mut [u8]) {
    let mut derived = kdf_a(key, b"CFB", newer, older);
    let (key, iv) = halves(&derived);
    Encryptor::<Aes128>::new(&key.into(), &iv.into()).encrypt(data);
    derived.zeroize();
}

fn halves(bytes: &[u8; 32]) -> ([u8; 16], [u8; 16]) {
    let (mut first, mut second) = ([0; 16], [0; 16]);
    first.copy_from_slice(&bytes[..16]);
    second.copy_from_slice(&bytes[16..]);
    (first, second)
}

/// A salt that only the TPM with the private key learns (TPM 2.0 Part 1, sections 19.6.13 and C.6.3).
pub struct Salt {
    /// The salt.
    pub secret: [u8; 32],
    /// The point that the TPM derives it from: x, then y.
    pub point: ([u8; 32], [u8; 32]),
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Salt {
    /// A new one, for the key with this public point.
    ///
    /// # Errors
    /// [`Error::UnfitSaltKey`] if the point is not on P-256; [`Error::NoRandomness`].
    pub fn new(x: &[u8], y: &[u8], random: &mut impl Random) -> Result<Self, Error> {
        let (x, y) = (padded(x)?, padded(y)?);
        let theirs = Sec1Point::from_affine_coordinates(&x.into(), &y.into(), false);
        let theirs = PublicKey::try_from(&theirs).map_err(|_| Error::UnfitSaltKey)?;
        let own = ephemeral(random)?;
        let point = own.public_key().to_sec1_point(false);
        let own_x = number(point.x().map(|x| &**x))?;
        let own_y = number(point.y().map(|y| &**y))?;
        let shared = diffie_hellman(own.to_nonzero_scalar(), theirs.as_affine());
        Ok(Self {
            secret: kdf_e(shared.raw_secret_bytes(), b"SECRET", &own_x, &x),
            point: (own_x, own_y),
        })
    }
}

fn ephemeral(random: &mut impl Random) -> Result<SecretKey, Error> {
    // One of 2^32 numbers is none of the curve's: who gives ten of them in a row gives no random ones.
    for _ in 0..10 {
        let mut bytes = [0; 32];
        random.fill(&mut bytes)?;
        let key = SecretKey::from_slice(&bytes);
        bytes.zeroize();
        if let Ok(key) = key {
            return Ok(key);
        }
    }
    Err(Error::NoRandomness)
}

fn padded(number: &[u8]) -> Result<[u8; 32], Error> {
    let mut padded = [0; 32];
    let missing = 32_usize
        .checked_sub(number.len())
        .ok_or(Error::UnfitSaltKey)?;
    padded[missing..].copy_from_slice(number);
    Ok(padded)
}

fn number(bytes: Option<&[u8]>) -> Result<[u8; 32], Error> {
    let bytes = bytes.ok_or(Error::UnfitSaltKey)?;
    bytes.try_into().map_err(|_| Error::UnfitSaltKey)
}
