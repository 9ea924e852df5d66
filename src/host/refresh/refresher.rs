//! The thread that refreshes, and the handle that everybody else has.

use core::time::Duration;
use std::boxed::Box;
use std::io;
use std::string::String;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use super::source::{Event, Failure, FailureKind, Fresh, Observer, Opened, Source};
use crate::core::time::{Clock as _, UnixTime};
use crate::host::clock::HostClock;
use crate::host::session::Credentials;

/// How an identity is refreshed.
#[derive(Debug, Clone)]
pub struct Options {
    /// The clock that expiry is judged by.
    pub clock: Arc<HostClock>,
    /// The delay after the first failure; it doubles with each further one.
    pub base: Duration,
    /// The longest delay.
    pub longest: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(clock: Arc<HostClock>) -> Self {
        Self {
            clock,
            base: Duration::from_secs(1),
            longest: Duration::from_secs(300),
        }
    }
}

/// What there is to know about a refresher.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The identity's name.
    pub name: String,
    /// When the credentials expire, if there are any that live.
    pub expiration: Option<UnixTime>,
    /// When the certificate expires.
    pub certificate_expires: Option<UnixTime>,
    /// Sessions that were begun.
    pub successes: u64,
    /// Refreshes that failed.
    pub failures: u64,
    /// Why the last refresh failed, if it did.
    pub failure: Option<Failure>,
}

/// Credentials that are kept fresh. A handle: its clones stand for the same thread, which ends when the
/// last of them is dropped.
#[derive(Clone)]
pub struct Refresher {
    shared: Arc<Shared>,
    _stop: Arc<Stop>,
}

struct Stop(Arc<Shared>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.lock().is_stopped = true;
        self.0.changed.notify_all();
    }
}

struct Shared {
    name: String,
    clock: Arc<HostClock>,
    state: Mutex<State>,
    changed: Condvar,
}

type Wake = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    live: Option<Arc<Credentials>>,
    status: Status,
    /// Refreshes that have ended, in whatever way.
    rounds: u64,
    is_wanted: bool,
    is_used: bool,
    is_reload_wanted: bool,
    is_stopped: bool,
    wakes: Vec<Wake>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic: what is there can be used.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self, state: &State) -> Option<Arc<Credentials>> {
        let now = self.clock.now();
        let live = state.live.as_ref();
        live.filter(|live| live.expiration > now).cloned()
    }
}

impl Refresher {
    /// Starts the thread that refreshes `source`.
    ///
    /// # Errors
    /// [`io::Error`] if there is no thread to be had.
    pub fn start(
        name: &str,
        source: Box<dyn Source>,
        options: Options,
        observer: Box<dyn Observer>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name: name.into(),
            clock: options.clock.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        shared.lock().status.name = name.into();
        let worker = Worker {
            shared: shared.clone(),
            source,
            opened: None,
            options,
            observer,
            failed: 0,
        };
        thread::Builder::new()
            .name(std::format!("refresh {name}"))
            .spawn(move || worker.run())?;
        Ok(Self {
            _stop: Arc::new(Stop(shared.clone())),
            shared,
        })
    }

    /// The identity's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Credentials that live. Never waits; where there are none, a refresh is asked for.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        let mut state = self.shared.lock();
        state.is_used = true;
        let live = self.shared.live(&state);
        if live.is_none() && !state.is_wanted {
            state.is_wanted = true;
            self.shared.changed.notify_all();
        }
        live
    }

    /// Credentials that live, or the failure of the refresh that they were waited for.
    ///
    /// # Errors
    /// [`Failure`] of that refresh, or that it took longer than `patience`.
    pub fn wait(&self, patience: Duration) -> Result<Arc<Credentials>, Failure> {
        let deadline = Instant::now() + patience;
        if let Some(live) = self.credentials() {
            return Ok(live);
        }
        let mut state = self.shared.lock();
        let round = state.rounds;
        loop {
            if let Some(live) = self.shared.live(&state) {
                return Ok(live);
            }
            if state.rounds != round
                && let Some(failure) = &state.status.failure
            {
                return Err(failure.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(state.status.failure.clone().unwrap_or_else(|| Failure {
                    kind: FailureKind::Temporary,
                    what: String::from("there are no credentials yet"),
                    remedy: String::new(),
                }));
            }
            let (next, _) = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }

    /// Why the last refresh failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.shared.lock().status.failure.clone()
    }

    /// Has `wake` called, on the refresher's thread, after each refresh, whether it succeeded or failed.
    pub fn on_change(&self, wake: Wake) {
        self.shared.lock().wakes.push(wake);
    }

    /// Has certificate, key and settings read again.
    pub fn reload(&self) {
        self.shared.lock().is_reload_wanted = true;
        self.shared.changed.notify_all();
    }

    /// What there is to know.
    pub fn status(&self) -> Status {
        let state = self.shared.lock();
        let live = self.shared.live(&state);
        Status {
            expiration: live.map(|live| live.expiration),
            ..state.status.clone()
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    source: Box<dyn Source>,
    opened: Option<Box<dyn Opened>>,
    options: Options,
    observer: Box<dyn Observer>,
    failed: u32,
}

impl Worker {
    fn run(mut self) {
        while self.wait_for_work() {
            let outcome = self.attempt();
            self.settle(outcome);
            let state = self.shared.lock();
            for wake in &state.wakes {
                wake();
            }
        }
    }

    /// Waits until it is time for a refresh; false when nobody is left who wants one.
    fn wait_for_work(&self) -> bool {
        let delay = match self.failed {
            0 => Duration::ZERO,
            failed => self
                .options
                .base
                .saturating_mul(2u32.saturating_pow(failed - 1))
                .min(self.options.longest),
        };
        let not_before = Instant::now() + delay;
        let mut state = self.shared.lock();
        loop {
            if state.is_stopped {
                return false;
            }
            if state.is_reload_wanted {
                return true;
            }
            let until = match self.shared.live(&state) {
                None if !state.is_wanted => None,
                None => Some(not_before),
                Some(_) if !state.is_used => None,
                Some(live) => {
                    let left = live.expiration.since(self.options.clock.now()) / 2;
                    let left = Duration::from_secs(u64::try_from(left).unwrap_or_default());
                    let is_due = left < Duration::from_secs(600);
                    let early = left.saturating_sub(Duration::from_secs(600));
                    Some(if is_due {
                        not_before
                    } else {
                        Instant::now() + early
                    })
                }
            };
            let wait = match until {
                Some(until) if until <= Instant::now() => return true,
                Some(until) => until - Instant::now(),
                None => Duration::from_secs(60),
            };
            let (next, _) = self
                .shared
                .changed
                .wait_timeout(state, wait)
                .unwrap_or_else(PoisonError::into_inner);
            state = next;
        }
    }

    fn attempt(&mut self) -> Result<Fresh, Failure> {
        let is_reload = core::mem::take(&mut self.shared.lock().is_reload_wanted);
        if is_reload || self.opened.is_none() {
            let mut opened = self.source.open()?;
            let fresh = opened.create()?;
            self.opened = Some(opened);
            return Ok(fresh);
        }
        match &mut self.opened {
            Some(opened) => opened.create(),
            None => self.source.open()?.create(),
        }
    }

    fn settle(&mut self, outcome: Result<Fresh, Failure>) {
        let mut state = self.shared.lock();
        state.rounds += 1;
        match outcome {
            Ok(fresh) => {
                let expiration = fresh.credentials.expiration;
                let is_news = state.status.failure.is_some() || state.live.is_none();
                state.live = Some(Arc::new(fresh.credentials));
                state.is_wanted = false;
                state.is_used = false;
                state.status.failure = None;
                state.status.successes += 1;
                state.status.certificate_expires = self
                    .opened
                    .as_ref()
                    .and_then(|opened| opened.certificate_expires());
                self.failed = 0;
                if is_news {
                    self.observer.event(&Event::Begun { expiration });
                }
            }
            Err(failure) => {
                if state.status.failure.as_ref() != Some(&failure) {
                    self.observer.event(&Event::Failed(&failure));
                }
                state.status.failure = Some(failure);
                state.status.failures += 1;
                self.failed += 1;
            }
        }
        self.shared.changed.notify_all();
    }
}
