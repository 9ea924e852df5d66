//! What a TPM is, and what is in it.

use core::ops::RangeInclusive;
use core::time::Duration;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use tss_esapi::constants::{AlgorithmIdentifier, EccCurveIdentifier, PropertyTag};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{Public, PublicParameters, PublicRsaParametersBuilder, RsaScheme};

use super::connection::Connection;
use super::persistent::Persistent;
use super::{capability, ek};
use crate::backend::tpm::device::{Lockout, PersistentObject, Status};
use crate::backend::tpm::error::TpmError;

/// Persistent objects (TPM 2.0 Part 2, section 7.5).
const PERSISTENT: RangeInclusive<u32> = 0x8100_0000..=0x81ff_ffff;

/// Bits of TPM_PT_PERMANENT (TPM 2.0 Part 2, section 8.6).
const LOCKOUT_AUTH_SET: u32 = 1 << 2;
const IN_LOCKOUT: u32 = 1 << 9;

/// What a TPM is, and what is in it.
///
/// # Errors
/// [`TpmError`], if the TPM does not answer. What is at a handle and cannot be read is no error.
pub fn status(connection: &mut Connection) -> Result<Status, TpmError> {
    let mut property = |tag| capability::property(connection, tag).map(Option::unwrap_or_default);
    let manufacturer = letters(&[property(PropertyTag::Manufacturer)?]);
    let model = letters(&[
        property(PropertyTag::VendorString1)?,
        property(PropertyTag::VendorString2)?,
        property(PropertyTag::VendorString3)?,
        property(PropertyTag::VendorString4)?,
    ]);
    let firmware = version(
        property(PropertyTag::FirmwareVersion1)?,
        property(PropertyTag::FirmwareVersion2)?,
    );
    let revision = property(PropertyTag::Revision)?;
    let permanent = property(PropertyTag::Permanent)?;
    let lockout = Lockout {
        locked: permanent & IN_LOCKOUT != 0,
        failures: property(PropertyTag::LockoutCounter)?,
        most: property(PropertyTag::MaxAuthFail)?,
        recovery: Duration::from_secs(property(PropertyTag::LockoutInterval)?.into()),
        lockout_recovery: Duration::from_secs(property(PropertyTag::LockoutRecovery)?.into()),
        has_auth: permanent & LOCKOUT_AUTH_SET != 0,
    };
    let algorithms = algorithms(connection)?;
    let handles = capability::handles(connection, PERSISTENT)?;
    let persistent = handles
        .into_iter()
        .map(|handle| object(connection, handle))
        .collect();
    Ok(Status {
        manufacturer,
        model,
        firmware,
        revision,
        algorithms,
        persistent,
        lockout,
        resource_manager: connection.has_resource_manager(),
    })
}

/// Four letters in each number, padded with zeros or blanks.
fn letters(numbers: &[u32]) -> String {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .filter(|&byte| byte != 0)
        .collect();
    String::from_utf8_lossy(&bytes).trim().to_string()
}

fn version(first: u32, second: u32) -> String {
    format!(
        "{}.{}.{}.{}",
        first >> 16,
        first & 0xffff,
        second >> 16,
        second & 0xffff
    )
}

/// Which keys and hashes the TPM has, of those that are of use here.
fn algorithms(connection: &mut Connection) -> Result<Vec<String>, TpmError> {
    let mut found = Vec::new();
    for (curve, name) in [
        (EccCurveIdentifier::NistP256, "EC P-256"),
        (EccCurveIdentifier::NistP384, "EC P-384"),
        (EccCurveIdentifier::NistP521, "EC P-521"),
    ] {
        if capability::has_curve(connection, curve)? {
            found.push(name.to_string());
        }
    }
    for bits in [
        RsaKeyBits::Rsa2048,
        RsaKeyBits::Rsa3072,
        RsaKeyBits::Rsa4096,
    ] {
        let parameters = PublicRsaParametersBuilder::new_unrestricted_signing_key(
            RsaScheme::Null,
            bits,
            Default::default(),
        );
        if let Ok(parameters) = parameters.build()
            && capability::has_keys(connection, PublicParameters::Rsa(parameters))?
        {
            found.push(format!("RSA {}", u16::from(bits)));
        }
    }
    for (algorithm, name) in [
        (AlgorithmIdentifier::EcDsa, "ECDSA"),
        (AlgorithmIdentifier::RsaSsa, "RSASSA"),
        (AlgorithmIdentifier::RsaPss, "RSAPSS"),
        (AlgorithmIdentifier::Sha256, "SHA-256"),
        (AlgorithmIdentifier::Sha384, "SHA-384"),
        (AlgorithmIdentifier::Sha512, "SHA-512"),
    ] {
        if capability::has_algorithm(connection, algorithm)? {
            found.push(name.to_string());
        }
    }
    Ok(found)
}

fn object(connection: &mut Connection, handle: u32) -> PersistentObject {
    match read(connection, handle) {
        Ok((public, name)) => PersistentObject {
            handle,
            what: describe(handle, &public),
            name,
            problem: None,
        },
        Err(error) => PersistentObject {
            handle,
            what: String::new(),
            name: Vec::new(),
            problem: Some(error.to_string()),
        },
    }
}

fn read(connection: &mut Connection, handle: u32) -> Result<(Public, Vec<u8>), TpmError> {
    let found = Persistent::open(connection, handle)?;
    let read = (found.public.clone(), found.name.clone());
    found.close(connection).map(|()| read)
}

/// What an object is, for people.
fn describe(handle: u32, public: &Public) -> String {
    let attributes = public.object_attributes();
    let kind = match public {
        Public::Rsa { parameters, .. } => format!("RSA {}", u16::from(parameters.key_bits())),
        Public::Ecc { parameters, .. } => match parameters.ecc_curve() {
            EccCurve::NistP256 => "EC P-256".into(),
            EccCurve::NistP384 => "EC P-384".into(),
            EccCurve::NistP521 => "EC P-521".into(),
            other => format!("EC {other:?}"),
        },
        Public::KeyedHash { .. } if attributes.sign_encrypt() => return "HMAC key".into(),
        Public::KeyedHash { .. } if attributes.decrypt() => return "derivation key".into(),
        Public::KeyedHash { .. } => return "sealed data".into(),
        Public::SymCipher { .. } => return "symmetric key".into(),
    };
    let use_ = match (
        attributes.restricted(),
        attributes.sign_encrypt(),
        attributes.decrypt(),
    ) {
        (true, false, true) if ek::PERSISTENT.contains(&handle) => "endorsement key",
        (true, false, true) => "storage key",
        (true, true, _) => "attestation key",
        (_, true, true) => "signing and decryption key",
        (_, true, false) => "signing key",
        (_, false, true) => "decryption key",
        (_, false, false) => "key without a use",
    };
    let no_da = match attributes.no_da() {
        false if attributes.sign_encrypt() && !attributes.restricted() => {
            ", counts towards lockout"
        }
        _ => "",
    };
    format!("{use_}, {kind}{no_da}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_versions_are_read_as_makers_write_them() {
        assert_eq!(letters(&[0x4942_4d00]), "IBM");
        assert_eq!(
            letters(&[0x5357_2020, 0x2020_5450, 0x4d00_0000, 0]),
            "SW    TPM"
        );
        assert_eq!(letters(&[0, 0]), "");
        assert_eq!(version(0x0007_0055, 0x0000_1234), "7.85.0.4660");
    }
}
