//! Credentials for the AWS SDK for Rust.
//!
//! [`CredentialsProvider`] hands out what a [`Refresher`] has. Refreshing goes on in the refresher's own
//! thread: a request waits only while there are no credentials at all. No asynchronous runtime is asked for,
//! any will do.

use core::fmt;
use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::io;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime};
use std::vec::Vec;

use aws_credential_types::Credentials as SdkCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result as ProviderResult, future};

use crate::host::arn::Arn;
#[cfg(feature = "file")]
use crate::host::refresh::IdentityFiles;
use crate::host::refresh::{Failure, Options, Refresher, Source};
use crate::host::session::Credentials;

/// Shorter than the 5 seconds that the SDK waits for credentials, so that its user is told what is wrong.
const DEFAULT_PATIENCE: Duration = Duration::from_millis(4500);

/// Credentials of one identity, for `credentials_provider` of the SDK's configuration. Clones share
/// everything.
///
/// A failure is never [`CredentialsError::CredentialsNotLoaded`]: a chain of providers would go on to other
/// credentials.
#[derive(Clone)]
pub struct CredentialsProvider {
    refresher: Refresher,
    patience: Duration,
    /// What all wait for who wait now.
    round: Arc<Mutex<Option<Arc<Round>>>>,
}

impl fmt::Debug for CredentialsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialsProvider")
            .field("identity", &self.refresher.name())
            .finish_non_exhaustive()
    }
}

impl CredentialsProvider {
    /// Hands out what this refresher has.
    pub fn new(refresher: Refresher) -> Self {
        Self {
            refresher,
            patience: DEFAULT_PATIENCE,
            round: Arc::default(),
        }
    }

    /// Starts a refresher for an identity in files. They are first read when credentials are asked for, so
    /// that what is wrong with them is the failure of that.
    ///
    /// # Errors
    /// [`io::Error`] if there is no thread to be had.
    #[cfg(feature = "file")]
    pub fn of_files(files: IdentityFiles) -> io::Result<Self> {
        let name = files.certificate_path().display();
        let name = std::format!("{name}");
        let options = Options::new(files.clock().clone());
        Self::start(&name, files, options)
    }

    /// Starts a refresher for another source: a closure that opens an identity in a token or a TPM and
    /// gives a [`Requester`](crate::host::requester::Requester), for instance.
    ///
    /// # Errors
    /// [`io::Error`] if there is no thread to be had.
    pub fn start(name: &str, source: impl Source + 'static, options: Options) -> io::Result<Self> {
        let refresher = Refresher::start(name, Box::new(source), options, Box::new(()))?;
        Ok(Self::new(refresher))
    }

    /// Waits no longer than this where there are no credentials; 4.5 seconds by default, since the SDK
    /// itself waits for 5.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The refresher behind it: its status, why the last refresh failed, reloading.
    pub fn refresher(&self) -> &Refresher {
        &self.refresher
    }

    /// The round that is under way, or a new one.
    fn round(&self) -> Result<Arc<Round>, CredentialsError> {
        let mut current = lock(&self.round);
        if let Some(round) = &*current {
            return Ok(round.clone());
        }
        let round = Arc::new(Round::default());
        let (provider, ours) = (self.clone(), round.clone());
        // Waiting blocks, and there may be no runtime that has threads for it. There is one at a time.
        thread::Builder::new()
            .name("keystead wait".to_owned())
            .spawn(move || {
                let began = Instant::now();
                let outcome = provider.refresher.wait(provider.patience);
                *lock(&provider.round) = None;
                ours.end(outcome.map_err(|failure| Unavailable {
                    is_late: began.elapsed() >= provider.patience,
                    patience: provider.patience,
                    failure,
                }));
            })
            .map_err(CredentialsError::provider_error)?;
        *current = Some(round.clone());
        Ok(round)
    }

    async fn wait(&self) -> ProviderResult {
        let round = self.round()?;
        let outcome = poll_fn(|context| round.poll(context)).await;
        match outcome {
            Ok(credentials) => Ok(sdk(&credentials)),
            Err(unavailable) => Err(unavailable.into()),
        }
    }
}

impl ProvideCredentials for CredentialsProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        match self.refresher.credentials() {
            Some(credentials) => future::ProvideCredentials::ready(Ok(sdk(&credentials))),
            None => future::ProvideCredentials::new(self.wait()),
        }
    }

    fn fallback_on_interrupt(&self) -> Option<SdkCredentials> {
        self.refresher
            .credentials()
            .map(|credentials| sdk(&credentials))
    }
}

fn sdk(credentials: &Credentials) -> SdkCredentials {
    let since_1970 = Duration::from_secs(credentials.expiration.as_secs());
    let mut sdk = SdkCredentials::builder()
        .access_key_id(credentials.access_key_id.as_str())
        .secret_access_key(credentials.secret_access_key.as_str())
        .session_token(credentials.session_token.as_str())
        .expiry(SystemTime::UNIX_EPOCH + since_1970)
        .provider_name("keystead");
    sdk.set_account_id(account(&credentials.role_arn).map(Into::into));
    sdk.build()
}

/// The account of a role.
fn account(role_arn: &str) -> Option<String> {
    let arn: Arn = role_arn.parse().ok()?;
    Some(arn.account().to_owned())
}

/// Why there are no credentials.
#[derive(Debug, Clone)]
struct Unavailable {
    failure: Failure,
    /// Whether they were not there in time.
    is_late: bool,
    patience: Duration,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { what, remedy, .. } = &self.failure;
        match remedy.as_str() {
            "" => f.write_str(what),
            remedy => write!(f, "{what}; {remedy}"),
        }
    }
}

impl core::error::Error for Unavailable {}

impl From<Unavailable> for CredentialsError {
    fn from(unavailable: Unavailable) -> Self {
        if unavailable.is_late {
            Self::provider_timed_out(unavailable.patience)
        } else {
            Self::provider_error(unavailable)
        }
    }
}

type Outcome = Result<Arc<Credentials>, Unavailable>;

/// One wait, which any number of futures share.
#[derive(Default)]
struct Round(Mutex<RoundState>);

#[derive(Default)]
struct RoundState {
    outcome: Option<Outcome>,
    waiting: Vec<Waker>,
}

impl Round {
    fn poll(&self, context: &Context<'_>) -> Poll<Outcome> {
        let mut state = lock(&self.0);
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        // A future that is polled again has the same waker, as a rule.
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(context.waker()))
        {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }

    fn end(&self, outcome: Outcome) {
        let mut state = lock(&self.0);
        state.outcome = Some(outcome);
        let waiting = core::mem::take(&mut state.waiting);
        drop(state);
        for waker in waiting {
            waker.wake();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No invariant spans a panic: what is there can be used.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
