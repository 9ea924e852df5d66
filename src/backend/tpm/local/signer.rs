//! Signs with a key in a TPM, and comes back when the TPM or the way to it failed.

use std::boxed::Box;
use std::string::ToString as _;
use std::thread;
use std::vec::Vec;

use tss_esapi::Error;
use tss_esapi::constants::tss::{TPM2_RH_NULL, TPM2_ST_HASHCHECK};
use tss_esapi::structures::{Digest, HashcheckTicket, Signature, SignatureScheme};
use tss_esapi::tss2_esys::{TPM2B_DIGEST, TPMT_TK_HASHCHECK};

use super::auth::{self, Subject};
use super::connection::Connection;
use super::key::LoadedKey;
use super::recovery::{LADDER, Step};
use super::session::{self, Authorisation, Session};
use super::{policy, public, scheme};
use crate::backend::signature;
use crate::backend::tpm::device::{Access, KeyPlace, Object, OpenKey, Operator, Warning};
use crate::backend::tpm::error::{TpmError, sign_error};
use crate::core::key::{KeyKind, Scheme, SignError, Signer};

/// A key in a TPM.
pub struct TpmSigner {
    access: Access,
    request: OpenKey,
    operator: Box<dyn Operator>,
    kind: KeyKind,
    allowed: scheme::Allowed,
    public_key: Vec<u8>,
    name: Vec<u8>,
    /// Whether the TPM makes RSASSA-PSS signatures that nobody takes.
    has_long_salts: bool,
    /// Whether the auth value is the empty one, once the TPM has taken it.
    is_empty: Option<bool>,
    live: Option<Live>,
}

/// What is gone when the connection is.
struct Live {
    connection: Connection,
    key: LoadedKey,
    /// That for the first signature, where it is already known to want one.
    session: Option<Session>,
    /// None before the first signature.
    authorisation: Option<Authorisation>,
}

impl Live {
    /// Opens the key. If its auth value is going to be sent in a salted session, that is started now: what
    /// is wrong with the salt key is said before anybody is asked for anything.
    fn open(
        access: &Access,
        request: &OpenKey,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError> {
        let mut connection = Connection::open(access)?;
        let mut key = LoadedKey::open(&mut connection, request, operator)?;
        let session = match key.session.take() {
            None if key.wants_salted_session && !access.plain_auth => {
                let salt = key.salt.as_ref();
                Some(Session::start_salted(&mut connection, salt)?)
            }
            session => session,
        };
        Ok(Self {
            connection,
            key,
            session,
            authorisation: None,
        })
    }
}

/// What the TPM is to sign.
struct Job {
    scheme: SignatureScheme,
    digest: Digest,
}

impl TpmSigner {
    /// Opens a key.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn open(
        access: &Access,
        request: OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<(Self, Vec<Warning>), TpmError> {
        let live = Live::open(access, &request, &mut *operator)?;
        let key = &live.key;
        let mut warnings = Vec::new();
        if public::counts_towards_lockout(&key.public) {
            warnings.push(Warning::CountsTowardsLockout(request.key.to_string()));
        }
        if access.tcti.starts_with("device") && !live.connection.has_resource_manager() {
            warnings.push(Warning::NoResourceManager(access.tcti.clone()));
        }
        let signer = Self {
            access: access.clone(),
            request,
            operator,
            kind: key.kind,
            allowed: key.allowed,
            public_key: key.public_key.clone(),
            name: key.name.clone(),
            has_long_salts: false,
            is_empty: None,
            live: Some(live),
        };
        Ok((signer, warnings))
    }

    /// The key's name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Opens the key again. It has to be the same one.
    fn open_again(&mut self) -> Result<Live, TpmError> {
        let live = Live::open(&self.access, &self.request, &mut *self.operator)?;
        if live.key.name != self.name {
            return Err(TpmError::Key {
                key: self.request.key.to_string(),
                reason: "there is another key in its place".into(),
                remedy: std::string::String::new(),
            });
        }
        Ok(live)
    }

    fn attempt(&mut self, job: &Job) -> Result<Signature, TpmError> {
        let live = match &mut self.live {
            Some(live) => live,
            None => {
                let live = self.open_again()?;
                self.live.insert(live)
            }
        };
        let what = &self.request.key;
        let mut subject = Subject::key(
            Object::Key,
            what,
            &live.key.name,
            public::counts_towards_lockout(&live.key.public),
        );
        if let Some(authorisation) = &live.authorisation {
            let result = sign(&mut live.connection, what, &live.key, authorisation, job);
            let error = match result {
                Ok(signature) => return Ok(signature),
                Err(error) => subject.judged(error),
            };
            if error.concerns_auth() {
                // It was changed, or the TPM is locked: the value is asked for again. Or another key is at the
                // handle, whose value it never was.
                self.is_empty = None;
                self.live = None;
                self.live = Some(self.open_again()?);
            }
            return Err(error);
        }
        // What a file says of it is not to be relied on: tpm2_encodeobject gets it wrong in both directions.
        subject.empty = match wants_auth(&live.key) {
            true => self.is_empty,
            false => Some(true),
        };
        let key = &live.key;
        // A person may mistype: one session is enough for all tries.
        let (early, mut session) = (&mut live.session, None);
        let authorised = auth::authorise(
            &mut live.connection,
            &subject,
            &mut *self.operator,
            |connection, value| {
                session::set_auth(connection, key.handle, value)?;
                let authorisation = match session.take() {
                    Some(Authorisation::Password) | None => {
                        Authorisation::begin(connection, key, value, early)?
                    }
                    Some(session) => session,
                };
                let authorisation = session.insert(authorisation);
                let signature = sign(connection, what, key, authorisation, job)?;
                Ok((signature, value.expose().is_empty()))
            },
        );
        let (signature, is_empty) = match authorised {
            Ok(done) => done,
            Err(error) => {
                // A TPM has room for three.
                if let Some(session) = session {
                    session.end(&mut live.connection);
                }
                return Err(error);
            }
        };
        live.authorisation = session;
        self.is_empty = Some(is_empty);
        Ok(signature)
    }

    /// The same with the steps of recovery, where they help.
    fn persist(&mut self, job: &Job) -> Result<Signature, TpmError> {
        let mut result = self.attempt(job);
        let mut ladder = LADDER.into_iter();
        while let Err(error) = &result
            && let Some(first) = Step::against(error)
            && let Some((step, pause)) = ladder.find(|(step, _)| *step >= first)
        {
            thread::sleep(pause);
            result = self.take(step).and_then(|()| self.attempt(job));
        }
        if result
            .as_ref()
            .is_err_and(|error| Step::against(error).is_some())
        {
            // The next signature begins with a new connection.
            self.live = None;
        }
        result
    }

    fn take(&mut self, step: Step) -> Result<(), TpmError> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        match step {
            Step::Session => {
                if let Some(lost) = live.authorisation.take() {
                    let new = lost.begin_again(&mut live.connection, &live.key)?;
                    live.authorisation = Some(new);
                }
            }
            Step::Key | Step::Connection => self.live = None,
        }
        Ok(())
    }
}

/// TPM2_Sign.
fn sign(
    connection: &mut Connection,
    what: &KeyPlace,
    key: &LoadedKey,
    authorisation: &Authorisation,
    job: &Job,
) -> Result<Signature, TpmError> {
    authorisation.run(connection, key, what, "TPM2_Sign", |context, key| {
        context.sign(key, job.digest.clone(), job.scheme, no_ticket()?)
    })
}

/// Whether the key is used by its auth value, alone or beside a policy.
fn wants_auth(key: &LoadedKey) -> bool {
    key.policy.is_empty() || policy::wants_auth(&key.policy)
}

impl Signer for TpmSigner {
    fn key(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let is_pss = matches!(
            scheme,
            Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512
        );
        if is_pss && self.has_long_salts {
            return Err(SignError::UnsupportedScheme);
        }
        let (plan, hash) = scheme::plan(self.kind, self.allowed, scheme)?;
        let job = Job {
            scheme: plan,
            digest: Digest::try_from(&*hash.digest(message)).map_err(|_| SignError::Failed)?,
        };
        let signature = self.persist(&job).map_err(|error| {
            self.operator.failed(&error);
            sign_error(&error)
        })?;
        let len = scheme::write(&signature, out)?;
        // How long a salt is a TPM decides itself (TPM 2.0 Part 1, section B.7), and whoever verifies the
        // signature wants it to be as long as the hash (RFC 8446 section 4.2.3).
        if is_pss {
            let signature = out.get(..len).unwrap_or_default();
            if signature::verify(&self.public_key, scheme, message, signature).is_err() {
                self.has_long_salts = true;
                return Err(SignError::UnsupportedScheme);
            }
        }
        Ok(len)
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
