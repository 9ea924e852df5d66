//! The client's end: a worker, and one call of it after the other.

use core::time::Duration;
use std::borrow::Cow;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::{format, io};

use super::channel::{Channel, ChannelError, Deadline, deadline_in};
use super::family::{Answer, Family};
use super::message::{Request, ToClient, ToWorker};
use super::starter::{Process, Started, Starter};
use crate::backend::secret::{Secret, SecretError};
use crate::core::key::SignError;

/// How long a worker may take to log out and end by itself.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the dynamic linker ends a program with that it cannot load (ld.so(8)). Which library is missing
/// it says on standard error.
const NOT_LOADED: i32 = 127;
const NO_LIBRARY: &str = ": a library that it is linked to cannot be loaded; for TPMs it needs libtss2-esys and \
     libtss2-tctildr (Debian: libtss2-esys-3.0.2-0, libtss2-tctildr0)";

/// The most questions and notices of one call. A device that asks more often asks forever.
const MAX_CALLBACKS: usize = 100;

/// A worker that runs and waits for calls.
#[derive(Debug)]
pub struct Connection<F: Family> {
    channel: Option<Channel>,
    process: Box<dyn Process>,
    access: Arc<F::Access>,
    /// Whether the worker has said who it is.
    ready: bool,
}

impl<F: Family> Connection<F> {
    /// Starts a worker.
    pub fn start(starter: &Starter, access: &Arc<F::Access>) -> Result<Self, Failure> {
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
            ready: false,
        };
        connection.exchange(F::timeout(access), |channel, deadline| {
            channel.greet([F::FEATURE]);
            channel.send(&ToWorker::<F>::Setup(Cow::Borrowed(&**access)), *deadline)?;
            if channel.expect_greeting(*deadline)?.has(F::FEATURE) {
                Ok(())
            } else {
                Err(ChannelError::Unbuilt(F::FEATURE.into()))
            }
        })?;
        connection.ready = true;
        Ok(connection)
    }

    /// Has the worker do something. `take` gives what it wants from an answer, and `None` to one that
    /// does not belong to the request.
    pub fn call<T>(
        &mut self,
        request: Request<'_, F>,
        operator: &mut (impl Answer<F> + ?Sized),
        take: impl FnOnce(ToClient<'_, F>) -> Option<T>,
    ) -> Result<T, Failure> {
        let more = match &request {
            Request::Open(request) => F::time_to_open(request),
            Request::Sign { .. } => Duration::ZERO,
            Request::Perform(task) => F::time_for(task),
        };
        let request = ToWorker::Do {
            person: operator.is_person(),
            request,
        };
        let time = F::timeout(&self.access).saturating_add(more);
        self.exchange(time, |channel, deadline| {
            channel
                .send(&request, *deadline)
                .map_err(|error| match error {
                    ChannelError::Closed => ChannelError::Gone,
                    error => error,
                })?;
            for _ in 0..MAX_CALLBACKS {
                match channel.receive(*deadline)? {
                    ToClient::Ask(question) => {
                        let secret = operator.secret(&question);
                        // The login that follows has the whole time: a worker that is ended in it leaves a
                        // right PIN behind as refused.
                        *deadline = deadline_in(time);
                        give::<F>(channel, secret, *deadline)?;
                    }
                    ToClient::Notify(notice) => {
                        operator.notify(&notice);
                        *deadline = deadline_in(time.saturating_add(F::patience(&notice)));
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
        time: Duration,
        part: impl FnOnce(&mut Channel, &mut Deadline) -> Result<T, ChannelError>,
    ) -> Result<T, Failure> {
        let mut deadline = deadline_in(time);
        let result = match &mut self.channel {
            Some(channel) => part(channel, &mut deadline),
            None => Err(ChannelError::Closed),
        };
        result.map_err(|error| self.failed(&error, time))
    }

    fn failed(&mut self, error: &ChannelError, time: Duration) -> Failure {
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
        let place = F::place(&self.access);
        let reason = match (error, status) {
            (ChannelError::Closed | ChannelError::Gone, Some(status)) if !self.ready => {
                let why = match status.code() {
                    Some(NOT_LOADED) => NO_LIBRARY,
                    _ => "",
                };
                format!("it ended before it was ready ({status}){why}")
            }
            (ChannelError::Closed | ChannelError::Gone, Some(status)) => {
                format!("it ended while it used {place} ({status})")
            }
            (ChannelError::TimedOut, _) => format!(
                "{place} did not answer within {time:?}, and the process that waited for it was ended"
            ),
            _ => error.to_string(),
        };
        Failure { kind, reason }
    }
}

impl<F: Family> Drop for Connection<F> {
    fn drop(&mut self) {
        if self.channel.take().is_some() {
            // Nobody is left to be told.
            let _ = self.process.end(FAREWELL);
        }
    }
}

/// Answers the worker's question for a secret.
fn give<F: Family>(
    channel: &mut Channel,
    secret: Result<Option<Secret>, SecretError>,
    deadline: Deadline,
) -> Result<(), ChannelError> {
    let answer = match &secret {
        Ok(Some(secret)) => ToWorker::<F>::Secret(secret.expose()),
        Ok(None) => ToWorker::NoSecret,
        Err(error) => ToWorker::SecretUnreadable {
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
    pub reason: String,
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

impl From<FailureKind> for SignError {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Unsaid => Self::Failed,
            FailureKind::NotStarted | FailureKind::Gone | FailureKind::Ended => Self::ProcessEnded,
            FailureKind::TimedOut => Self::TimedOut,
        }
    }
}
