//! The provider over sources that a test steers.

use core::future::Future;
use core::pin::pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::ToString as _;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::thread::{self, Thread};
use std::time::SystemTime;
use std::vec::Vec;

use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use zeroize::Zeroizing;

use super::CredentialsProvider;
use crate::core::time::UnixTime;
use crate::host::clock::{HostClock, system_time};
use crate::host::refresh::{Failure, FailureKind, Fresh, Opened, Options, Source};
use crate::host::session::Credentials;

/// What each request for a session comes to.
type Answer = Result<Credentials, Failure>;

/// Takes its answers from a channel, and waits for them.
#[derive(Clone)]
struct Steered {
    answers: Arc<Mutex<Receiver<Answer>>>,
    asked: Arc<AtomicUsize>,
}

impl Source for Steered {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        Ok(Box::new(self.clone()))
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl Opened for Steered {
    fn create(&mut self) -> Result<Fresh, Failure> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answers = self.answers.lock().unwrap();
        let answer = answers.recv().unwrap_or_else(|_| Err(failure("the end")));
        answer.map(|credentials| Fresh {
            credentials,
            date: Some(system_time()),
        })
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        None
    }
}

fn failure(what: &str) -> Failure {
    Failure {
        kind: FailureKind::Lasting,
        what: what.to_owned(),
        remedy: "ask the CA".to_owned(),
    }
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: Zeroizing::new("secret".to_owned()),
        session_token: Zeroizing::new("token".to_owned()),
        expiration: system_time().offset_by(3600),
        role_arn: "arn:aws:iam::111122223333:role/SensorWriter".to_owned(),
    }
}

fn provider() -> (CredentialsProvider, Steered, mpsc::Sender<Answer>) {
    let (sender, answers) = mpsc::channel();
    let source = Steered {
        answers: Arc::new(Mutex::new(answers)),
        asked: Arc::default(),
    };
    let options = Options::new(Arc::new(HostClock::new(None)));
    let provider = CredentialsProvider::start("hub", source.clone(), options).unwrap();
    (provider, source, sender)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest of runtimes.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn everything_that_the_sdk_wants_to_know() {
    let (provider, _, answers) = provider();
    let ours = credentials();
    answers.send(Ok(ours.clone())).unwrap();
    let theirs = block_on(provider.provide_credentials()).unwrap();
    assert_eq!(theirs.access_key_id(), "ASIAEXAMPLE");
    assert_eq!(theirs.secret_access_key(), "secret");
    assert_eq!(theirs.session_token(), Some("token"));
    assert_eq!(
        theirs.account_id().map(|id| id.as_str()),
        Some("111122223333")
    );
    let expiry = theirs.expiry().unwrap();
    let since = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), ours.expiration.as_secs());

    let shown = std::format!("{provider:?} {theirs:?}");
    assert!(
        !shown.contains("secret\"") && !shown.contains("token\""),
        "{shown}"
    );
}

#[test]
fn any_number_of_requests_wait_for_one_session() {
    let (provider, source, answers) = provider();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let provider = provider.clone();
            thread::spawn(move || block_on(provider.provide_credentials()))
        })
        .collect();
    answers.send(Ok(credentials())).unwrap();
    for thread in waiting {
        assert!(thread.join().unwrap().is_ok());
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    assert!(provider.fallback_on_interrupt().is_some());
}

#[test]
fn a_failure_says_what_to_do_and_leads_to_no_other_credentials() {
    let (provider, _, answers) = provider();
    answers.send(Err(failure("revoked"))).unwrap();
    let error = block_on(provider.provide_credentials()).unwrap_err();
    assert!(
        matches!(error, CredentialsError::ProviderError(_)),
        "{error:?}"
    );
    let cause = core::error::Error::source(&error).unwrap().to_string();
    // In between stands when the next attempt is.
    assert!(cause.starts_with("revoked; "), "{cause}");
    assert!(cause.ends_with("; ask the CA"), "{cause}");
    assert!(provider.fallback_on_interrupt().is_none());
}

#[test]
fn patience_ends() {
    let (provider, _, answers) = provider();
    let provider = provider.patience(Duration::from_millis(20));
    let error = block_on(provider.provide_credentials()).unwrap_err();
    assert!(
        matches!(error, CredentialsError::ProviderTimedOut(_)),
        "{error:?}"
    );

    answers.send(Ok(credentials())).unwrap();
    let provider = provider.patience(Duration::from_secs(30));
    assert!(block_on(provider.provide_credentials()).is_ok());
}
