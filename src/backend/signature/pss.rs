//! RSASSA-PSS with a salt of any length (RFC 8017 section 8.1.2). ring takes only salts as long as the
//! hash, and `openssl x509` makes the longest that fit unless it is told otherwise.
//!
//! Nothing here is secret, so nothing needs to take the same time.

use std::vec::Vec;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use der::asn1::UintRef;
use der::{Decode as _, Reader as _, SliceReader};

use crate::backend::algorithm::Hash;

/// Checks a signature; `key` is a PKCS#1 `RSAPublicKey`.
pub fn verifies(key: &[u8], hash: Hash, salt_len: usize, message: &[u8], signature: &[u8]) -> bool {
    let Some((bytes, modulus_bits)) = public_operation(key, signature) else {
        return false;
    };
    // One bit less than the modulus has, which can be a byte less as well.
    let bits = modulus_bits - 1;
    let (unused, encoded) = bytes.split_at(bytes.len() - bits.div_ceil(8));
    unused.iter().all(|&byte| byte == 0)
        && is_encoding(encoded, bits, hash, salt_len, message).is_some()
}

/// RSAVP1: the bytes in a signature, as many as the modulus has, and the modulus' length in bits.
fn public_operation(key: &[u8], signature: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (modulus, exponent) = split(key).ok()?;
    let len = modulus.len();
    let bits = len * 8 - modulus.first()?.leading_zeros() as usize;
    let modulus = Odd::new(BoxedUint::from_be_slice_vartime(modulus)).into_option()?;
    if signature.len() != len {
        return None;
    }
    let signature = BoxedUint::from_be_slice_vartime(signature);
    if signature >= *modulus {
        return None;
    }
    let parameters = BoxedMontyParams::new_vartime(modulus);
    let bytes = BoxedMontyForm::new(signature, &parameters)
        .pow(&BoxedUint::from_be_slice_vartime(exponent))
        .retrieve()
        .to_be_bytes();
    // It comes in whole machine words.
    Some((bytes[bytes.len() - len..].to_vec(), bits))
}

/// Modulus and exponent.
fn split(key: &[u8]) -> der::Result<(&[u8], &[u8])> {
    let mut reader = SliceReader::new(key)?;
    reader.sequence(|reader| {
        Ok((
            UintRef::decode(reader)?.as_bytes(),
            UintRef::decode(reader)?.as_bytes(),
        ))
    })
}

/// EMSA-PSS-VERIFY (RFC 8017 section 9.1.2) with MGF1.
fn is_encoding(
    encoded: &[u8],
    bits: usize,
    hash: Hash,
    salt_len: usize,
    message: &[u8],
) -> Option<()> {
    let hash_len = hash.digest_len();
    let (rest, trailer) = encoded.split_at_checked(encoded.len().checked_sub(1)?)?;
    let (masked, digest) = rest.split_at_checked(rest.len().checked_sub(hash_len)?)?;
    let padding_len = masked.len().checked_sub(salt_len + 1)?;
    let unused = 0xff_u8
        .checked_shl(8 - (encoded.len() * 8 - bits) as u32)
        .unwrap_or(0);
    if trailer != [0xbc] || masked.first()? & unused != 0 {
        return None;
    }

    let mut block = mask(hash, digest, masked.len());
    for (byte, masked) in block.iter_mut().zip(masked) {
        *byte ^= masked;
    }
    *block.first_mut()? &= !unused;
    let (padding, salt) = block.split_at_checked(padding_len + 1)?;
    let (end, zeros) = padding.split_last()?;
    if *end != 1 || zeros.iter().any(|&byte| byte != 0) {
        return None;
    }
    let salted = [&[0; 8], &*hash.digest(message), salt].concat();
    (*hash.digest(&salted) == *digest).then_some(())
}

/// MGF1 (RFC 8017 appendix B.2.1).
fn mask(hash: Hash, seed: &[u8], len: usize) -> Vec<u8> {
    let mut mask: Vec<u8> = (0u32..)
        .take(len.div_ceil(hash.digest_len()))
        .flat_map(|counter| {
            hash.digest(&[seed, &counter.to_be_bytes()].concat())
                .to_vec()
        })
        .collect();
    mask.truncate(len);
    mask
}
