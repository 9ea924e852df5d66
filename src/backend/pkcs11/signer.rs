//! A signer whose key is in a token, and how it comes back when token or module fail.

use core::time::Duration;
use std::boxed::Box;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use cryptoki_sys::*;

use super::call::{Call, CallError, return_value_name};
use super::error::{PinProblem, TokenError};
use super::locate::{Located, locate_again};
use super::login;
use super::mechanism::{Plan, write_ecdsa};
use super::module::{Module, Object, Session};
use super::objects;
use super::recovery::{Step, is_recoverable};
use super::tokens::{Access, Notice, OpenKey, Operator, PinRole, TokenName};
use crate::backend::secret::Secret;
use crate::backend::signature;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};

/// A token that takes longer for a signature probably waits for a finger.
const TOUCH_AFTER: Duration = Duration::from_millis(1000);

/// Signatures that take less need no one who looks at the clock meanwhile.
const QUICK: Duration = Duration::from_millis(200);

/// How often a signature is tried again at most: for each step of recovery, and when other signers of the
/// process take theirs meanwhile.
const MOST_TRIES: usize = 16;

/// Beside a signature that took this long, it does not show whether it is verified too. Each one that did
/// is: that the one before was quick says nothing about the card that made this one.
const WORTH_VERIFYING: Duration = Duration::from_millis(5);

/// A key in a token.
pub struct TokenSigner {
    module: Arc<Module>,
    request: OpenKey,
    access: Access,
    operator: Box<dyn Operator>,
    kind: KeyKind,
    public_key: Vec<u8>,
    /// Whether no signature has proven yet that the key is the certificate's.
    is_assumed: bool,
    /// The PIN, for a key that wants it for each signature.
    pin: Option<Secret>,
    /// How long the last signature took; longest before the first.
    last: Duration,
    live: Option<Live>,
    /// Whether the module is Yubico's own.
    is_yubicos: bool,
    /// The module's generation of the last attempt.
    tried_in: u64,
}

/// What is gone when the session is.
struct Live {
    session: Session,
    key: Object,
    always_authenticate: bool,
    mechanisms: Vec<CK_MECHANISM_TYPE>,
    /// Whether a mechanism that hashes was refused, although it is on the list.
    raw: bool,
    /// Whether the token is known to wait for a touch.
    wants_touch: bool,
    token: TokenName,
}

enum Failure {
    Sign(SignError),
    Token(TokenError),
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<SignError> for Failure {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

impl TokenSigner {
    /// The signer of a key that was located.
    ///
    /// # Errors
    /// [`TokenError`], if the token's mechanisms cannot be read.
    pub fn new(
        module: Arc<Module>,
        request: OpenKey,
        access: Access,
        operator: Box<dyn Operator>,
        located: Located,
    ) -> Result<Self, TokenError> {
        let mut signer = Self {
            module,
            request,
            access,
            operator,
            kind: located.kind,
            public_key: located.public_key.clone(),
            is_assumed: located.is_assumed,
            pin: None,
            last: Duration::MAX,
            is_yubicos: false,
            live: None,
            tried_in: 0,
        };
        signer.adopt(located)?;
        Ok(signer)
    }

    fn adopt(&mut self, located: Located) -> Result<(), TokenError> {
        let slot = located.session.slot();
        let mechanisms = self
            .module
            .mechanisms(slot)
            .map_err(|error| self.module.error(error))?;
        if located.key.always_authenticate {
            self.pin = located.pin;
        }
        let token = match located.slot.token {
            Some(token) => token.name,
            // It was found by its token.
            None => return Err(self.module.error(GONE)),
        };
        self.is_yubicos = token.manufacturer.starts_with("Yubico");
        let wants_touch = self.is_yubicos
            && objects::wants_touch(&located.session, &located.key)
                .map_err(|error| self.module.error(error))?;
        self.live = Some(Live {
            session: located.session,
            key: located.key.object,
            always_authenticate: located.key.always_authenticate,
            mechanisms,
            raw: false,
            wants_touch,
            token,
        });
        Ok(())
    }

    /// A new session with the key in it.
    fn reopen(&mut self) -> Result<(), TokenError> {
        self.live = None;
        self.tried_in = self.module.generation();
        let located = locate_again(
            &self.module,
            &self.request,
            &self.public_key,
            &self.access,
            &mut *self.operator,
        )?;
        self.adopt(located)
    }

    /// Has the module forget what it remembers. The next signature finds out whether that worked.
    fn begin_anew(&mut self) {
        self.live = None;
        let _ = self.module.reinitialize(self.module.generation());
    }

    fn attempt(
        &mut self,
        scheme: Scheme,
        message: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Failure> {
        if self.live.is_none() {
            self.reopen()?;
        }
        let Some(live) = &mut self.live else {
            return Err(SignError::Failed.into());
        };
        self.tried_in = live.session.generation();
        let failed = |error| Failure::Token(self.module.error(error));
        let mut plan = Plan::new(self.kind, scheme, &live.mechanisms, live.raw)?;
        let is_ec = !matches!(self.kind, KeyKind::Rsa { .. });
        // The token would keep the operation open, and want another buffer for it.
        if !is_ec && out.len() < self.kind.max_signature_len() {
            return Err(SignError::BufferTooSmall.into());
        }
        match live.session.sign_init(&plan.mechanism, live.key) {
            Err(error) if error.is(CKR_MECHANISM_INVALID) && !live.raw => {
                live.raw = true;
                plan = Plan::new(self.kind, scheme, &live.mechanisms, true)?;
                let again = live.session.sign_init(&plan.mechanism, live.key);
                again.map_err(failed)?;
            }
            result => result.map_err(failed)?,
        }
        if live.always_authenticate {
            confirm(live, &mut self.pin, &self.access, &mut *self.operator)?;
        }
        let prepared = plan.input.prepare(message);
        let data = prepared.as_deref().unwrap_or(message);
        let mut bare = [0; 132];
        let place = if is_ec { &mut bare[..] } else { &mut *out };
        if live.wants_touch {
            self.operator.notify(&Notice::Touch(live.token.clone()));
        }
        let watched = if self.last < QUICK || live.wants_touch {
            None
        } else {
            Some(&mut self.operator)
        };
        let (result, took) = sign(live, data, place, watched);
        self.last = took;
        let len = match result {
            // The session was logged in a moment ago: what a card calls so is a touch that did not come.
            Err(error) if error.is(CKR_USER_NOT_LOGGED_IN) && took >= TOUCH_AFTER => {
                return Err(SignError::NotTouched.into());
            }
            result => result.map_err(failed)?,
        };
        let len = if is_ec {
            let bare = bare.get(..len).unwrap_or_default();
            write_ecdsa(self.kind, bare, out)?
        } else {
            len
        };
        if self.is_assumed || took >= WORTH_VERIFYING {
            let signature = out.get(..len).unwrap_or_default();
            if signature::verify(&self.public_key, scheme, message, signature).is_err() {
                // A module may carry on with another card in the reader, without a word, and show what
                // it remembers of the first.
                self.begin_anew();
                return Err(match self.is_assumed {
                    true => SignError::WrongKey.into(),
                    false => SignError::KeyGone.into(),
                });
            }
            self.is_assumed = false;
        }
        Ok(len)
    }
}

/// The login that some keys want between C_SignInit and C_Sign.
fn confirm(
    live: &Live,
    kept: &mut Option<Secret>,
    access: &Access,
    operator: &mut dyn Operator,
) -> Result<(), TokenError> {
    let keep = access.reuse_pin || !operator.is_person();
    let confirmed = match kept.take() {
        Some(pin) => match login::confirm(&live.session, &pin, access, operator) {
            Ok(()) => Some(pin),
            // Whether the last try is worth it a person can say.
            Err(TokenError::Pin {
                problem: PinProblem::FinalTry,
                ..
            }) if operator.is_person() => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let pin = match confirmed {
        Some(pin) => Some(pin),
        None => login::log_in(&live.session, PinRole::Signature, access, operator)?,
    };
    *kept = pin.filter(|_| keep);
    Ok(())
}

/// C_Sign. Where it takes long, a person is told what it waits for.
fn sign(
    live: &Live,
    data: &[u8],
    out: &mut [u8],
    watched: Option<&mut Box<dyn Operator>>,
) -> (Result<usize, CallError>, Duration) {
    let start = Instant::now();
    let Some(operator) = watched else {
        return (live.session.sign(data, out), start.elapsed());
    };
    let (done, is_done) = mpsc::channel::<()>();
    let result = thread::scope(|scope| {
        let watcher = thread::Builder::new().spawn_scoped(scope, move || {
            if is_done.recv_timeout(TOUCH_AFTER) == Err(RecvTimeoutError::Timeout) {
                operator.notify(&Notice::Touch(live.token.clone()));
            }
        });
        let result = live.session.sign(data, out);
        drop(done);
        // Without a thread there is no notice; the signature is what counts.
        drop(watcher);
        result
    });
    (result, start.elapsed())
}

impl Signer for TokenSigner {
    fn key(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        let mut first = match self.attempt(scheme, message, out) {
            Ok(len) => return Ok(len),
            Err(Failure::Sign(error)) => return Err(error),
            Err(Failure::Token(error)) => error,
        };
        let mut steps = Step::ALL.into_iter();
        for _ in 0..MOST_TRIES {
            if !is_recoverable(&first) {
                break;
            }
            self.live = None;
            // If somebody else has taken a step since, a new session is all that is needed.
            let taken = if self.module.generation() != self.tried_in {
                Ok(())
            } else if let Some(step) = steps.next() {
                step.take(&self.module, self.tried_in)
            } else {
                break;
            };
            let result = match taken {
                Ok(()) => self.attempt(scheme, message, out),
                Err(error) => Err(error.into()),
            };
            match result {
                Ok(len) => return Ok(len),
                Err(Failure::Sign(error)) => return Err(error),
                // What a PIN or another key in its place has to do with it says more than what came first.
                Err(Failure::Token(error)) if !is_recoverable(&error) => first = error,
                Err(Failure::Token(_)) => {}
            }
        }
        // The next call begins with a new session.
        self.live = None;
        if self.is_yubicos && is_refusal(&first) {
            // The module (2.2) may keep the card to itself after that: every other program would have to
            // wait until C_Finalize.
            self.begin_anew();
        }
        Err(sign_error(&first))
    }
}

/// Whether the token refused a PIN just now.
fn is_refusal(error: &TokenError) -> bool {
    let TokenError::Pin { problem, .. } = error else {
        return false;
    };
    matches!(problem, PinProblem::Refused)
}

/// What C_GetSlotList would say of a token that is not there, if it spoke of single tokens.
const GONE: CallError = CallError::new(Call::GetSlotList, CKR_TOKEN_NOT_PRESENT);

/// Why there is no signature, where a key that was open cannot be used any more.
pub fn sign_error(error: &TokenError) -> SignError {
    let device = |error: CallError| SignError::Device {
        call: error.call.name(),
        code: error.code,
        name: return_value_name(error.code),
    };
    match error {
        TokenError::Call { error, .. } if error.is(CKR_USER_NOT_LOGGED_IN) => SignError::PinNeeded,
        TokenError::Call { error, .. } => device(*error),
        TokenError::NoToken { .. } | TokenError::SeveralTokens { .. } => device(GONE),
        TokenError::Pin { problem, .. } => match problem {
            PinProblem::Locked => SignError::PinLocked,
            // Somebody else is logging in; it may be over soon.
            PinProblem::Busy(_) => SignError::TimedOut,
            PinProblem::Needed | PinProblem::Source(_) | PinProblem::Cancelled => {
                SignError::PinNeeded
            }
            _ => SignError::PinRefused,
        },
        TokenError::Module { .. } | TokenError::Signer { .. } => SignError::Failed,
        _ => SignError::KeyGone,
    }
}
