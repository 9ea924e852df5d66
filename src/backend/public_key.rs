//! Public keys as certificates have them, from the numbers that devices show.

use std::vec::Vec;

use der::asn1::{AnyRef, BitStringRef, UintRef};
use der::oid::ObjectIdentifier;
use der::{Encode as _, Tag};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use crate::core::x509::oid;

/// The DER `SubjectPublicKeyInfo` of an RSA key; both numbers big-endian.
pub fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Vec<u8>> {
    if modulus.is_empty() || exponent.is_empty() {
        return None;
    }
    let mut numbers = UintRef::new(modulus).ok()?.to_der().ok()?;
    numbers.extend(UintRef::new(exponent).ok()?.to_der().ok()?);
    let key = AnyRef::new(Tag::Sequence, &numbers).ok()?.to_der().ok()?;
    info(oid::RSA, AnyRef::NULL, &key)
}

/// The DER `SubjectPublicKeyInfo` of a key on a named curve; the point uncompressed (SEC 1 section
/// 2.3.3). `None` for a curve that is not known here, or a point that is none of it by its length.
pub fn ec(curve: ObjectIdentifier, point: &[u8]) -> Option<Vec<u8>> {
    let len = match curve {
        oid::P256 => 65,
        oid::P384 => 97,
        oid::P521 => 133,
        _ => return None,
    };
    if point.len() != len {
        return None;
    }
    info(oid::EC, AnyRef::from(&curve), point)
}

fn info(algorithm: ObjectIdentifier, parameters: AnyRef<'_>, key: &[u8]) -> Option<Vec<u8>> {
    SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef {
            oid: algorithm,
            parameters: Some(parameters),
        },
        subject_public_key: BitStringRef::from_bytes(key).ok()?,
    }
    .to_der()
    .ok()
}
