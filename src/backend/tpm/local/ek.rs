//! The endorsement key.

use core::ops::RangeInclusive;
use std::format;
use std::string::ToString as _;
use std::vec::Vec;

use der::{Reader as _, SliceReader};
use tss_esapi::Error;
use tss_esapi::abstraction::AsymmetricAlgorithmSelection;
use tss_esapi::abstraction::ek::create_ek_public_from_default_template_2;
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::key_bits::RsaKeyBits;
use tss_esapi::interface_types::resource_handles::Hierarchy as Seed;
use tss_esapi::structures::{Digest, EccPoint, Public, PublicKeyRsa};
use tss_esapi::traits::Marshall as _;

use super::connection::Connection;
use super::hierarchy::Hierarchy;
use super::persistent::Persistent;
use super::{capability, nv, public};
use crate::backend::tpm::device::Operator;
use crate::backend::tpm::endorsement::{EkTemplate, EndorsementKey};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::ledger::What;
use crate::core::x509::{Certificate, PublicKeyInfo};

/// Where endorsement keys are put for good (TCG Registry of Reserved TPM 2.0 Handles, section 2.3.2).
pub const PERSISTENT: RangeInclusive<u32> = 0x8101_0000..=0x8101_ffff;

/// Where certificates are (TCG EK Credential Profile 2.5, sections 2.2.1.4 and 2.2.1.5).
const CERTIFICATES: RangeInclusive<u32> = 0x01c0_0002..=0x01c0_001f;

/// Where those above them are (the same, section 2.2.1.5.2).
const CHAIN: RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;

/// The endorsement hierarchy (TPM_RH_ENDORSEMENT).
const HIERARCHY: u32 = 0x4000_000b;

/// PolicyB for SHA-256: the endorsement hierarchy's password, or what NV index 0x01c07f01 says (the same,
/// appendix B.6.4).
const POLICY_B_SHA256: [u8; 32] = [
    0xca, 0x3d, 0x0a, 0x99, 0xa2, 0xb9, 0x39, 0x06, 0xf7, 0xa3, 0x34, 0x24, 0x14, 0xef, 0xcf, 0xb3,
    0xa3, 0x85, 0xd4, 0x4c, 0xd1, 0xfd, 0x45, 0x90, 0x89, 0xd1, 0x9b, 0x50, 0x71, 0xc0, 0xb7, 0xa0,
];

/// An endorsement key that can be used.
#[derive(Debug)]
pub struct LoadedEk {
    /// Where ESYS has it.
    pub handle: KeyHandle,
    /// What others are told of it.
    pub about: EndorsementKey,
}

/// Finds the endorsement key, that of a template or the first with a certificate (then: the first that
/// the TPM can make), does something with it, and leaves nothing in the TPM.
///
/// # Errors
/// [`TpmError`]; [`TpmError::Key`] if its certificate is another key's.
pub fn with_ek<T>(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    wanted: Option<EkTemplate>,
    something: impl FnOnce(&mut Connection, &mut dyn Operator, &LoadedEk) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let ek = load(connection, operator, wanted)?;
    let result = something(connection, operator, &ek);
    let closed = close(connection, &ek);
    let done = result?;
    closed.map(|()| done)
}

/// The templates of the endorsement keys that the TPM has certificates for.
///
/// # Errors
/// [`TpmError::Call`].
pub fn certified(connection: &mut Connection) -> Result<Vec<EkTemplate>, TpmError> {
    let present = capability::handles(connection, CERTIFICATES)?;
    let templates = EkTemplate::ALL.into_iter();
    Ok(templates
        .filter(|template| present.contains(&template.certificate_index()))
        .collect())
}

fn load(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    wanted: Option<EkTemplate>,
) -> Result<LoadedEk, TpmError> {
    let certified = certified(connection)?;
    let template = wanted
        .or(certified.first().copied())
        .unwrap_or(EkTemplate::L2);
    let certificate = match certified.contains(&template) {
        true => certificate(connection, template)?,
        false => None,
    };
    let mut ek = match persistent(connection, template, certificate.as_deref())? {
        Some(ek) => ek,
        None => make(connection, operator, template)?,
    };
    let checked = match &certificate {
        Some(certificate) => check(&ek, certificate),
        None => Ok(()),
    };
    let chain = checked.and_then(|()| chain(connection));
    match chain {
        Ok(chain) => {
            ek.about.certificate = certificate;
            ek.about.chain = chain;
            Ok(ek)
        }
        Err(error) => {
            // Why it does not serve is what has to be said.
            let _ = close(connection, &ek);
            Err(error)
        }
    }
}

fn close(connection: &mut Connection, ek: &LoadedEk) -> Result<(), TpmError> {
    let handle = ObjectHandle::from(ek.handle);
    if ek.about.handle == HIERARCHY {
        return connection.flush(handle);
    }
    connection.run("the endorsement key", "Esys_TR_Close", |context| {
        context.tr_close(&mut { handle })
    })
}

fn certificate(
    connection: &mut Connection,
    template: EkTemplate,
) -> Result<Option<Vec<u8>>, TpmError> {
    let index = template.certificate_index();
    let Some(content) = nv::read(connection, index)? else {
        return Ok(None);
    };
    match certificates(&content).into_iter().next() {
        Some(certificate) => Ok(Some(certificate)),
        None => Err(TpmError::Key {
            key: format!("NV index {index:#010x}"),
            reason: "what is there is no certificate".into(),
            remedy: "its maker has to say what it is".into(),
        }),
    }
}

/// The certificates that are one after the other in what is there, before zeros or ones.
fn certificates(content: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let Ok(mut reader) = SliceReader::new(content) else {
        return found;
    };
    while let Ok(der) = reader.tlv_bytes() {
        if Certificate::from_der(der).is_err() {
            break;
        }
        found.push(der.to_vec());
    }
    found
}

/// A chain may be longer than one index, so that they are read as one text.
fn chain(connection: &mut Connection) -> Result<Vec<Vec<u8>>, TpmError> {
    let mut content = Vec::new();
    for index in capability::handles(connection, CHAIN)? {
        content.extend(nv::read(connection, index)?.unwrap_or_default());
    }
    Ok(certificates(&content))
}

/// The key at a persistent handle that is the certificate's, or has the template's public area.
fn persistent(
    connection: &mut Connection,
    template: EkTemplate,
    certificate: Option<&[u8]>,
) -> Result<Option<LoadedEk>, TpmError> {
    for handle in capability::handles(connection, PERSISTENT)? {
        let found = Persistent::open(connection, handle)?;
        if is_by(&found.public, template)
            && let Ok(ek) = described(
                connection,
                found.object.into(),
                &found.public,
                template,
                handle,
            )
            && certificate.is_none_or(|certificate| check(&ek, certificate).is_ok())
        {
            return Ok(Some(ek));
        }
        found.close(connection)?;
    }
    Ok(None)
}

/// Whether a public area is one by the template, but for its key.
fn is_by(public: &Public, template: EkTemplate) -> bool {
    let Ok(wanted) = public_template(template) else {
        return false;
    };
    let same = public.object_attributes() == wanted.object_attributes()
        && public.auth_policy() == wanted.auth_policy()
        && public.name_hashing_algorithm() == wanted.name_hashing_algorithm();
    same && match (public, &wanted) {
        (Public::Rsa { parameters, .. }, Public::Rsa { parameters: by, .. }) => {
            parameters.key_bits() == by.key_bits()
        }
        (Public::Ecc { parameters, .. }, Public::Ecc { parameters: by, .. }) => {
            parameters.ecc_curve() == by.ecc_curve()
        }
        _ => false,
    }
}

fn make(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    template: EkTemplate,
) -> Result<LoadedEk, TpmError> {
    let what = format!("the endorsement key {template}");
    let public = public_template(template).map_err(|error| TpmError::Unsupported {
        what: format!("{what}: {error}"),
        remedy: "".into(),
    })?;
    let made = connection.record(What::template(&public::bytes(&public)), |connection| {
        Hierarchy::endorsement().run(
            connection,
            operator,
            &what,
            "TPM2_CreatePrimary",
            |context| {
                let public = public.clone();
                context.create_primary(Seed::Endorsement, public, None, None, None, None)
            },
        )
    })?;
    described(
        connection,
        made.key_handle,
        &made.out_public,
        template,
        HIERARCHY,
    )
    .inspect_err(|_| {
        // Why it does not serve is what has to be said.
        let _ = connection.flush(made.key_handle);
    })
}

fn described(
    connection: &mut Connection,
    handle: KeyHandle,
    area: &Public,
    template: EkTemplate,
    at: u32,
) -> Result<LoadedEk, TpmError> {
    let what = format!("the endorsement key {template}");
    let strange = |reason| TpmError::Key {
        key: what.clone(),
        reason,
        remedy: "the TPM cannot be attested".into(),
    };
    let name = connection.run(&what, "Esys_TR_GetName", |context| {
        context.tr_get_name(handle.into())
    })?;
    let about = EndorsementKey {
        template,
        handle: at,
        certificate: None,
        chain: Vec::new(),
        public_area: area
            .marshall()
            .map_err(|error| strange(error.to_string()))?,
        public_key: public::public_key(area).map_err(strange)?,
        name: name.value().to_vec(),
    };
    Ok(LoadedEk { handle, about })
}

/// Whether a certificate is for the key. Some makers name RSA keys there as keys for OAEP alone, so that
/// what is compared is the key itself.
fn check(ek: &LoadedEk, certificate: &[u8]) -> Result<(), TpmError> {
    let bits = |public_key| {
        let info = PublicKeyInfo::from_der(public_key).ok()?;
        Some(info.key)
    };
    let certified = Certificate::from_der(certificate)
        .ok()
        .and_then(|certificate| bits(certificate.public_key));
    if certified.is_some() && certified == bits(&ek.about.public_key) {
        return Ok(());
    }
    let template = ek.about.template;
    Err(TpmError::Key {
        key: format!("the endorsement key {template}"),
        reason: format!(
            "the certificate in the TPM (NV index {:#010x}) is another key's",
            template.certificate_index()
        ),
        remedy:
            "it may have been made before the TPM got another endorsement seed (TPM2_ChangeEPS)"
                .into(),
    })
}

/// The public area by which the key is made (the same, appendix B.3 and B.4).
fn public_template(template: EkTemplate) -> Result<Public, Error> {
    let algorithm = match template {
        EkTemplate::L1 | EkTemplate::H1 => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa2048),
        EkTemplate::H6 => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa3072),
        EkTemplate::H7 => AsymmetricAlgorithmSelection::Rsa(RsaKeyBits::Rsa4096),
        EkTemplate::L2 | EkTemplate::H2 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP256),
        EkTemplate::H3 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP384),
        EkTemplate::H4 => AsymmetricAlgorithmSelection::Ecc(EccCurve::NistP521),
    };
    let public = create_ek_public_from_default_template_2(algorithm, None)?;
    if !matches!(template, EkTemplate::H1 | EkTemplate::H2) {
        return Ok(public);
    }
    // tss-esapi knows the low range alone for these: in the high range the key itself may be used with
    // its (empty) auth value, its policy is another, and `unique` is empty.
    let policy = Digest::try_from(POLICY_B_SHA256.as_slice())?;
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_admin_with_policy(true)
        .with_restricted(true)
        .with_decrypt(true)
        .build()?;
    Ok(match public {
        Public::Rsa {
            name_hashing_algorithm,
            parameters,
            ..
        } => Public::Rsa {
            object_attributes: attributes,
            name_hashing_algorithm,
            auth_policy: policy,
            parameters,
            unique: PublicKeyRsa::default(),
        },
        Public::Ecc {
            name_hashing_algorithm,
            parameters,
            ..
        } => Public::Ecc {
            object_attributes: attributes,
            name_hashing_algorithm,
            auth_policy: policy,
            parameters,
            unique: EccPoint::default(),
        },
        other => other,
    })
}
