//! Signs with a key through libtss2.

use tss_esapi::Error;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::structures::{Digest, HashcheckTicket};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_TK_HASHCHECK};
use tss_esapi::{WrapperErrorKind, structures};

use super::connection::Connection;
use super::key::LoadedKey;
use super::session::{self, Authorisation, Session};
use super::{public, scheme};
use crate::backend::secret::Secret;
use crate::backend::tpm::auth::Reached;
use crate::backend::tpm::device::{Access, KeyPlace, OpenKey, Operator};
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::policy;
use crate::backend::tpm::scheme::Signature;
use crate::backend::tpm::signer::{About, Job, TpmKey};

/// A key that is open.
pub struct LocalKey {
    connection: Connection,
    key: LoadedKey,
    about: About,
    /// That for the first signature, where it is already known to want one.
    early: Option<Session>,
    authorisation: Option<Authorisation>,
}

impl Reached for LocalKey {
    fn access(&self) -> &Access {
        self.connection.access()
    }
}

impl TpmKey for LocalKey {
    fn open(
        access: &Access,
        request: &OpenKey,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError> {
        let mut connection = Connection::open(access)?;
        let mut key = LoadedKey::open(&mut connection, request, operator)?;
        let early = match key.session.take() {
            None if key.wants_salted_session && !access.plain_auth => {
                let salt = key.salt.as_ref();
                Some(Session::start_salted(&mut connection, salt)?)
            }
            session => session,
        };
        Ok(Self {
            about: About {
                name: key.name.clone(),
                public_key: key.public_key.clone(),
                kind: key.kind,
                allowed: key.allowed,
                counts: public::counts_towards_lockout(&key.public),
                wants_auth: key.policy.is_empty() || policy::wants_auth(&key.policy),
            },
            connection,
            key,
            early,
            authorisation: None,
        })
    }

    fn about(&self) -> &About {
        &self.about
    }

    fn begin(&mut self, value: &Secret) -> Result<(), TpmError> {
        session::set_auth(&mut self.connection, self.key.handle, value)?;
        let authorisation = match self.authorisation.take() {
            Some(session) if !session.is_too_open(&self.connection, &self.key, value) => session,
            other => {
                if let Some(other) = other {
                    other.end(&mut self.connection);
                }
                Authorisation::begin(&mut self.connection, &self.key, value, &mut self.early)?
            }
        };
        self.authorisation = Some(authorisation);
        Ok(())
    }

    fn begin_again(&mut self) -> Result<(), TpmError> {
        if let Some(lost) = self.authorisation.take() {
            let new = lost.begin_again(&mut self.connection, &self.key)?;
            self.authorisation = Some(new);
        }
        Ok(())
    }

    fn end(&mut self) {
        if let Some(authorisation) = self.authorisation.take() {
            authorisation.end(&mut self.connection);
        }
    }

    fn sign(&mut self, what: &KeyPlace, job: &Job) -> Result<Signature, TpmError> {
        let scheme = scheme::scheme(job.algorithm);
        let authorisation = self.authorisation.as_ref();
        let authorisation = authorisation.unwrap_or(&Authorisation::Password);
        authorisation.run(
            &mut self.connection,
            &self.key,
            what,
            "TPM2_Sign",
            |context, key| {
                let digest = Digest::try_from(&*job.digest)?;
                let signature = context.sign(key, digest, scheme, no_ticket()?)?;
                ours(&signature)
            },
        )
    }
}

fn ours(signature: &structures::Signature) -> Result<Signature, Error> {
    scheme::signature(signature).ok_or(Error::WrapperError(WrapperErrorKind::WrongValueFromTpm))
}

/// The ticket that says that a digest is none of the TPM's own (TPM 2.0 Part 2, section 10.6.6).
fn no_ticket() -> Result<HashcheckTicket, Error> {
    HashcheckTicket::try_from(TPMT_TK_HASHCHECK {
        tag: TPM2_ST_HASHCHECK,
        hierarchy: TPM2_RH_NULL,
        digest: TPM2B_DIGEST::default(),
    })
}
