//! The handle that everybody has who wants credentials.

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::io;
use std::string::String;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use super::meter::{Meter, Signatures};
use super::source::{Failure, FailureKind, Observer, Source};
use super::time::{Clocks, Now, SystemClocks};
use super::worker::Worker;
use crate::core::time::UnixTime;
use crate::host::clock::HostClock;
use crate::host::random::Random;
use crate::host::session::Credentials;

/// Credentials are not handed out for the last seconds of their life: the request that they are for has to
/// reach its service while they live.
pub const LAST: Duration = Duration::from_secs(5);

/// The same, of sessions on demand: whoever sends data begins nothing in their last minutes.
pub const LAST_ON_DEMAND: Duration = Duration::from_secs(120);

/// How an identity is refreshed.
#[derive(Clone)]
pub struct Options {
    pub(super) clocks: Arc<dyn Clocks>,
    pub(super) seed: u64,
    pub(super) on_demand: bool,
}

impl Options {
    /// The usual ones; `clock` is the one that expiry is judged by, beside the time since the machine was
    /// booted.
    pub fn new(clock: Arc<HostClock>) -> Self {
        Self {
            clocks: Arc::new(SystemClocks(clock)),
            seed: Random::seed(),
            on_demand: false,
        }
    }

    /// Sessions only for those who ask, and therefore only when there is something to do: none at the start,
    /// none ahead of the end of the last one, which is used until [`LAST_ON_DEMAND`] before its end, and none
    /// because a file has changed; what has changed proves itself by the next one. Who asks and gets nothing
    /// asks again for as long as there is something to do.
    pub fn on_demand(mut self) -> Self {
        self.on_demand = true;
        self
    }

    /// The same by other clocks: simulated ones, or those of another system.
    pub fn with_clocks(mut self, clocks: Arc<dyn Clocks>) -> Self {
        self.clocks = clocks;
        self
    }
}

/// What there is to know about a refresher.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The identity's name.
    pub name: String,
    /// When the credentials expire, by the wall clock, if there are any that live.
    pub expiration: Option<UnixTime>,
    /// When the certificate expires.
    pub certificate_expires: Option<UnixTime>,
    /// Whether anybody has asked since the last session began.
    pub is_in_use: bool,
    /// How many certificates, keys and settings were taken into use, the first included.
    pub generation: u64,
    /// Sessions that were begun.
    pub successes: u64,
    /// Refreshes that failed, for whatever reason.
    pub failures: u64,
    /// Of these, the ones because of network, service or device.
    pub temporary: u64,
    /// Of these, the ones that the service throttled.
    pub throttled: u64,
    /// Of these, the ones that need a person.
    pub lasting: u64,
    /// Changes of certificate, key or settings that could not be used.
    pub reloads_refused: u64,
    /// Why the last refresh failed, if it did.
    pub failure: Option<Failure>,
    /// In how long the next attempt is made, after a failure; `None` while one is under way, or follows when
    /// somebody asks.
    pub next_attempt: Option<Duration>,
    /// Signatures of the key.
    pub signatures: Signatures,
    /// How many times a wrong PIN may still be given: 1 before the last one, 0 if it is locked. `None` if it
    /// is more, or the device does not say.
    pub pin_tries: Option<u32>,
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
        self.0.ring();
    }
}

/// What a refresher's thread does, for another one to do.
pub struct Driver(Worker);

impl Driver {
    /// Does what there is to do, which may take as long as a request, and gives how long to wait for more,
    /// if nobody asks for anything meanwhile; `None` when the last handle is gone.
    pub fn turn(&mut self) -> Option<Duration> {
        self.0.turn()
    }
}

/// What the handles and the thread have in common.
pub struct Shared {
    name: String,
    clocks: Arc<dyn Clocks>,
    meter: Option<Meter>,
    /// Sessions are begun only for those who ask.
    on_demand: bool,
    state: Mutex<State>,
    /// For everybody who waits: something has changed.
    changed: Condvar,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

/// The state of it.
#[derive(Default)]
pub struct State {
    /// The last session.
    pub live: Option<Live>,
    /// When somebody last asked, since the machine was booted.
    pub last_use: Option<Duration>,
    /// Whether somebody has asked since the last session began.
    pub is_used: bool,
    /// Whether a session is being asked for.
    pub is_busy: bool,
    /// Attempts that have ended, in whatever way.
    pub rounds: u64,
    /// No attempt is made before this, because the last one failed.
    pub not_before: Option<Duration>,
    /// Whether somebody wants certificate, key and settings read again.
    pub is_reload_wanted: bool,
    /// Whether the network may have come back.
    pub is_network_new: bool,
    /// Whether the last handle is gone.
    pub is_stopped: bool,
    /// Whether the thread has something to look at.
    pub is_rung: bool,
    /// Who is told of the end of an attempt.
    pub wakes: Vec<Wake>,
    /// What is counted. What depends on the time is not kept here.
    pub status: Status,
}

/// Credentials, and their end by both clocks.
#[derive(Clone)]
pub struct Live {
    /// The credentials.
    pub credentials: Arc<Credentials>,
    /// When they end, since the machine was booted.
    pub ends: Duration,
}

impl Live {
    /// How long they live, by the clock that says less.
    pub fn left(&self, now: Now) -> Duration {
        let by_wall = self.credentials.expiration.since(now.wall);
        let by_wall = Duration::from_secs(u64::try_from(by_wall).unwrap_or_default());
        self.ends.saturating_sub(now.since_boot).min(by_wall)
    }
}

impl State {
    /// The credentials, if they live.
    fn live(&self, now: Now, last: Duration) -> Option<&Arc<Credentials>> {
        let live = self.live.as_ref().filter(|live| live.left(now) > last);
        live.map(|live| &live.credentials)
    }
}

impl Shared {
    /// The state of a refresher that has just been started.
    pub fn new(name: &str, options: &Options, meter: Option<Meter>) -> Self {
        let shared = Self {
            name: name.into(),
            clocks: options.clocks.clone(),
            meter,
            on_demand: options.on_demand,
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        shared.lock().status.name = name.into();
        shared
    }

    /// The state.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic: what is there can be used.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time.
    pub fn now(&self) -> Now {
        self.clocks.now()
    }

    /// For how much of their life, at its end, credentials are not handed out.
    pub fn last(&self) -> Duration {
        match self.on_demand {
            true => LAST_ON_DEMAND,
            false => LAST,
        }
    }

    /// Whether the wall clock stands still, since it is known to be wrong.
    pub fn is_wall_wrong(&self) -> bool {
        self.clocks.is_wall_wrong()
    }

    /// What a failed attempt has delayed is tried again soon, unless the service throttled.
    pub fn network_changed(&self) {
        self.lock().is_network_new = true;
        self.ring();
    }

    /// These credentials were refused: they are as good as none.
    pub fn refused(&self, used: &Arc<Credentials>) {
        let mut state = self.lock();
        drop(
            state
                .live
                .take_if(|live| Arc::ptr_eq(&live.credentials, used)),
        );
    }

    /// Has everybody look who waits.
    pub fn tell(&self) {
        self.changed.notify_all();
    }

    /// Has the thread look.
    fn ring(&self) {
        self.lock().is_rung = true;
        self.tell();
    }

    /// Waits until the thread has something to look at, or for so long.
    fn sleep(&self, limit: Duration) {
        let state = self.lock();
        let woken = self
            .changed
            .wait_timeout_while(state, limit, |state| !state.is_rung);
        woken.unwrap_or_else(PoisonError::into_inner).0.is_rung = false;
    }

    /// Credentials that live; where there are none, and it is time for that, some are asked for.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        let now = self.now();
        let mut state = self.lock();
        let live = state.live(now, self.last()).cloned();
        // Where sessions are begun on demand, only who gets none asks for one.
        if !self.on_demand || live.is_none() {
            state.last_use = Some(now.since_boot);
        }
        let backs_off = state.not_before.is_some_and(|until| now.since_boot < until);
        let is_news = match live {
            Some(_) => !state.is_used,
            None => !state.is_busy && !backs_off,
        };
        state.is_used = true;
        if is_news && !state.is_rung {
            state.is_rung = true;
            drop(state);
            self.tell();
        }
        live
    }

    /// The same, waited for.
    pub fn wait(&self, patience: Duration) -> Result<Arc<Credentials>, Failure> {
        let deadline = Instant::now() + patience;
        let first = self.lock().rounds;
        loop {
            // Before the look: what comes after it is not to be waited for in vain.
            let round = self.lock().rounds;
            if let Some(live) = self.credentials() {
                return Ok(live);
            }
            let now = self.now().since_boot;
            let state = self.lock();
            let pause = state.not_before.and_then(|until| until.checked_sub(now));
            if let Some(failure) = &state.status.failure
                && !state.is_busy
                && (state.rounds != first || pause.is_some())
            {
                return Err(after(failure, pause));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(state.status.failure.clone().unwrap_or_else(|| Failure {
                    kind: FailureKind::Temporary,
                    what: String::from("there are no credentials yet"),
                    remedy: String::new(),
                }));
            }
            let woken = self
                .changed
                .wait_timeout_while(state, left, |state| state.rounds == round);
            drop(woken);
        }
    }

    /// What there is to know.
    pub fn status(&self) -> Status {
        let now = self.now();
        let state = self.lock();
        let until = state.not_before;
        Status {
            expiration: state.live(now, self.last()).map(|live| live.expiration),
            is_in_use: state.is_used,
            next_attempt: until
                .and_then(|until| until.checked_sub(now.since_boot))
                .filter(|pause| !pause.is_zero() && !state.is_busy),
            signatures: self.meter.as_ref().map(Meter::read).unwrap_or_default(),
            ..state.status.clone()
        }
    }
}

/// The failure, with when it goes on.
fn after(failure: &Failure, pause: Option<Duration>) -> Failure {
    let mut failure = failure.clone();
    if let Some(pause) = pause {
        let secs = pause.as_secs() + 1;
        failure.what += &format!("; the next attempt is in {secs} s");
    }
    failure
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
        let (refresher, mut driver) = Self::driven(name, source, options, observer);
        thread::Builder::new()
            .name(format!("refresh {name}"))
            .spawn(move || {
                while let Some(limit) = driver.turn() {
                    driver.0.shared().sleep(limit);
                }
            })?;
        Ok(refresher)
    }

    /// The same without a thread: nothing happens but when the [`Driver`] is turned. For programs that have
    /// a thread of their own for it, and for tests in simulated time.
    pub fn driven(
        name: &str,
        source: Box<dyn Source>,
        options: Options,
        observer: Box<dyn Observer>,
    ) -> (Self, Driver) {
        let shared = Arc::new(Shared::new(name, &options, source.meter()));
        let worker = Worker::new(shared.clone(), source, &options, observer);
        let refresher = Self {
            _stop: Arc::new(Stop(shared.clone())),
            shared,
        };
        (refresher, Driver(worker))
    }

    /// The identity's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Credentials that live, by both clocks. Never waits; counts as use. Where there are none, a session
    /// is asked for, unless an attempt has failed and the next one has its time.
    ///
    /// It is the same `Arc` for as long as the credentials are the same.
    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        self.shared.credentials()
    }

    /// Credentials that live. Where there are none, the end of an attempt is waited for, or, if one has
    /// failed and the next one has its time, there is its failure at once.
    ///
    /// # Errors
    /// [`Failure`] of that attempt, or that it took longer than `patience`.
    pub fn wait(&self, patience: Duration) -> Result<Arc<Credentials>, Failure> {
        self.shared.wait(patience)
    }

    /// Why the last refresh failed, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.shared.lock().status.failure.clone()
    }

    /// Has `wake` called, on the refresher's thread, after each attempt, whether it succeeded or failed.
    pub fn on_change(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.shared.lock().wakes.push(wake.into());
    }

    /// Has certificate, key and settings read again, and proven by a new session. If they cannot be used,
    /// those from before go on.
    pub fn reload(&self) {
        self.shared.lock().is_reload_wanted = true;
        self.shared.ring();
    }

    /// The network may have come back: what a failure has delayed is tried again within seconds, unless the
    /// service throttled.
    pub fn network_changed(&self) {
        self.shared.network_changed();
    }

    /// A service has refused these credentials as expired or unknown. If they are the last ones, they are not
    /// handed out any more, and who asks next has a session begun.
    pub fn refused(&self, used: &Arc<Credentials>) {
        self.shared.refused(used);
    }

    /// What there is to know.
    pub fn status(&self) -> Status {
        self.shared.status()
    }
}
