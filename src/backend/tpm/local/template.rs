//! The public area of a key whose certificate and name are known: the TPM need not be asked for it.

use std::vec::Vec;

use der::{Decode as _, asn1::UintRef};
use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    Digest, EccParameter, EccPoint, EccScheme, HashScheme, KeyDerivationFunctionScheme, Public,
    PublicEccParameters, PublicKeyRsa, PublicRsaParameters, RsaExponent, RsaScheme,
    SymmetricDefinitionObject,
};
use tss_esapi::traits::Marshall as _;

use super::{public, scheme};
use crate::backend::algorithm::Hash;
use crate::core::key::KeyKind;
use crate::core::x509::{Certificate, PublicKeyInfo};

const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];

/// The public area with this name, if one of the certificates is for its key and it is one of the usual
/// ones: a name is the hash of the public area, so that the one that fits is the one.
pub fn public_area(certificates: &[Vec<u8>], name: &[u8]) -> Option<Public> {
    let keys = certificates.iter().filter_map(|der| {
        let certificate = Certificate::from_der(der).ok()?;
        PublicKeyInfo::from_der(certificate.public_key).ok()
    });
    let mut candidates = keys.flat_map(|key| of_key(&key).unwrap_or_default());
    candidates.find_map(|candidate| with_attributes(candidate, name))
}

/// The bits that usual attributes differ in (TPM 2.0 Part 2, section 8.3).
mod attribute {
    pub const FIXED: u32 = 1 << 1 | 1 << 4;
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    pub const ADMIN_WITH_POLICY: u32 = 1 << 7;
    pub const NO_DA: u32 = 1 << 10;
    pub const DECRYPT: u32 = 1 << 17;
    pub const SIGN: u32 = 1 << 18;
}

/// Which of the usual attributes a public area with this name has.
fn with_attributes(candidate: Public, name: &[u8]) -> Option<Public> {
    /// Where a public area has them: after its type and the name's algorithm.
    const PLACE: core::ops::Range<usize> = 4..8;
    let mut area = candidate.marshall().ok()?;
    let hash = scheme::known_hash(candidate.name_hashing_algorithm())?;
    let wanted = name.get(2..)?;
    let attributes = usual_attributes().find(|attributes| {
        if let Some(place) = area.get_mut(PLACE) {
            place.copy_from_slice(&attributes.to_be_bytes());
        }
        *hash.digest(&area) == *wanted
    })?;
    let public = replace_attributes(candidate, attributes.into());
    (public::name(&public)? == name).then_some(public)
}

fn usual_attributes() -> impl Iterator<Item = u32> {
    use attribute::*;
    let vary = [
        NO_DA,
        DECRYPT,
        FIXED,
        SENSITIVE_DATA_ORIGIN,
        ADMIN_WITH_POLICY,
    ];
    // The first are what keys are made with most: by ourselves, by tpm2-tools, by tpm2-openssl.
    let most = FIXED | SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | SIGN | NO_DA;
    (0..1_u32 << vary.len()).map(move |number| {
        let bits = vary.iter().enumerate();
        let chosen = bits.filter(|(place, _)| number >> place & 1 == 1);
        chosen.fold(most, |attributes, (_, bit)| attributes ^ bit)
    })
}

fn replace_attributes(mut public: Public, new: ObjectAttributes) -> Public {
    match &mut public {
        Public::Rsa {
            object_attributes, ..
        }
        | Public::KeyedHash {
            object_attributes, ..
        }
        | Public::Ecc {
            object_attributes, ..
        }
        | Public::SymCipher {
            object_attributes, ..
        } => *object_attributes = new,
    }
    public
}

/// The usual public areas of a key, without attributes.
fn of_key(key: &PublicKeyInfo<'_>) -> Option<Vec<Public>> {
    let schemes = HASHES.map(|hash| HashScheme::new(scheme::hashing(hash)));
    match key.kind()? {
        KeyKind::Rsa { bits } => {
            let (modulus, exponent) = rsa_numbers(key.key)?;
            // 0 means the usual one (TPM 2.0 Part 2, section 12.2.3.5).
            let exponents: &[u32] = match exponent {
                public::DEFAULT_EXPONENT => &[0, public::DEFAULT_EXPONENT],
                _ => &[exponent],
            };
            let bits = RsaKeyBits::try_from(bits).ok()?;
            let unique = PublicKeyRsa::try_from(modulus).ok()?;
            let schemes = core::iter::once(RsaScheme::Null)
                .chain(schemes.map(RsaScheme::RsaSsa))
                .chain(schemes.map(RsaScheme::RsaPss));
            let areas = schemes.flat_map(|scheme| {
                exponents.iter().filter_map(move |&exponent| {
                    let exponent = RsaExponent::create(exponent).ok()?;
                    let symmetric = SymmetricDefinitionObject::Null;
                    Some(PublicRsaParameters::new(symmetric, scheme, bits, exponent))
                })
            });
            Some(areas.map(|area| rsa(area, unique.clone())).collect())
        }
        kind => {
            let curve = match kind {
                KeyKind::P256 => EccCurve::NistP256,
                KeyKind::P384 => EccCurve::NistP384,
                KeyKind::P521 => EccCurve::NistP521,
                _ => return None,
            };
            // SEC 1 section 2.3.3: uncompressed.
            let point = key.key.strip_prefix(&[4])?;
            let (x, y) = point.split_at_checked(point.len() / 2)?;
            let unique = EccPoint::new(
                EccParameter::try_from(x).ok()?,
                EccParameter::try_from(y).ok()?,
            );
            let schemes = core::iter::once(EccScheme::Null).chain(schemes.map(EccScheme::EcDsa));
            let areas = schemes.map(|scheme| {
                let symmetric = SymmetricDefinitionObject::Null;
                PublicEccParameters::new(
                    symmetric,
                    scheme,
                    curve,
                    KeyDerivationFunctionScheme::Null,
                )
            });
            Some(areas.map(|area| ecc(area, unique.clone())).collect())
        }
    }
}

/// The numbers of a PKCS#1 `RSAPublicKey`.
fn rsa_numbers(key: &[u8]) -> Option<(&[u8], u32)> {
    let mut numbers = Vec::<UintRef<'_>>::from_der(key).ok()?.into_iter();
    let (modulus, exponent) = (numbers.next()?, numbers.next()?);
    let exponent = exponent.as_bytes();
    let exponent = (exponent.len() <= 4).then(|| {
        exponent
            .iter()
            .fold(0, |sum, &byte| sum << 8 | u32::from(byte))
    })?;
    Some((modulus.as_bytes(), exponent))
}

fn rsa(parameters: PublicRsaParameters, unique: PublicKeyRsa) -> Public {
    Public::Rsa {
        object_attributes: 0.into(),
        name_hashing_algorithm: HashingAlgorithm::Sha256,
        auth_policy: Digest::default(),
        parameters,
        unique,
    }
}

fn ecc(parameters: PublicEccParameters, unique: EccPoint) -> Public {
    Public::Ecc {
        object_attributes: 0.into(),
        name_hashing_algorithm: HashingAlgorithm::Sha256,
        auth_policy: Digest::default(),
        parameters,
        unique,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::public_key;
    use crate::core::x509::oid;

    /// The attributes of a key that is made by `tpm2_create -G ecc`.
    const USUAL: u32 = 0x6_0072;

    fn found(key: &[u8], attributes: u32, change: impl Fn(usize) -> bool) {
        let key = PublicKeyInfo::from_der(key).unwrap();
        for (number, area) in of_key(&key).unwrap().into_iter().enumerate() {
            if change(number) {
                let area = replace_attributes(area, attributes.into());
                let name = public::name(&area).unwrap();
                let mut again = of_key(&key).unwrap().into_iter();
                let found = again.find_map(|candidate| with_attributes(candidate, &name));
                assert_eq!(found, Some(area));
            }
        }
    }

    #[test]
    fn a_usual_public_area_is_found_by_its_name() {
        let key = public_key::ec(oid::P384, &[&[4][..], &[7; 96]].concat()).unwrap();
        found(&key, USUAL, |_| true);
        let key = public_key::rsa(&[0xc5; 256], &[1, 0, 1]).unwrap();
        found(&key, 0x4_0440, |number| number % 5 == 0);
    }

    #[test]
    fn an_unusual_one_is_not() {
        let key = public_key::ec(oid::P256, &[&[4][..], &[7; 64]].concat()).unwrap();
        let key = PublicKeyInfo::from_der(&key).unwrap();
        for area in of_key(&key).unwrap() {
            // stClear
            let area = replace_attributes(area, (USUAL | 1 << 2).into());
            let name = public::name(&area).unwrap();
            let mut again = of_key(&key).unwrap().into_iter();
            assert!(again.all(|candidate| with_attributes(candidate, &name).is_none()));
        }
    }
}
