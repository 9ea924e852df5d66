//! The keys in the slots. What the host asks for is the bare operation: it has hashed and padded.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{NonZero, Odd, U1024, U2048};
use keystead::ca::{KeyType, PrivateKey};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use serde::{Deserialize, Serialize};

use crate::tlv;

/// Algorithms of SP 800-78-4 table 6-2.
pub const RSA_2048: u8 = 0x07;
pub const P256: u8 = 0x11;
pub const P384: u8 = 0x14;

/// When a key wants the PIN: Yubico's numbers.
pub mod pin_policy {
    pub const NEVER: u8 = 1;
    pub const ONCE: u8 = 2;
    pub const ALWAYS: u8 = 3;
}

/// When a key wants a touch: Yubico's numbers.
pub mod touch_policy {
    pub const NEVER: u8 = 1;
    pub const ALWAYS: u8 = 2;
    pub const CACHED: u8 = 3;
}

/// A key with its policies.
#[derive(Serialize, Deserialize)]
pub struct SlotKey {
    pub algorithm: u8,
    pub pin_policy: u8,
    pub touch_policy: u8,
    /// Whether it was made here: then the card attests it.
    pub is_generated: bool,
    /// PKCS#8.
    private: Vec<u8>,
    /// DER `SubjectPublicKeyInfo`.
    pub public: Vec<u8>,
}

impl SlotKey {
    /// A new key. `None` for an algorithm that this card does not have.
    pub fn generate(algorithm: u8, pin_policy: u8, touch_policy: u8) -> Option<Self> {
        let kind = match algorithm {
            RSA_2048 => KeyType::Rsa2048,
            P256 => KeyType::P256,
            P384 => KeyType::P384,
            _ => return None,
        };
        let key = PrivateKey::generate(kind).ok()?;
        Some(Self {
            algorithm,
            pin_policy,
            touch_policy,
            is_generated: true,
            private: key.as_der().to_vec(),
            public: key.signer().ok()?.public_key().to_vec(),
        })
    }

    /// A key that was made elsewhere: the fields of Yubico's IMPORT ASYMMETRIC KEY.
    pub fn import(algorithm: u8, fields: &[u8], pin_policy: u8, touch_policy: u8) -> Option<Self> {
        let field = |tag| tlv::find(fields, tag);
        let (private, public) = match algorithm {
            RSA_2048 => rsa_of_primes(field(0x01)?, field(0x02)?)?,
            P256 => {
                let key = p256::SecretKey::from_slice(field(0x06)?).ok()?;
                let public = key.public_key().to_public_key_der().ok()?;
                (
                    key.to_pkcs8_der().ok()?.as_bytes().to_vec(),
                    public.into_vec(),
                )
            }
            P384 => {
                let key = p384::SecretKey::from_slice(field(0x06)?).ok()?;
                let public = key.public_key().to_public_key_der().ok()?;
                (
                    key.to_pkcs8_der().ok()?.as_bytes().to_vec(),
                    public.into_vec(),
                )
            }
            _ => return None,
        };
        Some(Self {
            algorithm,
            pin_policy,
            touch_policy,
            is_generated: false,
            private,
            public,
        })
    }

    /// The public key as GENERATE ASYMMETRIC KEY PAIR gives it (SP 800-73-4 part 2, table 13).
    pub fn public_tlv(&self) -> Option<Vec<u8>> {
        let bits = tlv::all(sequence(&self.public)?).nth(1)?.1.get(1..)?;
        if self.algorithm != RSA_2048 {
            return Some(tlv::tlv(0x86, bits));
        }
        let mut numbers = tlv::all(sequence(bits)?).map(|(_, number)| unsigned(number));
        let modulus = tlv::tlv(0x81, numbers.next()?);
        let exponent = tlv::tlv(0x82, numbers.next()?);
        Some([modulus, exponent].concat())
    }

    /// What the private key makes of a padded block (RSA) or of a digest (EC).
    pub fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        match self.algorithm {
            RSA_2048 => rsa(&self.private, input),
            P256 => {
                let key = p256::ecdsa::SigningKey::from_pkcs8_der(&self.private).ok()?;
                let digest = left_padded(input, 32)?;
                let signature: p256::ecdsa::Signature = key.sign_prehash(&digest).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            P384 => {
                let key = p384::ecdsa::SigningKey::from_pkcs8_der(&self.private).ok()?;
                let digest = left_padded(input, 48)?;
                let signature: p384::ecdsa::Signature = key.sign_prehash(&digest).ok()?;
                Some(signature.to_der().as_bytes().to_vec())
            }
            _ => None,
        }
    }
}

/// The contents of a DER sequence.
fn sequence(der: &[u8]) -> Option<&[u8]> {
    tlv::find(der, 0x30)
}

/// A DER integer without the zero that makes it positive.
fn unsigned(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

/// A digest in the curve's size: a longer one is refused.
fn left_padded(digest: &[u8], length: usize) -> Option<Vec<u8>> {
    let zeros = length.checked_sub(digest.len())?;
    Some([&vec![0; zeros], digest].concat())
}

/// The bare RSA operation, `input ^ d mod n`: the card is given blocks that are padded already, which
/// no library of signatures takes.
fn rsa(pkcs8: &[u8], input: &[u8]) -> Option<Vec<u8>> {
    let private = tlv::find(sequence(pkcs8)?, 0x04)?;
    let mut numbers = tlv::all(sequence(private)?)
        .skip(1)
        .map(|(_, number)| unsigned(number));
    let mut number = || {
        let bytes = left_padded(numbers.next()?, 256)?;
        Some(U2048::from_be_slice(&bytes))
    };
    let (modulus, _, exponent) = (number()?, number()?, number()?);
    let input = U2048::from_be_slice(&left_padded(input, 256)?);
    if input >= modulus {
        return None;
    }
    let params = FixedMontyParams::new_vartime(Option::from(Odd::new(modulus))?);
    let output = FixedMontyForm::new(&input, &params)
        .pow(&exponent)
        .retrieve();
    Some(output.to_be_bytes().as_ref().to_vec())
}

/// The key of two primes with the exponent 65537: as PKCS#8 (without what [`rsa`] does not need), and its
/// DER `SubjectPublicKeyInfo`.
fn rsa_of_primes(p: &[u8], q: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let prime = |bytes| Some(U1024::from_be_slice(&left_padded(bytes, 128)?));
    let (p, q) = (prime(p)?, prime(q)?);
    let less = |prime: U1024| prime.wrapping_sub(&U1024::ONE);
    let modulus: U2048 = p.concatenating_mul(&q);
    let order: U2048 = less(p).concatenating_mul(&less(q));
    let exponent = U2048::from_u32(65_537);
    let order = Option::<NonZero<U2048>>::from(NonZero::new(order))?;
    let inverse = Option::<U2048>::from(exponent.invert_mod(&order))?;
    let integer = |number: &U2048| {
        let bytes = number.to_be_bytes();
        let bytes: &[u8] = bytes.as_ref();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        tlv::tlv(0x02, &[&[0], &bytes[zeros..]].concat())
    };
    let (n, e, d) = (
        integer(&modulus),
        tlv::tlv(0x02, &[1, 0, 1]),
        integer(&inverse),
    );
    let zero = tlv::tlv(0x02, &[0]);
    let algorithm = tlv::tlv(0x30, &[tlv::tlv(0x06, &RSA), tlv::tlv(0x05, &[])].concat());
    let private = tlv::tlv(0x30, &[zero.clone(), n.clone(), e.clone(), d].concat());
    let private = [zero, algorithm.clone(), tlv::tlv(0x04, &private)].concat();
    let public = [vec![0], tlv::tlv(0x30, &[n, e].concat())].concat();
    let public = [algorithm, tlv::tlv(0x03, &public)].concat();
    Some((tlv::tlv(0x30, &private), tlv::tlv(0x30, &public)))
}

/// rsaEncryption.
const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
