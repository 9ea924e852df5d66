//! Signs with a key in a TPM.

use std::boxed::Box;
use std::string::ToString as _;
use std::vec::Vec;

use tss_esapi::Error;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Auth, Digest, HashcheckTicket};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_TK_HASHCHECK};

use super::connection::Connection;
use super::key::LoadedKey;
use super::{public, scheme};
use crate::backend::tpm::device::{AuthRequest, Object, OpenKey, Operator, Warning};
use crate::backend::tpm::error::{AuthProblem, TpmError, sign_error};
use crate::core::key::{KeyKind, Scheme, SignError, Signer};
use crate::core::x509::PublicKeyInfo;

/// A key in a TPM.
pub struct TpmSigner {
    connection: Connection,
    request: OpenKey,
    key: LoadedKey,
    kind: KeyKind,
}

impl TpmSigner {
    /// Opens a key.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn open(
        mut connection: Connection,
        request: OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<(Self, Vec<u8>, Vec<Warning>), TpmError> {
        let key = LoadedKey::open(&mut connection, &request.key, &mut *operator)?;
        let kind = PublicKeyInfo::from_der(&key.public_key)
            .ok()
            .and_then(|public_key| public_key.kind())
            .ok_or_else(|| TpmError::Key {
                key: request.key.to_string(),
                reason: "it is of a kind that is of no use here".into(),
                remedy: "`keystead key generate tpm:…` makes a key that signs".into(),
            })?;
        let mut warnings = Vec::new();
        if public::counts_towards_lockout(&key.public) {
            warnings.push(Warning::CountsTowardsLockout(request.key.to_string()));
        }
        let question = AuthRequest {
            of: Object::Key,
            name: request.key.to_string(),
            refused: false,
            may_be_empty: !public::counts_towards_lockout(&key.public),
        };
        let wrong = |problem| TpmError::Auth {
            of: Object::Key,
            name: request.key.to_string(),
            problem,
        };
        let auth = operator
            .auth(&question)
            .map_err(|error| wrong(AuthProblem::Source(error.to_string())))?;
        if let Some(auth) = auth {
            let value = Auth::try_from(auth.expose()).map_err(|_| wrong(AuthProblem::TooLong))?;
            connection.run(&request.key, "TPM2_Sign", |context| {
                context.tr_set_auth(key.handle.into(), value.clone())
            })?;
        }
        let name = key.name.clone();
        let signer = Self {
            connection,
            request,
            key,
            kind,
        };
        Ok((signer, name, warnings))
    }
}

impl Signer for TpmSigner {
    fn key(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.key.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let (plan, hash) = scheme::plan(self.kind, scheme)?;
        let digest = Digest::try_from(&*hash.digest(message)).map_err(|_| SignError::Failed)?;
        let handle = self.key.handle;
        let signature = self
            .connection
            .run(&self.request.key, "TPM2_Sign", |context| {
                context.execute_with_session(Some(AuthSession::Password), |context| {
                    context.sign(handle, digest.clone(), plan, no_ticket()?)
                })
            })
            .map_err(|error| sign_error(&error))?;
        scheme::write(&signature, out)
    }
}

/// The ticket that says that a digest is none of the TPM's own (TPM 2.0 Part 2, section 10.6.6).
fn no_ticket() -> Result<HashcheckTicket, Error> {
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: TPM2B_DIGEST::default(),
    })
}
