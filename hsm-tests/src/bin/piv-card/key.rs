//! The keys in the slots. What the host asks for is the bare operation: it has hashed and padded.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U2048};
use keystead::ca::{KeyType, PrivateKey};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::DecodePrivateKey as _;
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
            private: key.as_der().to_vec(),
            public: key.signer().ok()?.public_key().to_vec(),
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
