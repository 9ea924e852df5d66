//! The client's end: a worker, and one call of it after the other.

use core::time::Duration;
use std::borrow::Cow;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::{format, io};

use super::channel::{Channel, ChannelError, Deadline, deadline_in};
use super::message::{Request, ToClient, ToWorker};
use super::starter::{Process, Started, Starter};
use crate::backend::pkcs11::{Access, Notice, Operator, TokenError};
use crate::backend::secret::{Secret, SecretError};
use crate::core::key::SignError;

/// How long a worker may take to log out and end by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long a token waits for a finger, and a PIN pad for a PIN, with time to spare: they give up by
/// themselves.
const TOUCH: Duration = Duration::from_secs(30);
const PIN_PAD: Duration = Duration::from_secs(120);

/// How long a token may look for primes: a small card takes minutes for a large key.
const PRIMES: Duration = Duration::from_secs(600);

/// The most questions and notices of one call. A module that asks more often asks forever.
const MAX_CALLBACKS: usize = 100;

/// A worker that runs and waits for calls.
#[derive(Debug)]
pub struct Connection {
    channel: Option<Channel>,
    process: Box<dyn Process>,
    access: Arc<Access>,
}

impl Connection {
    /// Starts a worker.
    pub fn start(starter: &Starter, access: &Arc<Access>) -> Result<Self, Failure> {
        let not_started = |error: io::Error| Failure {
            kind: FailureKind::NotStarted,
            reason: error.to_string(),
        };
        let Started {
            input,
            output,
            process,
        } = starter.start().map_err(not_started)?;
        let channel = Channel::with_deadlines(input, output).map_err(not_started)?;
        let mut connection = Self {
            channel: Some(channel),
            process,
            access: access.clone(),
        };
        connection.exchange(|channel, deadline| {
            channel.greet();
            channel.send(&ToWorker::Setup(Cow::Borrowed(&**access)), *deadline)?;
            channel.expect_greeting(*deadline)
        })?;
        Ok(connection)
    }

    /// Has the worker do something. `take` gives what it wants from an answer, and `None` to one that
    /// does not belong to the request.
    pub fn call<T>(
        &mut self,
        request: Request<'_>,
        operator: &mut dyn Operator,
        take: impl FnOnce(ToClient<'_>) -> Option<T>,
    ) -> Result<T, Failure> {
        let more = match request {
            Request::Generate(_) => PRIMES,
            _ => Duration::ZERO,
        };
        let request = ToWorker::Do {
            person: operator.is_person(),
            request,
        };
        let timeout = self.access.timeout;
        self.exchange(|channel, deadline| {
            *deadline = later(*deadline, more);
            channel
                .send(&request, *deadline)
                .map_err(|error| match error {
                    ChannelError::Closed => ChannelError::Gone,
                    error => error,
                })?;
            for _ in 0..MAX_CALLBACKS {
                match channel.receive(*deadline)? {
                    ToClient::AskPin(request) => {
                        let pin = operator.pin(&request);
                        // The login that follows has the whole time: a worker that is ended in it leaves a
                        // right PIN behind as refused.
                        *deadline = deadline_in(timeout);
                        give(channel, pin, *deadline)?;
                    }
                    ToClient::Notify(notice) => {
                        operator.notify(&notice);
                        let patience = match notice {
                            Notice::Touch(_) => TOUCH,
                            Notice::PinPad(_) => PIN_PAD,
                        };
                        *deadline = later(deadline_in(timeout), patience);
                    }
                    answer => return take(answer).ok_or(ChannelError::Malformed),
                }
            }
            Err(ChannelError::Malformed)
        })
    }

    /// Runs a part of the conversation. If that fails, the worker is of no more use, and is ended.
    fn exchange<T>(
        &mut self,
        part: impl FnOnce(&mut Channel, &mut Deadline) -> Result<T, ChannelError>,
    ) -> Result<T, Failure> {
        let mut deadline = deadline_in(self.access.timeout);
        let result = match &mut self.channel {
            Some(channel) => part(channel, &mut deadline),
            None => Err(ChannelError::Closed),
        };
        result.map_err(|error| self.failed(&error))
    }

    fn failed(&mut self, error: &ChannelError) -> Failure {
        let (kind, patience) = match error {
            // Nothing was said: the worker still waits for a call.
            ChannelError::TooLong | ChannelError::Unspeakable => {
                return Failure {
                    kind: FailureKind::Unsaid,
                    reason: error.to_string(),
                };
            }
            ChannelError::TimedOut => (FailureKind::TimedOut, Duration::ZERO),
            // It ends already; how, is worth a moment.
            ChannelError::Closed => (FailureKind::Ended, FAREWELL),
            ChannelError::Gone => (FailureKind::Gone, FAREWELL),
            _ => (FailureKind::Ended, Duration::ZERO),
        };
        self.channel = None;
        let status = self.process.end(patience).ok().flatten();
        let module = self.access.module.display();
        let reason = match (error, status) {
            (ChannelError::Closed | ChannelError::Gone, Some(status)) => {
                format!("it ended while it used {module} ({status})")
            }
            (ChannelError::TimedOut, _) => format!(
                "{module} did not answer within {:?}, and was ended",
                self.access.timeout
            ),
            _ => error.to_string(),
        };
        Failure { kind, reason }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.channel.take().is_some() {
            // Nobody is left to be told.
            let _ = self.process.end(FAREWELL);
        }
    }
}

/// A deadline, put off.
fn later(deadline: Deadline, by: Duration) -> Deadline {
    deadline.and_then(|deadline| deadline.checked_add(by))
}

/// Answers the worker's question for a PIN.
fn give(
    channel: &mut Channel,
    pin: Result<Option<Secret>, SecretError>,
    deadline: Deadline,
) -> Result<(), ChannelError> {
    let answer = match &pin {
        Ok(Some(pin)) => ToWorker::Pin(pin.expose()),
        Ok(None) => ToWorker::NoPin,
        Err(error) => ToWorker::PinUnreadable {
            reason: error.in_brief().to_string(),
            cancelled: error.is_cancelled(),
        },
    };
    let given = channel.send(&answer, deadline);
    channel.wipe();
    given
}

/// Why a worker did not do what it was told.
#[derive(Debug)]
pub struct Failure {
    pub kind: FailureKind,
    reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// It could not be told: the request has no form. It goes on.
    Unsaid,
    /// It could not be started.
    NotStarted,
    /// It had ended before it was told.
    Gone,
    /// It ended, or spoke nonsense and was ended.
    Ended,
    /// It hung, and was ended.
    TimedOut,
}

impl From<Failure> for TokenError {
    fn from(failure: Failure) -> Self {
        Self::Signer {
            reason: failure.reason,
        }
    }
}

impl From<FailureKind> for SignError {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Unsaid => Self::Failed,
            FailureKind::NotStarted | FailureKind::Gone | FailureKind::Ended => Self::ProcessEnded,
            FailureKind::TimedOut => Self::TimedOut,
        }
    }
}
