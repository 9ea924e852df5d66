//! RSA keys, through ring, whose private operation takes the same time whatever the key.

use std::boxed::Box;
use std::vec::Vec;

use der::asn1::{AnyRef, UintRef};
use der::{Decode as _, Reader as _, SliceReader};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
    RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};

use super::error::Reason;
use super::private_key::public_key_info;
use crate::backend::BoxedSigner;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};
use crate::core::x509::{key_kind, oid};

/// The signer of a PKCS#1 `RSAPrivateKey`.
pub fn signer(der: &[u8]) -> Result<BoxedSigner, Reason> {
    let shape = Shape::of(der).map_err(|_| Reason::Malformed("RSA key"))?;
    // ring wants primes of whole 512 bits.
    if !matches!(shape.bits, 2048 | 3072 | 4096) {
        return Err(Reason::RsaBits(shape.bits));
    }
    if shape.version != 0 {
        return Err(Reason::RsaPrimes);
    }
    if !shape.exponent_fits {
        return Err(Reason::RsaExponent);
    }
    let key = KeyPair::from_der(der).map_err(|_| Reason::Inconsistent("RSA"))?;
    let public_key = public_key_info(oid::RSA, Some(AnyRef::NULL), key.public_key().as_ref())?;
    let kind = key_kind(&public_key).ok_or(Reason::Malformed("RSA key"))?;
    Ok(Box::new(RsaSigner {
        key,
        kind,
        public_key,
    }))
}

struct RsaSigner {
    key: KeyPair,
    kind: KeyKind,
    public_key: Vec<u8>,
}

impl Signer for RsaSigner {
    fn key(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let encoding: &dyn RsaEncoding = match scheme {
            Scheme::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
            Scheme::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
            Scheme::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
            Scheme::RsaPssSha256 => &RSA_PSS_SHA256,
            Scheme::RsaPssSha384 => &RSA_PSS_SHA384,
            Scheme::RsaPssSha512 => &RSA_PSS_SHA512,
            _ => return Err(SignError::UnsupportedScheme),
        };
        let len = self.key.public().modulus_len();
        let signature = out.get_mut(..len).ok_or(SignError::BufferTooSmall)?;
        self.key
            .sign(encoding, &SystemRandom::new(), message, signature)
            .map_err(|_| SignError::Failed)?;
        Ok(len)
    }
}

/// What decides whether ring takes a key; ring itself would not say which it was.
struct Shape {
    /// 0 for two primes, 1 for more.
    version: u8,
    bits: u16,
    exponent_fits: bool,
}

impl Shape {
    fn of(der: &[u8]) -> der::Result<Self> {
        let mut outer = SliceReader::new(der)?;
        outer.sequence(|reader| {
            let version = u8::decode(reader)?;
            let modulus = UintRef::decode(reader)?.as_bytes();
            let exponent = UintRef::decode(reader)?.as_bytes();
            let exponent_len = exponent.len();
            let exponent = exponent
                .iter()
                .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
            while !reader.is_finished() {
                reader.tlv_bytes()?;
            }
            let leading_zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
            let bits = modulus.len() * 8 - leading_zeros as usize;
            Ok(Self {
                version,
                bits: bits.try_into().unwrap_or(u16::MAX),
                exponent_fits: exponent_len <= 5 && (65_537..1 << 33).contains(&exponent),
            })
        })
    }
}
