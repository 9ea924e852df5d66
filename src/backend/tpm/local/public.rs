//! The public area of a key (TPMT_PUBLIC): what kind it is, and whether it serves.

use std::format;
use std::string::String;
use std::vec::Vec;

use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::structures::{Digest, Public, SymmetricCipherParameters, SymmetricDefinitionObject};
use tss_esapi::traits::{Marshall as _, UnMarshall as _};

use super::scheme;
use crate::backend::algorithm::Hash;
use crate::backend::public_key;
use crate::backend::tpm::primary::Template;
use crate::core::tpm::MAX_PUBLIC_LEN;
use crate::core::x509::oid;

/// The exponent that a TPM means by 0 (TPM 2.0 Part 2, section 12.2.3.5).
pub const DEFAULT_EXPONENT: u32 = 65537;

/// The name of an object with this public area (TPM 2.0 Part 1, section 16): the algorithm (2 bytes,
/// big-endian), and the hash of the area. `None` for a hash that is too weak to tell keys apart.
pub fn name(public: &Public) -> Option<Vec<u8>> {
    let hash = scheme::known_hash(public.name_hashing_algorithm())?;
    let area = public.marshall().ok()?;
    // TPM_ALG_ID (TPM 2.0 Part 2, section 6.3).
    let algorithm: u16 = match hash {
        Hash::Sha256 => 0x000b,
        Hash::Sha384 => 0x000c,
        Hash::Sha512 => 0x000d,
    };
    let mut name = Vec::from(algorithm.to_be_bytes());
    name.extend(&*hash.digest(&area));
    Some(name)
}

/// A template, as libtss2 takes it.
pub fn of_template(template: &Template) -> Public {
    let mut buffer = [0; MAX_PUBLIC_LEN];
    let area = template.area();
    let public = area
        .write(&mut buffer)
        .ok()
        .and_then(|area| Public::unmarshall(area).ok());
    // All that there are can be read.
    public.unwrap_or(Public::SymCipher {
        object_attributes: ObjectAttributes::from(0),
        name_hashing_algorithm: HashingAlgorithm::Null,
        auth_policy: Digest::default(),
        parameters: SymmetricCipherParameters::new(SymmetricDefinitionObject::Null),
        unique: Digest::default(),
    })
}

/// The public area as a TPM writes it.
pub fn bytes(public: &Public) -> Vec<u8> {
    // What cannot be marshalled is nothing that a TPM would have taken.
    public.marshall().unwrap_or_default()
}

/// The public key, a DER `SubjectPublicKeyInfo`.
///
/// # Errors
/// Why it is none that serves, for people.
pub fn public_key(public: &Public) -> Result<Vec<u8>, String> {
    let strange = || String::from("its public key is not as long as its kind has it");
    match public {
        Public::Rsa {
            unique, parameters, ..
        } => {
            let exponent = match parameters.exponent().value() {
                0 => DEFAULT_EXPONENT,
                other => other,
            };
            public_key::rsa(unique.value(), &exponent.to_be_bytes()).ok_or_else(strange)
        }
        Public::Ecc {
            unique, parameters, ..
        } => {
            let (curve, len) = match parameters.ecc_curve() {
                EccCurve::NistP256 => (oid::P256, 32),
                EccCurve::NistP384 => (oid::P384, 48),
                EccCurve::NistP521 => (oid::P521, 66),
                other => {
                    return Err(format!(
                        "it is on the curve {other:?}, which is of no use here"
                    ));
                }
            };
            let mut point = Vec::from([4]);
            for number in [unique.x().value(), unique.y().value()] {
                // A TPM may leave leading zeros out.
                let missing = len - number.len().min(len);
                point.extend(core::iter::repeat_n(0, missing));
                point.extend(number);
            }
            public_key::ec(curve, &point).ok_or_else(strange)
        }
        Public::KeyedHash { .. } => Err("it is sealed data or an HMAC key, and no key pair".into()),
        Public::SymCipher { .. } => Err("it is a symmetric key, and no key pair".into()),
    }
}

/// Whether the key can sign what comes from outside.
///
/// # Errors
/// Why not, for people.
pub fn check(public: &Public) -> Result<(), String> {
    let attributes = public.object_attributes();
    let why = match (
        attributes.restricted(),
        attributes.sign_encrypt(),
        attributes.decrypt(),
    ) {
        (true, _, true) => {
            "it is a storage key (restricted, decrypt): it keeps other keys, and signs nothing"
        }
        (true, true, _) => {
            "it is an attestation key (restricted, sign): it signs only what the TPM itself says"
        }
        (_, false, _) => "it only decrypts (no sign attribute)",
        _ => return Ok(()),
    };
    Err(why.into())
}

/// Whether failures of the key count towards lockout.
pub fn counts_towards_lockout(public: &Public) -> bool {
    !public.object_attributes().no_da()
}
