//! What a new key is: its public area, before the TPM made it, and its policy.

use std::borrow::ToOwned as _;
use std::format;
use std::vec::Vec;

use tss_esapi::attributes::ObjectAttributes;
use tss_esapi::constants::EccCurveIdentifier;
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::structures::{
    Digest, EccPoint, EccScheme, KeyDerivationFunctionScheme, PcrSelectionList, PcrSlot, Public,
    PublicEccParameters, PublicKeyRsa, PublicParameters, PublicRsaParameters, RsaExponent,
    RsaScheme, SymmetricDefinitionObject,
};

use super::capability;
use super::connection::Connection;
use crate::backend::algorithm::Hash;
use crate::backend::tpm::device::{GenerateKey, KeyAlgorithm};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{PcrBank, PolicyCommand};

// The attributes of keys (TPMA_OBJECT; TPM 2.0 Part 2, section 8.3).
const FIXED_TPM: u32 = 1 << 1;
const FIXED_PARENT: u32 = 1 << 4;
const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
const USER_WITH_AUTH: u32 = 1 << 6;
const NO_DA: u32 = 1 << 10;
const SIGN: u32 = 1 << 18;

/// What every key has that we make: it never leaves the TPM that made it, and signs.
const ALWAYS: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN | SIGN;

/// PCRs that each TPM has.
const PCRS: u8 = 24;

/// TPM_ALG_SHA256 (TPM 2.0 Part 2, section 6.3).
pub const SHA256: u16 = 0x000b;

/// Whether the TPM can make such keys.
///
/// # Errors
/// [`TpmError::Unsupported`]; [`TpmError::Call`].
pub fn check(connection: &mut Connection, algorithm: KeyAlgorithm) -> Result<(), TpmError> {
    let (has, called) = match algorithm {
        KeyAlgorithm::P256 => (
            capability::has_curve(connection, EccCurveIdentifier::NistP256)?,
            "EC P-256".to_owned(),
        ),
        KeyAlgorithm::P384 => (
            capability::has_curve(connection, EccCurveIdentifier::NistP384)?,
            "EC P-384".to_owned(),
        ),
        KeyAlgorithm::Rsa(bits) => {
            let has = match RsaKeyBits::try_from(bits) {
                Ok(size) if bits >= 2048 => {
                    capability::has_keys(connection, PublicParameters::Rsa(rsa(size)))?
                }
                _ => false,
            };
            (has, format!("RSA {bits}"))
        }
    };
    match has {
        true => Ok(()),
        false => Err(TpmError::Unsupported {
            what: format!("the TPM has no {called} keys"),
            remedy: "`keystead tpm status` shows which it has".to_owned(),
        }),
    }
}

/// The policy of a new key: the commands that fulfil it. Where it has an auth value, too, that has to be
/// given besides.
///
/// # Errors
/// [`TpmError::Unsupported`] for PCRs that the TPM does not have; [`TpmError::Call`].
pub fn policy(
    connection: &mut Connection,
    request: &GenerateKey,
) -> Result<Vec<PolicyCommand>, TpmError> {
    let mut pcrs = request.policy_pcrs.clone();
    pcrs.sort_unstable();
    pcrs.dedup();
    if pcrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Vec::new();
    for &pcr in &pcrs {
        values.extend(value(connection, pcr)?);
    }
    let banks = [PcrBank::new(SHA256, &pcrs)];
    let mut policy = Vec::from([PolicyCommand::pcr(&banks, &Hash::Sha256.digest(&values))]);
    if request.with_auth {
        policy.push(PolicyCommand::auth_value());
    }
    Ok(policy)
}

/// The value of a PCR in the SHA-256 bank.
fn value(connection: &mut Connection, pcr: u8) -> Result<Vec<u8>, TpmError> {
    let none = || TpmError::Unsupported {
        what: format!("the TPM has no PCR {pcr} in its SHA-256 bank"),
        remedy: "PCRs are 0 to 23; `tpm2_getcap pcrs` shows which banks there are".to_owned(),
    };
    let slot = PcrSlot::try_from(1_u32.checked_shl(pcr.into()).unwrap_or_default());
    let slot = slot.ok().filter(|_| pcr < PCRS).ok_or_else(none)?;
    let (.., digests) = connection.run(format!("PCR {pcr}"), "TPM2_PCR_Read", |context| {
        let selection = PcrSelectionList::builder()
            .with_selection(HashingAlgorithm::Sha256, &[slot])
            .build()?;
        context.execute_without_session(|context| context.pcr_read(selection))
    })?;
    let value = digests.value().first().ok_or_else(none)?;
    Ok(value.value().to_vec())
}

/// The public area of a new key.
pub fn template(request: &GenerateKey, policy: &[PolicyCommand]) -> Public {
    let mut attributes = ALWAYS;
    if policy.is_empty() {
        attributes |= USER_WITH_AUTH;
    }
    if !request.counts_towards_lockout {
        attributes |= NO_DA;
    }
    let object_attributes = ObjectAttributes::from(attributes);
    let name_hashing_algorithm = HashingAlgorithm::Sha256;
    let auth_policy = policy_digest(policy);
    let curve = match request.algorithm {
        KeyAlgorithm::P256 => EccCurve::NistP256,
        KeyAlgorithm::P384 => EccCurve::NistP384,
        KeyAlgorithm::Rsa(bits) => {
            return Public::Rsa {
                object_attributes,
                name_hashing_algorithm,
                auth_policy,
                parameters: rsa(RsaKeyBits::try_from(bits).unwrap_or(RsaKeyBits::Rsa2048)),
                unique: PublicKeyRsa::default(),
            };
        }
    };
    Public::Ecc {
        object_attributes,
        name_hashing_algorithm,
        auth_policy,
        parameters: PublicEccParameters::new(
            SymmetricDefinitionObject::Null,
            EccScheme::Null,
            curve,
            KeyDerivationFunctionScheme::Null,
        ),
        unique: EccPoint::default(),
    }
}

fn rsa(bits: RsaKeyBits) -> PublicRsaParameters {
    PublicRsaParameters::new(
        SymmetricDefinitionObject::Null,
        RsaScheme::Null,
        bits,
        RsaExponent::ZERO_EXPONENT,
    )
}

/// What the TPM has of a policy: each command's code and parameters, hashed onto what came before (TPM 2.0
/// Part 1, section 19.7.2; Part 3, sections 23.7 and 23.17).
fn policy_digest(policy: &[PolicyCommand]) -> Digest {
    if policy.is_empty() {
        return Digest::default();
    }
    let mut digest = Vec::from([0; 32]);
    for command in policy {
        digest.extend(command.code.to_be_bytes());
        digest.extend(&command.body);
        digest = Hash::Sha256.digest(&digest).to_vec();
    }
    Digest::try_from(digest).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tpm::device::{Destination, Parent};
    use crate::core::text::Hex;
    use std::string::{String, ToString as _};

    fn request(pcrs: &[u8]) -> GenerateKey {
        GenerateKey {
            to: Destination::File,
            parent: Parent::StorageRoot,
            algorithm: KeyAlgorithm::P256,
            with_auth: true,
            counts_towards_lockout: false,
            policy_pcrs: pcrs.to_vec(),
        }
    }

    #[test]
    fn keys_for_hubs_are_what_they_have_to_be() {
        let attributes = template(&request(&[]), &[]).object_attributes();
        assert!(attributes.fixed_tpm() && attributes.fixed_parent());
        assert!(attributes.sensitive_data_origin() && attributes.user_with_auth());
        assert!(attributes.no_da() && attributes.sign_encrypt());
        assert!(!attributes.decrypt() && !attributes.restricted());
        let counting = GenerateKey {
            counts_towards_lockout: true,
            ..request(&[])
        };
        assert!(!template(&counting, &[]).object_attributes().no_da());
    }

    #[test]
    fn policies_have_the_digest_that_tpms_give_them() {
        // tpm2_policypcr -l sha256:7 in a trial session, PCR 7 being zero; then tpm2_policyauthvalue.
        let values = Hash::Sha256.digest(&[0; 32]);
        let pcr = PolicyCommand::pcr(&[PcrBank::new(SHA256, &[7])], &values);
        let hex = |policy: &[PolicyCommand]| Hex(policy_digest(policy).value()).to_string();
        assert_eq!(hex(core::slice::from_ref(&pcr)), PCR_7);
        assert_eq!(hex(&[pcr.clone(), PolicyCommand::auth_value()]), PCR_7_AUTH);
        let public = template(&request(&[7]), &[pcr]);
        assert!(!public.object_attributes().user_with_auth());
        assert_eq!(Hex(public.auth_policy().value()).to_string(), PCR_7);
        assert_eq!(hex(&[]), String::new());
    }

    const PCR_7: &str = "8b5682d81b29435d08d79278150611dc7e5923b2fefcce684a09577b40130a8b";
    const PCR_7_AUTH: &str = "b8db92fae7c1e0c588e7352d2fc10f27c7b384e32f706a520cb10bf7ffee8970";
}
