//! The handle of what delivers a spool, and what its threads have in common.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::io;
use std::string::String;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use super::backlog::Backlog;
use super::between::Between;
use super::disk::Disk;
use super::event::{Observer, Told};
use super::lookout::{self, Bell};
use super::schedule::{Place, Schedule};
use super::tally::{Counts, LastError, Rate, Rates};
use super::worker;
use crate::core::time::UnixTime;
use crate::host::random::Random;
use crate::host::refresh::Clocks;
use crate::host::s3::ObjectStore;
use crate::host::session::Credentials;
use crate::host::spool::{EntryId, Reason, RunLock, Spool, SpoolError};
use crate::output::push::{Allowed, Pace, Sessions, UploadOptions};

/// How a spool is delivered.
#[derive(Debug, Clone)]
pub struct Options {
    /// At most so many uploads at once.
    pub concurrency: usize,
    /// How each entry is uploaded.
    pub upload: UploadOptions,
    /// At most so many bytes a second, all uploads together.
    pub bandwidth: Option<u64>,
    /// Only in this part of the day.
    pub between: Option<Between>,
    /// What delays follow from: another one on each machine.
    pub seed: u64,
}

impl Default for Options {
    /// Four uploads at once, as fast as it goes, at any time.
    fn default() -> Self {
        Self {
            concurrency: 4,
            upload: UploadOptions::default(),
            bandwidth: None,
            between: None,
            seed: Random::seed(),
        }
    }
}

/// Where entries go. Each thread has stores of its own, one for each bucket.
pub trait Stores: Send + Sync {
    /// The bucket of that name. Nothing is sent.
    ///
    /// # Errors
    /// One sentence: there can be no such bucket, or no connection to it.
    fn open(&self, bucket: &str) -> Result<Box<dyn ObjectStore>, String>;
}

/// How things are.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// What was counted since the start.
    pub counts: Counts,
    /// Entries that are on their way now.
    pub in_flight: usize,
    /// Whether nothing passes, or there are no credentials.
    pub is_failing: bool,
    /// Why the last upload failed that did, or the last attempt at a session.
    pub last_error: Option<LastError>,
    /// When S3 last confirmed an entry.
    pub last_delivery: Option<UnixTime>,
    /// When the oldest entry that waits was accepted.
    pub oldest: Option<UnixTime>,
    /// In how long what has failed is tried again.
    pub next_attempt: Option<Duration>,
    /// In how long the upload window opens, if it is closed.
    pub window_opens: Option<Duration>,
    /// How fast things come and go, over the last hour.
    pub rate: Option<Rate>,
}

/// Delivers a spool, with threads of its own, until it is dropped.
pub struct Deliverer {
    pub(super) shared: Arc<Shared>,
}

/// What the threads have in common.
pub(super) struct Shared {
    pub spool: Spool,
    pub stores: Box<dyn Stores>,
    pub sessions: Arc<dyn Sessions>,
    pub options: Options,
    pub clocks: Arc<dyn Clocks>,
    pub pace: Pace,
    pub allowed: Allowed,
    pub bell: Bell,
    pub disk: Disk,
    /// Bytes of contents that were sent.
    pub sent: AtomicU64,
    state: Mutex<State>,
    /// For everybody who waits: something has changed.
    changed: Condvar,
    _lock: RunLock,
}

/// What changes.
pub(super) struct State {
    pub schedule: Schedule,
    /// What is not in the schedule yet.
    pub backlog: Backlog,
    /// What could not be opened when it was to come into the schedule.
    pub unopened: Vec<Place>,
    /// What is to become of entries, but for a disk that does not let it.
    pub settled: BTreeMap<Place, Settled>,
    /// Why entries were refused that may turn out to be refused for themselves.
    pub refusals: BTreeMap<Place, Reason>,
    pub session: Session,
    pub counts: Counts,
    pub rates: Rates,
    pub last_error: Option<LastError>,
    pub last_delivery: Option<UnixTime>,
    /// Entries that were taken out of the spool since the last look.
    pub gone: Vec<EntryId>,
    pub told: Told,
    pub observer: Box<dyn Observer>,
    pub is_stopping: bool,
    /// Threads that run.
    pub running: usize,
    /// When the lookout was last seen.
    pub pulse: Instant,
    pub wakes: Vec<Box<dyn Fn() + Send>>,
}

/// What is to become of an entry.
#[derive(Debug, Clone)]
pub(super) enum Settled {
    Removed,
    SetAside(Reason),
}

/// The last session, and how many there were.
#[derive(Default)]
pub(super) struct Session {
    pub number: u64,
    pub credentials: Option<Arc<Credentials>>,
}

/// A lookout that was not seen for so long hangs, and so does a call to the disk that takes so long.
const STUCK: Duration = Duration::from_secs(300);

impl Deliverer {
    /// Begins. The spool is locked against others who would deliver it, until this is dropped and its threads
    /// have ended.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        spool: Spool,
        stores: Box<dyn Stores>,
        sessions: Arc<dyn Sessions>,
        clocks: Arc<dyn Clocks>,
        options: Options,
        observer: Box<dyn Observer>,
    ) -> Result<Self, StartError> {
        let lock = spool.lock_run().map_err(StartError::Spool)?;
        let state = State {
            schedule: Schedule::new(options.seed, options.concurrency),
            backlog: Backlog::default(),
            unopened: Vec::new(),
            settled: BTreeMap::new(),
            refusals: BTreeMap::new(),
            session: Session::default(),
            counts: Counts::default(),
            rates: Rates::default(),
            last_error: None,
            last_delivery: None,
            gone: Vec::new(),
            told: Told::default(),
            observer,
            is_stopping: false,
            running: 0,
            pulse: Instant::now(),
            wakes: Vec::new(),
        };
        let shared = Arc::new(Shared {
            pace: Pace::new(options.bandwidth),
            allowed: Allowed::default(),
            bell: Bell::new().map_err(StartError::System)?,
            disk: Disk::default(),
            sent: AtomicU64::new(0),
            spool,
            stores,
            sessions,
            options,
            clocks,
            state: Mutex::new(state),
            changed: Condvar::new(),
            _lock: lock,
        });
        let deliverer = Self { shared };
        deliverer.spawn("lookout", lookout::run)?;
        for number in 1..=deliverer.shared.options.concurrency.max(1) {
            deliverer.spawn(&format!("upload {number}"), worker::run)?;
        }
        Ok(deliverer)
    }

    fn spawn(&self, name: &str, run: fn(&Shared)) -> Result<(), StartError> {
        let shared = self.shared.clone();
        shared.lock().running += 1;
        let body = move || {
            let _running = Running(&shared);
            run(&shared);
        };
        let spawned = thread::Builder::new().name(name.into()).spawn(body);
        spawned.map(drop).map_err(StartError::System)
    }

    /// Has `wake` called, on one of the threads, whenever an upload has ended.
    pub fn on_change(&self, wake: Box<dyn Fn() + Send>) {
        self.shared.lock().wakes.push(wake);
    }

    /// There is another session, or the next attempt at one may be made; or other settings are used.
    pub fn session_changed(&self) {
        let now = self.shared.now();
        self.shared.lock().schedule.session_changed(now);
        self.shared.tell();
    }

    /// Has everything tried now, whatever failed before: a person has changed something.
    pub fn ask(&self) {
        self.shared.allowed.forget();
        let now = self.shared.now();
        self.shared.lock().schedule.asked(now);
        self.shared.tell();
    }

    /// Begins nothing new from now on.
    pub fn drain(&self) {
        self.shared.lock().is_stopping = true;
        self.shared.bell.ring();
        self.shared.tell();
    }

    /// The same, and waits for what is under way: for so long to be finished, then for it to be left where it
    /// can go on. Whether all threads have ended.
    pub fn finish(&self, patience: Duration) -> bool {
        self.drain();
        if self.shared.wait_for_end(patience) {
            return true;
        }
        self.shared.pace.stop();
        self.shared.wait_for_end(Duration::from_secs(2))
    }

    /// How things are.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// The spool.
    pub fn spool(&self) -> &Spool {
        &self.shared.spool
    }

    /// Whether the thread that looks after everything has not been seen for long, or one that uploads does not come
    /// back from the disk.
    pub fn is_stuck(&self) -> bool {
        let state = self.shared.lock();
        !state.is_stopping && self.shared.hangs_for(&state) > STUCK
    }
}

impl Drop for Deliverer {
    fn drop(&mut self) {
        self.drain();
        self.shared.pace.stop();
    }
}

/// A thread that runs.
struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.tell();
    }
}

impl Shared {
    /// The state.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans a panic: what is there can be used.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has everybody look who waits.
    pub fn tell(&self) {
        self.changed.notify_all();
    }

    /// Lets go of the state until something has changed, or for so long.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        let woken = self.changed.wait_timeout(state, limit);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The time since the machine was booted.
    pub fn now(&self) -> Duration {
        self.clocks.now().since_boot
    }

    /// The wall clock.
    pub fn wall(&self) -> UnixTime {
        self.clocks.now().wall
    }

    /// For how long somebody has not come back.
    pub fn hangs_for(&self, state: &State) -> Duration {
        state.pulse.elapsed().max(self.disk.longest())
    }

    fn wait_for_end(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut state = self.lock();
        while state.running > 0 {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.wait(state, left);
        }
        true
    }

    fn status(&self) -> Status {
        let now = self.now();
        let there = self.spool.usage().ok().map(|usage| usage.bytes);
        let oldest = self.lock().schedule.oldest();
        let oldest = oldest.and_then(|place| self.spool.open_entry(place.1).ok()?);
        let state = self.lock();
        let gone = state.counts.delivered_bytes;
        let left = |until: Option<Duration>| until.map(|until| until.saturating_sub(now));
        Status {
            counts: Counts {
                sent_bytes: self.sent.load(Ordering::Relaxed),
                ..state.counts.clone()
            },
            in_flight: state.schedule.in_flight(),
            is_failing: state.schedule.is_failing(),
            last_error: state.last_error.clone(),
            last_delivery: state.last_delivery,
            oldest: oldest.map(|entry| entry.head.accepted),
            next_attempt: left(state.schedule.next_attempt()),
            window_opens: left(state.schedule.shut_until(now)),
            rate: there.and_then(|there| state.rates.rate(now, there, gone)),
        }
    }
}

/// Why nothing is delivered.
#[derive(Debug)]
pub enum StartError {
    /// The spool cannot be used, or somebody else delivers it.
    Spool(SpoolError),
    /// The system has no thread.
    System(io::Error),
}

impl core::fmt::Display for StartError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Spool(error) => error.fmt(f),
            Self::System(error) => write!(f, "the system refuses: {error}"),
        }
    }
}

impl core::error::Error for StartError {}
