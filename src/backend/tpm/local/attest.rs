//! Proof that a key is in this TPM: what it shows, and how it answers a challenge.
//!
//! The attestation key is a primary key of the endorsement hierarchy: the same template gives the same key
//! as long as the hierarchy's seed lasts, so that nothing of it has to be kept between request and answer.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use sha2::{Digest as _, Sha256};
use tss_esapi::attributes::ObjectAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{AuthHandle, KeyHandle, SessionHandle};
use tss_esapi::interface_types::algorithm::{HashingAlgorithm, PublicAlgorithm};
use tss_esapi::interface_types::ecc::EccCurve;
use tss_esapi::interface_types::resource_handles::Hierarchy as Seed;
use tss_esapi::interface_types::session_handles::{AuthSession, PolicySession};
use tss_esapi::structures::{
    Data, Digest, EccParameter, EccPoint, EccScheme, EncryptedSecret, HashScheme, IdObject,
    KeyDerivationFunctionScheme, Nonce, Public, PublicBuilder, PublicEccParametersBuilder,
    SignatureScheme, SymmetricDefinition, SymmetricDefinitionObject,
};
use tss_esapi::traits::Marshall;
use tss_esapi::{Error, WrapperErrorKind};

use super::connection::Connection;
use super::ek::{self, LoadedEk, with_ek};
use super::hierarchy::Hierarchy;
use super::key::LoadedKey;
use super::{public, session};
use crate::backend::attestation::{Answer, Challenge, Request, nonce};
use crate::backend::secret::Secret;
use crate::backend::tpm::attest::{AttestAnswer, AttestRequest};
use crate::backend::tpm::auth::{Subject, authorise};
use crate::backend::tpm::code;
use crate::backend::tpm::device::{KeyPlace, Object, OpenKey, Operator};
use crate::backend::tpm::endorsement::EkTemplate;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::ledger::What;

const AK: &str = "the attestation key";
const CHALLENGE: &str = "the challenge";
const ANEW: &str = "`keystead key attest KEY --request` begins anew";

/// What an authority has to see.
///
/// # Errors
/// [`TpmError`].
pub fn request(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    request: &AttestRequest,
) -> Result<Request, TpmError> {
    let key_public = with_key(connection, operator, &request.key, |_, _, key| {
        marshalled("the key", &key.public)
    })?;
    let ak_public = with_ak(connection, operator, |_, _, ak| Ok(ak.area.clone()))?;
    with_ek(connection, operator, request.ek, |_, _, ek| {
        let about = ek.about.clone();
        let Some(ek_certificate) = about.certificate else {
            return Err(TpmError::Unsupported {
                what: format!(
                    "attestation: the TPM has no certificate for its endorsement key {}",
                    about.template
                ),
                remedy: "only the TPM's maker can certify that it is genuine".into(),
            });
        };
        Ok(Request {
            ek_certificate,
            ek_chain: about.chain,
            ek_public: about.public_area,
            ak_public,
            key_public,
        })
    })
}

/// The answer to a challenge.
///
/// # Errors
/// [`TpmError`].
pub fn answer(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    answer: &AttestAnswer,
) -> Result<Answer, TpmError> {
    let AttestAnswer { key, challenge } = answer;
    with_ak(connection, operator, |connection, operator, ak| {
        if ak.name != challenge.ak_name {
            return Err(wrong("it is for another attestation key than this TPM's"));
        }
        let secret = decrypt(connection, operator, ak, challenge)?;
        let nonce = nonce(secret.expose(), &challenge.id);
        with_key(connection, operator, key, |connection, operator, loaded| {
            let (statement, signature) =
                certify(connection, operator, &key.key, ak, loaded, &nonce)?;
            Ok(Answer {
                id: challenge.id.clone(),
                statement,
                signature,
            })
        })
    })
}

/// Finds or loads the key, does something with it, and leaves nothing of it in the TPM.
fn with_key<T>(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    request: &OpenKey,
    something: impl FnOnce(&mut Connection, &mut dyn Operator, &LoadedKey) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let key = LoadedKey::open(connection, request, operator)?;
    match request.key {
        KeyPlace::Handle(_) => something(connection, operator, &key),
        KeyPlace::File { .. } => connection.while_loaded(key.handle, |connection| {
            something(connection, operator, &key)
        }),
    }
}

/// The attestation key.
struct Ak {
    handle: KeyHandle,
    area: Vec<u8>,
    name: Vec<u8>,
}

/// Makes the attestation key, does something with it, and removes it from the TPM.
fn with_ak<T>(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    something: impl FnOnce(&mut Connection, &mut dyn Operator, &Ak) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let template = ak_template().map_err(|error| unsupported(AK, &error))?;
    let made = connection.record(What::template(&public::bytes(&template)), |connection| {
        Hierarchy::endorsement().run(connection, operator, AK, "TPM2_CreatePrimary", |context| {
            let template = template.clone();
            context.create_primary(Seed::Endorsement, template, None, None, None, None)
        })
    })?;
    connection.while_loaded(made.key_handle, |connection| {
        let name = connection.run(AK, "Esys_TR_GetName", |context| {
            context.tr_get_name(made.key_handle.into())
        })?;
        let ak = Ak {
            handle: made.key_handle,
            area: marshalled(AK, &made.out_public)?,
            name: name.value().to_vec(),
        };
        something(connection, operator, &ak)
    })
}

/// A P-256 key that signs by ECDSA with SHA-256 what the TPM itself says, and nothing else. Its auth value
/// is empty: whoever may use the TPM may have it say the truth. Every TPM for PCs has that curve.
fn ak_template() -> Result<Public, Error> {
    let attributes = ObjectAttributesBuilder::new()
        .with_fixed_tpm(true)
        .with_fixed_parent(true)
        .with_sensitive_data_origin(true)
        .with_user_with_auth(true)
        .with_no_da(true)
        .with_restricted(true)
        .with_sign_encrypt(true)
        .build()?;
    let parameters = PublicEccParametersBuilder::new()
        .with_symmetric(SymmetricDefinitionObject::Null)
        .with_ecc_scheme(EccScheme::EcDsa(HashScheme::new(HashingAlgorithm::Sha256)))
        .with_curve(EccCurve::NistP256)
        .with_key_derivation_function_scheme(KeyDerivationFunctionScheme::Null)
        .with_is_signing_key(true)
        .with_is_decryption_key(false)
        .with_restricted(true)
        .build()?;
    // What is put there makes another key of the same seed: this one is for nothing but this.
    let ours = Sha256::digest(b"keystead attestation key 1");
    PublicBuilder::new()
        .with_public_algorithm(PublicAlgorithm::Ecc)
        .with_name_hashing_algorithm(HashingAlgorithm::Sha256)
        .with_object_attributes(attributes)
        .with_auth_policy(Digest::default())
        .with_ecc_parameters(parameters)
        .with_ecc_unique_identifier(EccPoint::new(
            EccParameter::try_from(ours.as_slice())?,
            EccParameter::try_from([0; 32].as_slice())?,
        ))
        .build()
}

/// The secret of a challenge.
fn decrypt(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    ak: &Ak,
    challenge: &Challenge,
) -> Result<Secret, TpmError> {
    let mut found = None;
    for template in ek::certified(connection)? {
        let tried = with_ek(
            connection,
            operator,
            Some(template),
            |connection, operator, ek| match ek.about.name == challenge.ek_name {
                true => activate(connection, operator, ek, ak, challenge).map(Some),
                false => Ok(None),
            },
        )?;
        if tried.is_some() {
            found = tried;
            break;
        }
    }
    found.ok_or_else(|| wrong("it is for another endorsement key than this TPM's"))
}

/// TPM2_ActivateCredential.
fn activate(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    ek: &LoadedEk,
    ak: &Ak,
    challenge: &Challenge,
) -> Result<Secret, TpmError> {
    let unreadable = |_| wrong("it is no credential of a TPM");
    let credential = IdObject::try_from(challenge.credential.clone()).map_err(unreadable)?;
    let encrypted =
        EncryptedSecret::try_from(challenge.encrypted_secret.clone()).map_err(unreadable)?;
    let (ak, ek_handle) = (ak.handle, ek.handle);
    let send = |connection: &mut Connection, session: AuthSession| {
        connection.run(CHALLENGE, "TPM2_ActivateCredential", |context| {
            let sessions = (Some(AuthSession::Password), Some(session), None);
            context.execute_with_sessions(sessions, |context| {
                context.activate_credential(ak, ek_handle, credential.clone(), encrypted.clone())
            })
        })
    };
    let activated = match ek.about.template {
        // PolicyA (TCG EK Credential Profile 2.5, appendix B.6.2); the others have userWithAuth, and an
        // empty auth value.
        EkTemplate::L1 | EkTemplate::L2 => {
            with_policy_a(connection, operator, |connection, session| {
                send(connection, session.into())
            })
        }
        _ => send(connection, AuthSession::Password),
    };
    let digest = activated.map_err(|error| match &error {
        TpmError::Call { error: call, .. }
            if call.call == "TPM2_ActivateCredential"
                && matches!(
                    call.code.bare(),
                    code::INTEGRITY | code::VALUE | code::SIZE | code::ECC_POINT
                ) =>
        {
            wrong(&format!(
                "it was not encrypted for this TPM and its attestation key ({})",
                call.code
            ))
        }
        _ => error,
    })?;
    Ok(Secret::new(digest.value().to_vec()))
}

/// A session that fulfils PolicyA: PolicySecret of the endorsement hierarchy.
fn with_policy_a<T>(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    something: impl FnOnce(&mut Connection, PolicySession) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let what = "the endorsement key";
    let session = connection.record(What::Session, |connection| {
        connection.run(what, "TPM2_StartAuthSession", |context| {
            let (symmetric, hash) = (SymmetricDefinition::AES_128_CFB, HashingAlgorithm::Sha256);
            context
                .start_auth_session(None, None, None, SessionType::Policy, symmetric, hash)?
                .ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))
        })
    })?;
    let AuthSession::PolicySession(session) = session else {
        return Err(TpmError::Unsupported {
            what: "policies".into(),
            remedy: String::new(),
        });
    };
    connection.while_loaded(SessionHandle::from(session), |connection| {
        Hierarchy::endorsement().run(
            connection,
            operator,
            what,
            "TPM2_PolicySecret",
            |context| {
                let none = (Nonce::default(), Digest::default(), Nonce::default());
                context.policy_secret(
                    session,
                    AuthHandle::Endorsement,
                    none.0,
                    none.1,
                    none.2,
                    None,
                )
            },
        )?;
        something(connection, session)
    })
}

/// TPM2_Certify: what the TPM says of the key, and the attestation key's signature on it.
fn certify(
    connection: &mut Connection,
    operator: &mut dyn Operator,
    what: &KeyPlace,
    ak: &Ak,
    key: &LoadedKey,
    nonce: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), TpmError> {
    let nonce = Data::try_from(nonce).map_err(|error| unsupported("a nonce", &error))?;
    // Of the roles of TPM 2.0 Part 1, section 19.2, this wants ADMIN: the auth value, also of a key that
    // signs only by a policy.
    let counts = public::counts_towards_lockout(&key.public);
    let subject = Subject::key(Object::Key, what, &key.name, counts);
    let (statement, signature) = authorise(connection, &subject, operator, |connection, value| {
        session::with_auth(connection, key, value, |connection, session| {
            connection.run(what, "TPM2_Certify", |context| {
                let sessions = (Some(session), Some(AuthSession::Password), None);
                context.execute_with_sessions(sessions, |context| {
                    let scheme = SignatureScheme::Null;
                    context.certify(key.handle.into(), ak.handle, nonce.clone(), scheme)
                })
            })
        })
    })?;
    Ok((
        marshalled("a statement", &statement)?,
        marshalled("a signature", &signature)?,
    ))
}

fn marshalled(what: &str, value: &impl Marshall) -> Result<Vec<u8>, TpmError> {
    value.marshall().map_err(|error| unsupported(what, &error))
}

fn unsupported(what: &str, error: &Error) -> TpmError {
    TpmError::Unsupported {
        what: format!("{what}: {error}"),
        remedy: String::new(),
    }
}

fn wrong(reason: &str) -> TpmError {
    TpmError::Key {
        key: CHALLENGE.to_owned(),
        reason: reason.to_owned(),
        remedy: ANEW.to_owned(),
    }
}
