//! Auth values, with care: a wrong one for a key without noDA is counted, and a few of them lock the TPM.

mod parent;

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::path::PathBuf;
use std::string::{String, ToString};
use std::vec::Vec;

pub use self::parent::ParentAuth;
use super::code;
use super::device::{Access, AuthRequest, Object, Operator};
use super::error::{AuthProblem, TpmError};
use crate::backend::secret::{DeviceLock, LockError, RefusedSecrets, Secret};
use crate::core::text::Hex;

/// How long another process may be trying a value for the same key; half of a call's time at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest auth value: a SHA-512 hash (TPM2B_AUTH; TPM 2.0 Part 2, section 10.4.5).
pub const MAX_LEN: usize = 64;

/// How often a person may mistype, where the TPM does not lock before.
const ATTEMPTS: usize = 10;

/// What is connected to a TPM.
pub trait Reached {
    /// How it was reached.
    fn access(&self) -> &Access;
}

/// What an auth value is for.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it is.
    pub of: Object,
    /// What it is called, for people.
    pub name: String,
    /// What it is remembered by, in all processes.
    pub id: String,
    /// Whether wrong values count towards lockout.
    pub counts: bool,
    /// Whether it is known to be the empty one, or known not to be.
    pub empty: Option<bool>,
}

impl Subject {
    /// A key with this name (TPM 2.0 Part 1, section 16), wherever it is: a copy of it has the same auth
    /// value, unless that was changed.
    pub fn key(of: Object, called: impl ToString, name: &[u8], counts: bool) -> Self {
        Self {
            of,
            name: called.to_string(),
            id: format!("key {}", Hex(name)),
            counts,
            empty: None,
        }
    }

    /// A hierarchy. Of these only that of lockout counts wrong values (TPM 2.0 Part 1, section 19.8.1).
    pub fn hierarchy(of: Object, access: &Access) -> Self {
        Self {
            of,
            name: access.tcti.clone(),
            id: format!("{of} {}", access.tcti),
            counts: false,
            empty: None,
        }
    }

    fn wrong(&self, problem: AuthProblem) -> TpmError {
        TpmError::Auth {
            of: self.of,
            name: self.name.clone(),
            problem,
        }
    }

    /// The value may have been counted as wrong; what remembers that, if it is a stored one.
    fn unanswered(&self, error: &TpmError, file: Option<PathBuf>) -> TpmError {
        let reason = error.to_string();
        self.wrong(AuthProblem::Unanswered { reason, file })
    }

    /// What an error says of the value.
    pub fn judged(&self, error: TpmError) -> TpmError {
        let TpmError::Call { error: call, .. } = &error else {
            return error;
        };
        self.wrong(match call.code.bare() {
            code::AUTH_FAIL => AuthProblem::Refused { counts: true },
            code::BAD_AUTH => AuthProblem::Refused { counts: false },
            code::LOCKOUT => AuthProblem::Locked,
            _ => return error,
        })
    }
}

/// Uses something by its auth value, for the first time in this process: `attempt` sends the command that
/// needs it, and nothing else whose authorisation could fail.
///
/// A stored value is tried if nobody was refused with it. Where the TPM counts, it is written down before
/// it is tried, under a lock for all processes: one that is killed meanwhile has had its try. Where it
/// does not count, a value that was refused is written down afterwards: no power cut can make a right
/// value count as refused on a hub that nobody visits, and where nothing can be written, it is tried all
/// the same, since nothing is lost.
///
/// Where the operator has no value, the empty one is tried, like a stored one, and a person is asked
/// after it was refused.
///
/// # Errors
/// [`TpmError::Auth`], or what `attempt` returned if the value is not what is wrong.
pub fn authorise<C: Reached, T>(
    connection: &mut C,
    subject: &Subject,
    operator: &mut dyn Operator,
    mut attempt: impl FnMut(&mut C, &Secret) -> Result<T, TpmError>,
) -> Result<T, TpmError> {
    let access = connection.access().clone();
    let care = Care {
        access: &access,
        subject,
    };
    care.authorise(operator, &mut |value| attempt(connection, value))
}

/// To be called if a value is refused that this process has seen taken: nobody else is to try it.
pub fn remember_refused(access: &Access, subject: &Subject, value: &Secret) {
    Care { access, subject }.remember_afterwards(value);
}

struct Care<'a> {
    access: &'a Access,
    subject: &'a Subject,
}

type Attempt<'a, T> = &'a mut dyn FnMut(&Secret) -> Result<T, TpmError>;

impl Care<'_> {
    fn authorise<T>(
        &self,
        operator: &mut dyn Operator,
        attempt: Attempt<'_, T>,
    ) -> Result<T, TpmError> {
        let value = match self.subject.empty {
            Some(true) => None,
            _ => self.ask(operator, false)?,
        };
        match value {
            None if self.subject.empty == Some(false) => {
                Err(self.subject.wrong(AuthProblem::Needed))
            }
            None => match self.try_stored(&Secret::new(Vec::new()), attempt) {
                Err(error) if was_refused(&error) => match self.ask(operator, true)? {
                    Some(value) if operator.is_person() => self.try_typed(value, operator, attempt),
                    _ => Err(self.subject.wrong(match error {
                        TpmError::Auth {
                            problem: AuthProblem::RefusedBefore(file),
                            ..
                        } => AuthProblem::NeededAfter(file),
                        _ => AuthProblem::Needed,
                    })),
                },
                result => result,
            },
            Some(value) if operator.is_person() => self.try_typed(value, operator, attempt),
            // What prints nothing, such as a program that was closed, is not worth a try.
            Some(value) if value.expose().is_empty() => Err(self
                .subject
                .wrong(AuthProblem::Source("it is empty".to_owned()))),
            Some(value) => self.try_stored(&value, attempt),
        }
    }

    fn ask(&self, operator: &mut dyn Operator, refused: bool) -> Result<Option<Secret>, TpmError> {
        let request = AuthRequest {
            of: self.subject.of,
            name: self.subject.name.clone(),
            refused,
            may_be_empty: self.subject.empty != Some(false) && !self.subject.counts,
        };
        let value = operator.auth(&request).map_err(|error| {
            self.subject.wrong(match error.is_cancelled() {
                true => AuthProblem::Cancelled,
                false => AuthProblem::Source(error.in_brief().to_string()),
            })
        })?;
        match value {
            Some(value) if value.expose().len() > MAX_LEN => {
                Err(self.subject.wrong(AuthProblem::TooLong))
            }
            value => Ok(value),
        }
    }

    fn try_typed<T>(
        &self,
        mut value: Secret,
        operator: &mut dyn Operator,
        attempt: Attempt<'_, T>,
    ) -> Result<T, TpmError> {
        let mut attempts = 1;
        loop {
            let error = match attempt(&value) {
                Ok(done) => {
                    // It may be stored somewhere, too. Where that cannot be noted, no harm is done.
                    self.forget_if_known(&value);
                    return Ok(done);
                }
                Err(error) if self.subject.counts && is_unjudged(&error) => {
                    return Err(self.subject.unanswered(&error, None));
                }
                Err(error) => self.subject.judged(error),
            };
            if !was_refused(&error) || attempts == ATTEMPTS {
                return Err(error);
            }
            attempts += 1;
            value = match self.ask(operator, true)? {
                Some(value) => value,
                None => return Err(error),
            };
        }
    }

    fn try_stored<T>(&self, value: &Secret, attempt: Attempt<'_, T>) -> Result<T, TpmError> {
        if self.subject.counts {
            return self.try_at_a_cost(value, attempt);
        }
        if let Some(memory) = self.memory()
            && memory.knows(&self.device())
            && let Ok(lock) = self.lock()
        {
            self.check(&lock, value)?;
        }
        attempt(value).map_err(|error| {
            let error = self.subject.judged(error);
            // That an empty value is refused says that there is one now.
            if was_refused(&error) && !value.expose().is_empty() {
                self.remember_afterwards(value);
            }
            error
        })
    }

    fn try_at_a_cost<T>(&self, value: &Secret, attempt: Attempt<'_, T>) -> Result<T, TpmError> {
        let mut lock = self.lock()?;
        self.check(&lock, value)?;
        lock.record(value)
            .map_err(|error| self.not_remembered(&error))?;
        match attempt(value) {
            Ok(done) => lock
                .forget(value)
                .map(|()| done)
                .map_err(|error| self.not_remembered(&error)),
            Err(error) if is_unjudged(&error) => Err(self
                .subject
                .unanswered(&error, Some(lock.path().to_owned()))),
            Err(error) => {
                let error = self.subject.judged(error);
                if !was_refused(&error) {
                    // The TPM has not looked at it. What cannot be forgotten counts as refused, and the file says so.
                    let _ = lock.forget(value);
                }
                Err(error)
            }
        }
    }

    fn device(&self) -> String {
        format!("tpm {}", self.subject.id)
    }

    fn memory(&self) -> Option<RefusedSecrets> {
        self.access.state.as_ref().map(RefusedSecrets::new)
    }

    fn lock(&self) -> Result<DeviceLock, TpmError> {
        let memory = self.memory().ok_or_else(|| {
            let reason = "there is no state directory".to_owned();
            self.subject.wrong(AuthProblem::NotRemembered(reason))
        })?;
        memory
            .lock(&self.device(), PATIENCE.min(self.access.timeout / 2))
            .map_err(|error| {
                self.subject.wrong(match error {
                    LockError::Busy { file } => AuthProblem::Busy(file),
                    error => AuthProblem::NotRemembered(error.to_string()),
                })
            })
    }

    fn check(&self, lock: &DeviceLock, value: &Secret) -> Result<(), TpmError> {
        match lock.was_refused(value) {
            Ok(false) => Ok(()),
            Ok(true) => {
                let file = lock.path().to_owned();
                Err(self.subject.wrong(AuthProblem::RefusedBefore(file)))
            }
            Err(error) => Err(self.not_remembered(&error)),
        }
    }

    fn not_remembered(&self, error: &std::io::Error) -> TpmError {
        self.subject
            .wrong(AuthProblem::NotRemembered(error.to_string()))
    }

    /// Where it cannot be remembered, the next one who tries it is told the same by the TPM.
    fn remember_afterwards(&self, value: &Secret) {
        if let Ok(mut lock) = self.lock() {
            let _ = lock.record(value);
        }
    }

    fn forget_if_known(&self, value: &Secret) {
        if self
            .memory()
            .is_some_and(|memory| memory.knows(&self.device()))
            && let Ok(mut lock) = self.lock()
        {
            let _ = lock.forget(value);
        }
    }
}

/// Whether a value was refused, now or before.
fn was_refused(error: &TpmError) -> bool {
    matches!(
        error,
        TpmError::Auth {
            problem: AuthProblem::Refused { .. } | AuthProblem::RefusedBefore(_),
            ..
        }
    )
}

/// Commands that authorise nothing by an auth value that could be counted.
const UNAUTHORISED: [&str; 11] = [
    "TPM2_CreatePrimary",
    "TPM2_FlushContext",
    "TPM2_GetCapability",
    "TPM2_GetTime",
    "TPM2_PolicyAuthValue",
    "TPM2_PolicyCommandCode",
    "TPM2_PolicyGetDigest",
    "TPM2_PolicyPCR",
    "TPM2_PolicyRestart",
    "TPM2_ReadPublic",
    "TPM2_StartAuthSession",
];

/// Whether an auth value was sent, and the TPM has not said what it thinks of it: it may have counted it.
fn is_unjudged(error: &TpmError) -> bool {
    let call = match error {
        TpmError::Unanswered { call, .. } => call,
        // These are said before anything is sent.
        TpmError::Call { error, .. }
            if error.code.is_of_tpm()
                || matches!(error.code, code::BAD_VALUE | code::BAD_SEQUENCE) =>
        {
            return false;
        }
        TpmError::Call { error, .. } => &error.call,
        _ => return false,
    };
    // libtss2's own calls are none of the TPM's commands.
    call.starts_with("TPM2_") && !UNAUTHORISED.contains(&&**call)
}

#[cfg(test)]
mod tests;
