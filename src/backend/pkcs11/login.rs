//! Logging in, with care: a wrong PIN costs a try, and the last one locks the token.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};

use cryptoki_sys::*;

use super::call::CallError;
use super::error::{PinProblem, TokenError};
use super::module::Session;
use super::slots::Token;
use super::tokens::{Access, Notice, Operator, PinRequest, PinRole, PinState, TokenName};
use crate::backend::secret::{DeviceLock, LockError, RefusedSecrets, Secret};

/// How long another process may be at the same token's PIN; half of a call's time at most: who is ended
/// in C_Login, having waited too long before it, has had his try.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a person may mistype.
const ATTEMPTS: usize = 3;

/// Logs in, and gives the PIN that was taken; `None` if it was typed on the token itself.
///
/// A stored PIN is not tried if it was refused before, nor if a wrong one would lock the token. What it
/// is going to be is written down first, so that a process that dies in C_Login has had its try.
///
/// # Errors
/// [`TokenError::Pin`], or [`TokenError::Call`] if the PIN is not what is wrong.
pub fn log_in(
    session: &Session,
    role: PinRole,
    access: &Access,
    operator: &mut dyn Operator,
) -> Result<Option<Secret>, TokenError> {
    let mut login = Login::new(session, role)?;
    if login.token.has_pin_pad() {
        login.check_lock()?;
        operator.notify(&Notice::PinPad(login.token.name.clone()));
        return match login.attempt(None) {
            Ok(()) => Ok(None),
            Err(error) => Err(login.failed(error)),
        };
    }
    if operator.is_person() {
        return login.ask(access, operator).map(Some);
    }
    login.check_stored()?;
    let pin = login.pin(operator, false)?;
    login.try_stored(&pin, access)?;
    Ok(Some(pin))
}

/// Logs in for one signature, with a PIN that this process has seen the token take.
///
/// # Errors
/// As [`log_in`].
pub fn confirm(
    session: &Session,
    pin: &Secret,
    access: &Access,
    operator: &dyn Operator,
) -> Result<(), TokenError> {
    let mut login = Login::new(session, PinRole::Signature)?;
    if operator.is_person() {
        // Nobody typed it for this signature: the last try is not spent on it.
        login.check_stored()?;
        return login
            .attempt(Some(pin))
            .map_err(|error| login.failed(error));
    }
    // It may have been changed meanwhile, and another process may know.
    let mut lock = login.lock(access, patience(access))?;
    login.refresh()?;
    login.check_stored()?;
    login.check_remembered(&lock, pin)?;
    let Err(error) = login.attempt(Some(pin)) else {
        return Ok(());
    };
    if is_verdict(error) {
        login.remember(&mut lock, pin)?;
    }
    Err(login.failed(error))
}

fn patience(access: &Access) -> Duration {
    PATIENCE.min(access.timeout / 2)
}

struct Login<'a> {
    session: &'a Session,
    role: PinRole,
    token: Token,
}

impl<'a> Login<'a> {
    fn new(session: &'a Session, role: PinRole) -> Result<Self, TokenError> {
        let token = Token::read(session.module(), session.slot())
            .map_err(|error| session.module().error(error))?;
        Ok(Self {
            session,
            role,
            token,
        })
    }

    /// Reads again what the token says of its PIN.
    fn refresh(&mut self) -> Result<(), TokenError> {
        *self = Self::new(self.session, self.role)?;
        Ok(())
    }

    fn state(&self) -> PinState {
        self.token.pin_state(self.role)
    }

    fn problem(&self, problem: PinProblem) -> TokenError {
        TokenError::Pin {
            token: Box::new(self.token.name.clone()),
            role: self.role,
            problem,
        }
    }

    fn check_lock(&self) -> Result<(), TokenError> {
        match self.state() {
            PinState::Locked => Err(self.problem(PinProblem::Locked)),
            _ => Ok(()),
        }
    }

    /// Whether a stored PIN may be tried, by what the token says.
    fn check_stored(&self) -> Result<(), TokenError> {
        self.check_lock()?;
        match self.state() {
            PinState::FinalTry => Err(self.problem(PinProblem::FinalTry)),
            _ => Ok(()),
        }
    }

    fn pin(&self, operator: &mut dyn Operator, refused: bool) -> Result<Secret, TokenError> {
        let request = PinRequest {
            token: self.token.name.clone(),
            role: self.role,
            state: self.state(),
            refused,
        };
        match operator.pin(&request) {
            // What prints nothing, such as a pinentry that was closed, is not worth a try.
            Ok(Some(pin)) if pin.expose().is_empty() => {
                Err(self.problem(PinProblem::Source("it is empty".into())))
            }
            Ok(Some(pin)) => Ok(pin),
            Ok(None) => Err(self.problem(PinProblem::Needed)),
            Err(error) if error.is_cancelled() => Err(self.problem(PinProblem::Cancelled)),
            Err(error) => Err(self.problem(PinProblem::Source(error.in_brief().to_string()))),
        }
    }

    fn attempt(&self, pin: Option<&Secret>) -> Result<(), CallError> {
        match self.session.login(self.role, pin) {
            Err(error) if error.is(CKR_USER_ALREADY_LOGGED_IN) => Ok(()),
            result => result,
        }
    }

    fn ask(&mut self, access: &Access, operator: &mut dyn Operator) -> Result<Secret, TokenError> {
        let mut refused = false;
        for _ in 0..ATTEMPTS {
            self.check_lock()?;
            let pin = self.pin(operator, refused)?;
            match self.attempt(Some(&pin)) {
                Ok(()) => {
                    // It may be stored somewhere, too. Where that cannot be noted, no harm is done.
                    if let Ok(mut lock) = self.lock(access, Duration::ZERO) {
                        let _ = lock.forget(&pin);
                    }
                    return Ok(pin);
                }
                Err(error)
                    if error.is(CKR_PIN_INCORRECT)
                        || error.is(CKR_PIN_INVALID)
                        || error.is(CKR_PIN_LEN_RANGE)
                        || error.is(CKR_ARGUMENTS_BAD) => {}
                Err(error) => return Err(self.failed(error)),
            }
            refused = true;
            self.refresh()?;
        }
        self.check_lock()?;
        Err(self.problem(PinProblem::Refused))
    }

    fn try_stored(&mut self, pin: &Secret, access: &Access) -> Result<(), TokenError> {
        let mut lock = self.lock(access, patience(access))?;
        // Whoever had the lock before may have spent a try.
        self.refresh()?;
        self.check_stored()?;
        self.check_remembered(&lock, pin)?;
        self.remember(&mut lock, pin)?;
        let Err(error) = self.attempt(Some(pin)) else {
            return lock
                .forget(pin)
                .map_err(|error| self.not_remembered(&error));
        };
        if !is_verdict(error) && !self.may_have_lost_a_try(error) {
            // What cannot be forgotten counts as refused, and the file says so.
            let _ = lock.forget(pin);
        }
        Err(self.failed(error))
    }

    /// Whether a try may have been lost, by what the token says, whatever its C_Login returned. Where one
    /// was lost before already, no flag tells one from two.
    fn may_have_lost_a_try(&mut self, error: CallError) -> bool {
        let before = self.state();
        self.refresh().is_ok()
            && (self.state() != before || is_unclear(error))
            && matches!(
                self.state(),
                PinState::CountLow | PinState::FinalTry | PinState::Locked
            )
    }

    fn lock(&self, access: &Access, patience: Duration) -> Result<DeviceLock, TokenError> {
        let Some(state) = &access.state else {
            let reason = String::from("there is no state directory");
            return Err(self.problem(PinProblem::NotRemembered(reason)));
        };
        RefusedSecrets::new(state)
            .lock(&device(&self.token.name, self.role), patience)
            .map_err(|error| {
                self.problem(match error {
                    LockError::Busy { file } => PinProblem::Busy(file),
                    error => PinProblem::NotRemembered(error.to_string()),
                })
            })
    }

    fn check_remembered(&self, lock: &DeviceLock, pin: &Secret) -> Result<(), TokenError> {
        match lock.was_refused(pin) {
            Ok(false) => Ok(()),
            Ok(true) => {
                let file = lock.path().to_owned();
                Err(self.problem(PinProblem::RefusedBefore(file)))
            }
            Err(error) => Err(self.not_remembered(&error)),
        }
    }

    fn remember(&self, lock: &mut DeviceLock, pin: &Secret) -> Result<(), TokenError> {
        lock.record(pin)
            .map_err(|error| self.not_remembered(&error))
    }

    fn not_remembered(&self, error: &std::io::Error) -> TokenError {
        self.problem(PinProblem::NotRemembered(error.to_string()))
    }

    /// The error for a C_Login that failed.
    fn failed(&self, error: CallError) -> TokenError {
        let problem = match CK_RV::from(error.code) {
            CKR_PIN_LOCKED => PinProblem::Locked,
            CKR_USER_PIN_NOT_INITIALIZED => PinProblem::NotSet,
            CKR_PIN_EXPIRED => PinProblem::ToBeChanged,
            CKR_PIN_INCORRECT => PinProblem::Refused,
            // ykcs11 says so of PINs that are too short or too long.
            CKR_PIN_INVALID | CKR_PIN_LEN_RANGE | CKR_ARGUMENTS_BAD => PinProblem::Unusable(error),
            CKR_FUNCTION_CANCELED | CKR_CANCEL | CKR_FUNCTION_REJECTED => PinProblem::Cancelled,
            _ => return self.session.module().error(error),
        };
        self.problem(problem)
    }
}

/// Whether a C_Login came as far as the PIN, and did not take it.
fn is_verdict(error: CallError) -> bool {
    [
        CKR_PIN_INCORRECT,
        CKR_PIN_INVALID,
        CKR_PIN_LEN_RANGE,
        CKR_PIN_EXPIRED,
        CKR_PIN_LOCKED,
        CKR_ARGUMENTS_BAD,
    ]
    .into_iter()
    .any(|code| error.is(code))
}

/// Whether a C_Login does not say how far it came.
fn is_unclear(error: CallError) -> bool {
    [CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR]
        .into_iter()
        .any(|code| error.is(code))
        || CK_RV::from(error.code) >= CKR_VENDOR_DEFINED
}

/// What a token is remembered by, wherever it is plugged in: serial numbers are the maker's own, and begin
/// at 1 more than once.
fn device(token: &TokenName, role: PinRole) -> String {
    let role = match role {
        PinRole::SecurityOfficer => "so",
        PinRole::User | PinRole::Signature => "user",
    };
    let name = if token.serial.is_empty() {
        &token.label
    } else {
        &token.serial
    };
    format!(
        "pkcs11 {role} {} {} {name}",
        token.manufacturer, token.model
    )
}
