//! Signs with a key in a TPM, and comes back when the TPM or the way to it failed.

use core::time::Duration;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use super::auth::{self, Reached, Subject};
use super::device::{Access, AuthRequest, KeyPlace, Object, OpenKey, OpenedKey, Operator, Warning};
use super::error::{TpmError, sign_error};
use super::recovery::{LADDER, Step};
use super::scheme::{self, Allowed, Signature};
use crate::backend::algorithm::{Digest, SignatureAlgorithm};
use crate::backend::secret::{Secret, SecretError};
use crate::backend::signature;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};

/// A key that is open, and the connection to its TPM. What it has in the TPM goes with it.
pub trait TpmKey: Reached + Sized {
    /// Opens the key. If its auth value is going to be sent in a salted session, that is started now: what is
    /// wrong with the salt key is said before anybody is asked for anything.
    ///
    /// # Errors
    /// [`TpmError`]; nothing is left in the TPM then.
    fn open(
        access: &Access,
        request: &OpenKey,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError>;

    /// What the key is.
    fn about(&self) -> &About;

    /// Has the key be used by this auth value from now on, until [`end`](Self::end). A session that was begun for a
    /// value which was refused serves for the next.
    ///
    /// # Errors
    /// [`TpmError`].
    fn begin(&mut self, value: &Secret) -> Result<(), TpmError>;

    /// Begins again with the same value, where the session is lost.
    ///
    /// # Errors
    /// [`TpmError`].
    fn begin_again(&mut self) -> Result<(), TpmError>;

    /// Ends what was begun. What is lost may be gone already.
    fn end(&mut self);

    /// TPM2_Sign, after [`begin`](Self::begin). `what` is the key called?
    ///
    /// # Errors
    /// [`TpmError`].
    fn sign(&mut self, what: &KeyPlace, job: &Job) -> Result<Signature, TpmError>;
}

/// What a key is.
#[derive(Debug, Clone)]
pub struct About {
    /// Its name.
    pub name: Vec<u8>,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// Its kind.
    pub kind: KeyKind,
    /// By which schemes it signs.
    pub allowed: Allowed,
    /// Whether its failures count towards lockout.
    pub counts: bool,
    /// Whether it is used by its auth value, alone or beside a policy.
    pub wants_auth: bool,
}

/// What the TPM is to sign.
#[derive(Debug)]
pub struct Job {
    /// By which algorithm.
    pub algorithm: SignatureAlgorithm,
    /// The digest of the message.
    pub digest: Digest,
}

/// A key in a TPM.
pub struct TpmSigner<K> {
    access: Access,
    request: OpenKey,
    operator: Asked,
    about: About,
    /// Whether the TPM makes RSASSA-PSS signatures that nobody takes.
    has_long_salts: bool,
    /// Whether the auth value is the empty one, once the TPM has taken it.
    is_empty: Option<bool>,
    live: Option<Live<K>>,
}

/// What is gone when the connection is.
struct Live<K> {
    key: K,
    /// Not before the first signature.
    is_authorised: bool,
}

impl<K: TpmKey> Live<K> {
    fn open(
        access: &Access,
        request: &OpenKey,
        operator: &mut dyn Operator,
    ) -> Result<Self, TpmError> {
        Ok(Self {
            key: K::open(access, request, operator)?,
            is_authorised: false,
        })
    }
}

impl<K: TpmKey + Send + 'static> TpmSigner<K> {
    /// Opens a key.
    ///
    /// # Errors
    /// [`TpmError`]; the operator comes back with it.
    pub fn open(
        access: &Access,
        request: OpenKey,
        mut operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, (TpmError, Box<dyn Operator>)> {
        let live = match Live::<K>::open(access, &request, &mut *operator) {
            Ok(live) => live,
            Err(error) => return Err((error, operator)),
        };
        let about = live.key.about().clone();
        let mut warnings = Vec::new();
        if about.counts {
            warnings.push(Warning::CountsTowardsLockout(request.key.to_string()));
        }
        if access.tcti.starts_with("device") && !access.has_resource_manager() {
            warnings.push(Warning::NoResourceManager(access.tcti.clone()));
        }
        Ok(OpenedKey {
            name: about.name.clone(),
            warnings,
            signer: Box::new(Self {
                access: access.clone(),
                request,
                operator: Asked {
                    operator,
                    time: Duration::ZERO,
                },
                about,
                has_long_salts: false,
                is_empty: None,
                live: Some(live),
            }),
        })
    }
}

impl<K: TpmKey> TpmSigner<K> {
    /// Opens the key again. It has to be the same one.
    fn open_again(&mut self) -> Result<Live<K>, TpmError> {
        let live = Live::<K>::open(&self.access, &self.request, &mut self.operator)?;
        if live.key.about().name != self.about.name {
            return Err(TpmError::Key {
                key: self.request.key.to_string(),
                reason: "there is another key in its place".into(),
                remedy: String::new(),
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
        let About { name, counts, .. } = live.key.about();
        let mut subject = Subject::key(Object::Key, what, name, *counts);
        if live.is_authorised {
            let error = match live.key.sign(what, job) {
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
        subject.empty = match live.key.about().wants_auth {
            true => self.is_empty,
            false => Some(true),
        };
        // A person may mistype: one session is enough for all tries.
        let authorised =
            auth::authorise(&mut live.key, &subject, &mut self.operator, |key, value| {
                key.begin(value)?;
                let signature = key.sign(what, job)?;
                Ok((signature, value.expose().is_empty()))
            });
        match authorised {
            Ok((signature, is_empty)) => {
                live.is_authorised = true;
                self.is_empty = Some(is_empty);
                Ok(signature)
            }
            Err(error) => {
                // A TPM has room for three sessions.
                live.key.end();
                Err(error)
            }
        }
    }

    /// The same with the steps of recovery, where they help, and while there is time: in a TPM that hangs each of
    /// them would take as long as an answer is waited for.
    fn persist(&mut self, job: &Job) -> Result<Signature, TpmError> {
        let (began, asked) = (Instant::now(), self.operator.time);
        let mut result = self.attempt(job);
        let mut ladder = LADDER.into_iter();
        while let Err(error) = &result
            && let Some(first) = Step::against(error)
            && began
                .elapsed()
                .saturating_sub(self.operator.time.saturating_sub(asked))
                < self.access.timeout
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
                if core::mem::take(&mut live.is_authorised) {
                    live.key.begin_again()?;
                    live.is_authorised = true;
                }
            }
            Step::Key | Step::Connection => self.live = None,
        }
        Ok(())
    }
}

/// Who has the auth values, and how long it has taken to ask so far.
struct Asked {
    operator: Box<dyn Operator>,
    time: Duration,
}

impl Operator for Asked {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        let began = Instant::now();
        let value = self.operator.auth(request);
        self.time += began.elapsed();
        value
    }

    fn is_person(&self) -> bool {
        self.operator.is_person()
    }

    fn failed(&mut self, error: &TpmError) {
        self.operator.failed(error);
    }
}

impl<K: TpmKey> Signer for TpmSigner<K> {
    fn key(&self) -> KeyKind {
        self.about.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.about.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let is_pss = matches!(
            scheme,
            Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512
        );
        if is_pss && self.has_long_salts {
            return Err(SignError::UnsupportedScheme);
        }
        let (algorithm, hash) = scheme::plan(self.about.kind, self.about.allowed, scheme)?;
        let job = Job {
            algorithm,
            digest: hash.digest(message),
        };
        let signature = self.persist(&job).map_err(|error| {
            self.operator.failed(&error);
            sign_error(&error)
        })?;
        let len = signature.write(out)?;
        // How long a salt is a TPM decides itself (TPM 2.0 Part 1, section B.7), and whoever verifies the
        // signature wants it to be as long as the hash (RFC 8446 section 4.2.3).
        if is_pss {
            let signature = out.get(..len).unwrap_or_default();
            if signature::verify(&self.about.public_key, scheme, message, signature).is_err() {
                self.has_long_salts = true;
                return Err(SignError::UnsupportedScheme);
            }
        }
        Ok(len)
    }
}

#[cfg(test)]
mod tests;
