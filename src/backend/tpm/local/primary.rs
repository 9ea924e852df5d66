//! What hierarchies' primary keys are made by: the same template gives the same key each time, and any other
//! template another key.

use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    Digest, EccParameter, EccPoint, EccScheme, KeyDerivationFunctionScheme, Public,
    PublicEccParameters, PublicKeyRsa, PublicRsaParameters, RsaExponent, RsaScheme,
    SymmetricDefinitionObject,
};

use crate::backend::tpm::key_file;

// The attributes of keys (TPMA_OBJECT; TPM 2.0 Part 2, section 8.3).
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const USER_WITH_AUTH: u32 = 1 << 6;
const NO_DA: u32 = 1 << 10;
const RESTRICTED: u32 = 1 << 16;
const DECRYPT: u32 = 1 << 17;

/// What every key has that keeps others.
const STORAGE: u32 = SENSITIVE_DATA_ORIGIN | USER_WITH_AUTH | RESTRICTED | DECRYPT;
/// What a storage root key has (TCG TPM v2.0 Provisioning Guidance, section 7.5.1).
const STORAGE_ROOT: u32 = STORAGE | FIXED_TPM | FIXED_PARENT | NO_DA;

/// A template.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    /// What it is called.
    pub called: &'static str,
    is_rsa: bool,
    attributes: u32,
    /// Whether `unique` is as long as a key, and full of zeros (the TCG's templates L), or empty (H).
    is_filled: bool,
}

const H_2: Template = Template {
    called: "the TCG's template H-2 (P-256)",
    is_rsa: false,
    attributes: STORAGE_ROOT,
    is_filled: false,
};
const H_1: Template = Template {
    called: "the TCG's template H-1 (RSA 2048)",
    is_rsa: true,
    ..H_2
};
const LEGACY: Template = Template {
    called: "the template H-2 without fixedTPM and fixedParent (P-256)",
    attributes: STORAGE | NO_DA,
    ..H_2
};

/// Those that other programs have made primary keys by.
pub const KNOWN: [Template; 7] = [
    H_2,
    Template {
        called: "the TCG's template L-2 (P-256, unique filled with zeros)",
        is_filled: true,
        ..H_2
    },
    Template {
        called: "the template H-2 without noDA (P-256)",
        attributes: STORAGE_ROOT & !NO_DA,
        ..H_2
    },
    LEGACY,
    H_1,
    Template {
        called: "the template H-1 without noDA (RSA 2048), which is that of tpm2_createprimary",
        attributes: STORAGE_ROOT & !NO_DA,
        ..H_1
    },
    Template {
        called: "the TCG's template L-1 (RSA 2048, unique filled with zeros)",
        is_filled: true,
        ..H_1
    },
];

/// That which a key file means.
pub fn template(template: key_file::Template) -> Template {
    match template {
        key_file::Template::Ecc => H_2,
        key_file::Template::Rsa => H_1,
        key_file::Template::Legacy => LEGACY,
    }
}

impl Template {
    /// As the TPM takes it.
    pub fn public(&self) -> Public {
        let object_attributes = ObjectAttributes::from(self.attributes);
        let name_hashing_algorithm = HashingAlgorithm::Sha256;
        let auth_policy = Digest::default();
        let symmetric = SymmetricDefinitionObject::AES_128_CFB;
        if self.is_rsa {
            let zeros = PublicKeyRsa::try_from(&[0; 256][..]).ok();
            return Public::Rsa {
                object_attributes,
                name_hashing_algorithm,
                auth_policy,
                parameters: PublicRsaParameters::new(
                    symmetric,
                    RsaScheme::Null,
                    RsaKeyBits::Rsa2048,
                    RsaExponent::ZERO_EXPONENT,
                ),
                unique: zeros.filter(|_| self.is_filled).unwrap_or_default(),
            };
        }
        let zeros = EccParameter::try_from(&[0; 32][..]).ok();
        let zeros = zeros.filter(|_| self.is_filled).unwrap_or_default();
        Public::Ecc {
            object_attributes,
            name_hashing_algorithm,
            auth_policy,
            parameters: PublicEccParameters::new(
                symmetric,
                EccScheme::Null,
                EccCurve::NistP256,
                KeyDerivationFunctionScheme::Null,
            ),
            unique: EccPoint::new(zeros.clone(), zeros),
        }
    }
}
