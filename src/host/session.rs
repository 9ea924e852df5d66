//! A session from IAM Roles Anywhere: `CreateSession` with retries, each signed anew, and with an eye
//! on the clocks.

use core::fmt;
use core::time::Duration;
use std::string::{String, ToString as _};
use std::time::Instant;
use std::vec;

use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use super::clock::HostClock;
use super::transport::{HttpError, HttpTransport};
use crate::backend::Identity;
use crate::core::create_session::{
    self, AnswerError, Buffers, CreateSession, Observed, SessionError, Signed,
};
use crate::core::http::{Transport, TransportError as _};
use crate::core::key::SignError;
use crate::core::text::Printable;
use crate::core::time::{Clock as _, UnixTime};

/// Credentials of a session, wiped when they are dropped.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id; not secret by itself.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Zeroizing<String>,
    /// The session token.
    pub session_token: Zeroizing<String>,
    /// When all of this ends.
    pub expiration: UnixTime,
    /// The role that was assumed.
    pub role_arn: String,
}

impl From<create_session::Credentials<'_>> for Credentials {
    fn from(borrowed: create_session::Credentials<'_>) -> Self {
        Self {
            access_key_id: borrowed.access_key_id.to_string(),
            secret_access_key: Zeroizing::new(borrowed.secret_access_key.to_string()),
            session_token: Zeroizing::new(borrowed.session_token.to_string()),
            expiration: borrowed.expiration,
            role_arn: borrowed.role_arn.to_string(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expiration", &self.expiration)
            .field("role_arn", &self.role_arn)
            .finish_non_exhaustive()
    }
}

/// How often and how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// How long all attempts together may take.
    pub within: Duration,
    /// The longest delay before the second attempt; it doubles with each further one.
    pub base: Duration,
    /// The longest delay of all.
    pub longest: Duration,
    /// Whether a service that throttles is asked again. Whoever goes on asking for as long as the machine
    /// runs has better ways.
    pub when_throttled: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            within: Duration::from_secs(60),
            base: Duration::from_millis(250),
            longest: Duration::from_secs(20),
            when_throttled: true,
        }
    }
}

impl Retry {
    /// The delay after `failed` attempts: anywhere between nothing and an exponentially growing
    /// limit ("full jitter"). Throttling starts at four times the usual.
    fn delay(&self, failed: u32, throttled: bool) -> Duration {
        let base = if throttled { self.base * 4 } else { self.base };
        let doublings = 2u32.saturating_pow(failed.saturating_sub(1));
        let limit = base.saturating_mul(doublings).min(self.longest);
        let mut random = [0; 8];
        // Without randomness the longest delay is the safe one.
        match SystemRandom::new().fill(&mut random) {
            Ok(()) => limit.mul_f64(u64::from_le_bytes(random) as f64 / u64::MAX as f64),
            Err(_) => limit,
        }
    }
}

/// What happens on the way to a session, for a person who looks on.
pub trait Watcher {
    /// A request is about to be sent.
    fn request(&mut self, _signed: &Signed<'_>) {}

    /// An answer came. The body of a success holds the credentials!
    fn answer(&mut self, _status: u16, _body: &[u8]) {}

    /// An attempt failed; the next one follows after `delay`.
    fn retry(&mut self, _error: &CreateError, _delay: Duration) {}

    /// The clock was corrected by `seconds`.
    fn clock_corrected(&mut self, _seconds: i64) {}
}

impl Watcher for () {}

/// Lets a [`Watcher`] see what the core shows.
struct Shown<'w>(&'w mut dyn Watcher);

impl create_session::Trace for Shown<'_> {
    fn request(&mut self, signed: &Signed<'_>) {
        self.0.request(signed);
    }

    fn answer(&mut self, status: u16, body: &[u8]) {
        self.0.answer(status, body);
    }
}

/// A transport that knows whether it can be believed.
pub trait HostTransport: Transport<Error = HttpError> {
    /// Whether the other end is who it claims to be.
    fn verifies_server(&self) -> bool;

    /// Lets exchanges from now on take no longer than this.
    fn limit(&mut self, remaining: Duration);
}

impl HostTransport for HttpTransport {
    fn verifies_server(&self) -> bool {
        self.verifies_server()
    }

    fn limit(&mut self, remaining: Duration) {
        self.limit(remaining);
    }
}

/// What [`create`] needs beside the request.
pub struct Environment<'a> {
    /// The clock to sign by.
    pub clock: &'a HostClock,
    /// Whether to sign with the service's time where ours is wrong.
    pub correct_clock: bool,
    /// How often to try.
    pub retry: Retry,
    /// How to wait. Tests do not.
    pub sleep: &'a mut dyn FnMut(Duration),
    /// Who looks on.
    pub watcher: &'a mut dyn Watcher,
}

/// The longest answer that is read. Session tokens with many tags reach a few KiB.
const MAX_ANSWER: usize = 16 << 10;

/// A new session.
#[derive(Debug)]
pub struct Created {
    /// Its credentials.
    pub credentials: Credentials,
    /// The service's clock when it answered.
    pub date: Option<UnixTime>,
    /// The same, if it came over verified TLS: a time that is known to have passed.
    pub confirmed: Option<UnixTime>,
}

/// Asks for a session until there is one, or it is clear that there will be none.
///
/// # Errors
/// [`CreateError`]: the last attempt's.
pub fn create<T: HostTransport>(
    request: &CreateSession<'_>,
    identity: &mut Identity,
    transport: &mut T,
    environment: &mut Environment<'_>,
) -> Result<Created, CreateError> {
    let started = Instant::now();
    let mut failed = 0;
    let mut may_correct = environment.correct_clock;
    loop {
        transport.limit(environment.retry.within.saturating_sub(started.elapsed()));
        let Attempt {
            outcome,
            date,
            confirmed,
        } = attempt(request, identity, transport, environment);
        let error = match outcome {
            Ok(credentials) => {
                return Ok(Created {
                    credentials,
                    date,
                    // Who takes our signature has a clock like ours: what else it says is not kept.
                    confirmed: confirmed.filter(|time| environment.clock.skew(*time).is_none()),
                });
            }
            Err(error) => error,
        };
        if may_correct
            && error.may_be_the_clock()
            && let (Some(time), Some(skew)) = (confirmed, error.skew)
            && environment.clock.correct(time).is_ok()
        {
            may_correct = false;
            environment.watcher.clock_corrected(skew);
            continue;
        }
        failed += 1;
        let may_retry =
            error.is_retryable() && (environment.retry.when_throttled || !error.is_throttling());
        if !may_retry || failed >= environment.retry.attempts {
            return Err(error);
        }
        let delay = environment.retry.delay(failed, error.is_throttling());
        if started.elapsed() + delay > environment.retry.within {
            return Err(error);
        }
        environment.watcher.retry(&error, delay);
        (environment.sleep)(delay);
    }
}

struct Attempt {
    outcome: Result<Credentials, CreateError>,
    date: Option<UnixTime>,
    confirmed: Option<UnixTime>,
}

fn attempt<T: HostTransport>(
    request: &CreateSession<'_>,
    identity: &mut Identity,
    transport: &mut T,
    environment: &mut Environment<'_>,
) -> Attempt {
    let mut signature = vec![0; identity.key().max_signature_len()];
    let mut answer = Zeroizing::new(vec![0; MAX_ANSWER]);
    let mut scratch = Zeroizing::new(vec![0; MAX_ANSWER / 2]);
    let mut observed = Observed::default();
    let outcome = request.send(
        identity,
        transport,
        environment.clock.now(),
        Buffers {
            signature: &mut signature,
            answer: &mut answer,
            scratch: &mut scratch,
        },
        &mut observed,
        &mut Shown(environment.watcher),
    );
    let skew = observed.date.and_then(|date| environment.clock.skew(date));
    Attempt {
        outcome: outcome.map(Credentials::from).map_err(|error| CreateError {
            kind: error.into(),
            skew,
        }),
        date: observed.date,
        confirmed: observed.date.filter(|_| transport.verifies_server()),
    }
}

/// Why there is no session.
#[derive(Debug)]
pub struct CreateError {
    /// What went wrong.
    pub kind: CreateErrorKind,
    /// How far the service's clock is ahead of ours, in seconds, if it is far.
    pub skew: Option<i64>,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum CreateErrorKind {
    /// The request cannot be formed: the region or the host are not what they should be.
    Unsignable,
    /// The signer failed.
    Sign(SignError),
    /// The transport failed.
    Transport(HttpError),
    /// The service refused.
    Refused(Refusal),
    /// The service's answer is not to be trusted.
    Answer(AnswerError),
}

/// What the service said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error code: `AccessDeniedException`; empty if there was none.
    pub code: String,
    /// The message; empty if there was none.
    pub message: String,
    throttling: bool,
    retryable: bool,
}

impl From<SessionError<'_, HttpError>> for CreateErrorKind {
    fn from(error: SessionError<'_, HttpError>) -> Self {
        match error {
            SessionError::Sign(error) => Self::Sign(error),
            SessionError::Transport(error) => Self::Transport(error),
            SessionError::Answer(error) => Self::Answer(error),
            SessionError::Service(error) => Self::Refused(Refusal {
                status: error.status,
                code: error.code.to_string(),
                message: error.message.to_string(),
                throttling: error.is_throttling(),
                retryable: error.is_retryable(),
            }),
            _ => Self::Unsignable,
        }
    }
}

impl CreateError {
    /// Whether the same request, signed again, may succeed later.
    pub fn is_retryable(&self) -> bool {
        match &self.kind {
            CreateErrorKind::Sign(error) => error.is_retryable(),
            CreateErrorKind::Transport(error) => error.is_retryable(),
            CreateErrorKind::Refused(refusal) => refusal.retryable,
            CreateErrorKind::Unsignable | CreateErrorKind::Answer(_) => false,
        }
    }

    /// Whether the service asks to be called less often.
    pub fn is_throttling(&self) -> bool {
        matches!(&self.kind, CreateErrorKind::Refused(refusal) if refusal.throttling)
    }

    /// Whether a wrong clock can look like this.
    fn may_be_the_clock(&self) -> bool {
        match &self.kind {
            CreateErrorKind::Refused(refusal) => !refusal.retryable,
            CreateErrorKind::Answer(error) => *error == AnswerError::Expired,
            _ => false,
        }
    }
}

impl fmt::Display for CreateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            CreateErrorKind::Unsignable => {
                f.write_str("the request cannot be formed: the region or the host is too long")
            }
            CreateErrorKind::Sign(error) => error.fmt(f),
            CreateErrorKind::Transport(error) => error.fmt(f),
            CreateErrorKind::Refused(refusal) => refusal.fmt(f),
            CreateErrorKind::Answer(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.code.as_str() {
            "" => "no error code",
            code => code,
        };
        write!(f, "{} (HTTP {})", Printable(code), self.status)?;
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(f, ": {}", Printable(message)),
        }
    }
}

impl core::error::Error for CreateError {}
