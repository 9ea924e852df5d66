//! Many writers, one open batch: whoever comes while the disk is busy waits for the next sync together with the
//! others.

use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;
use std::vec::Vec;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::compress::Compression;
use super::error::RecordError;
use super::journal::Journal;
use super::limits::{Fill, Limits};
use super::recovery::{Abandoned, Unreadable};
use crate::core::text::Hex;
use crate::core::time::{Clock as _, UnixTime};
use crate::host::clock::{self, HostClock};
use crate::host::spool::{Added, Bell, Naming, Spool, SpoolError};

/// Makes what is decided about a batch of its name and the time when it begins.
pub type Names = dyn Fn(&str, UnixTime) -> Result<Naming, String> + Send + Sync;

/// What records are called that nobody says anything else of.
pub const CONTENT_TYPE: &str = "application/x-ndjson";

/// So much is collected at most while the disk is busy: who brings more waits.
const MOST_PENDING: usize = 4 * 1024 * 1024;

/// With so much, nobody waits for more.
const ENOUGH: usize = 512 * 1024;

/// What processes have left that were killed is looked for so often.
const RECOVER: Duration = Duration::from_secs(60);

/// After this, a batch that could not become an entry is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// More is not told of files that cannot be read.
const MOST_DAMAGED: usize = 100;

/// How records are collected.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// When a batch is complete.
    pub limits: Limits,
    /// How it is compressed then.
    pub compression: Compression,
    /// So long a sync is put off for others to share it.
    pub group_commit: Duration,
    /// Whether those who bring records wait when the spool is full. Else what they bring is refused, and counted.
    pub is_patient: bool,
    /// By which batches are named; without one, by the system's.
    pub clock: Option<Arc<HostClock>>,
}

/// Is told what becomes of batches.
pub trait Observer: Send + Sync {
    /// A batch has become an entry.
    fn added(&self, added: &Added, records: u64);
    /// A batch is complete and cannot become an entry; it is on disk, and tried again.
    fn failed(&self, error: &RecordError);
    /// What a killed process has left cannot be read, or not all of it. Once for each.
    fn damaged(&self, error: &RecordError);
}

/// Collects records. Its clones are the same one.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    spool: Spool,
    names: Box<Names>,
    options: Options,
    observer: Box<dyn Observer>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    group: Arc<Group>,
    pending: Vec<u8>,
    is_writing: bool,
    batch: Option<Open>,
    /// Those that are complete.
    complete: Vec<Journal>,
    not_before: Option<Instant>,
    was_told: Option<RecordError>,
    /// What was told about files that cannot be read.
    damaged: BTreeSet<String>,
    /// Those of them of which nothing can be read.
    unreadable: Unreadable,
}

struct Open {
    journal: Journal,
    since: Instant,
}

/// What waits for the same sync.
#[derive(Default)]
struct Group {
    done: OnceLock<Result<(), RecordError>>,
}

impl Recorder {
    /// Collects into `spool`; batches are called what `names` says.
    pub fn new(
        spool: Spool,
        names: Box<Names>,
        options: Options,
        observer: Box<dyn Observer>,
    ) -> Self {
        Self(Arc::new(Shared {
            spool,
            names,
            options,
            observer,
            state: Mutex::new(State {
                group: Arc::default(),
                pending: Vec::new(),
                is_writing: false,
                batch: None,
                complete: Vec::new(),
                not_before: None,
                was_told: None,
                damaged: BTreeSet::new(),
                unreadable: Unreadable::new(),
            }),
            changed: Condvar::new(),
        }))
    }

    /// Adds records, each with its newline. When this returns they are on disk.
    ///
    /// # Errors
    /// [`RecordError`]; none of them can be relied on then. Those that are accepted nevertheless are whole.
    pub fn add(&self, lines: &[u8]) -> Result<(), RecordError> {
        if lines.is_empty() {
            return Ok(());
        }
        let shared = &*self.0;
        let mut state = shared.lock();
        while state.pending.len() >= MOST_PENDING {
            state = shared.wait(state);
        }
        state.pending.extend_from_slice(lines);
        let group = state.group.clone();
        if state.pending.len() >= ENOUGH {
            shared.changed.notify_all();
        }
        loop {
            if let Some(done) = group.done.get() {
                return done.clone();
            }
            state = match state.is_writing {
                true => shared.wait(state),
                false => shared.lead(state),
            };
        }
    }

    /// Makes entries of what killed processes have left open.
    ///
    /// # Errors
    /// [`SpoolError`] if that cannot be looked for.
    pub fn recover(&self) -> Result<(), SpoolError> {
        let known = core::mem::take(&mut self.0.lock().unreadable);
        let Abandoned {
            journals,
            damaged,
            unreadable,
        } = Abandoned::find(&self.0.spool, &known)?;
        let damaged = damaged.into_iter().map(RecordError::from);
        let mut news = Vec::new();
        {
            let mut state = self.0.lock();
            state.complete.extend(journals);
            state.unreadable = unreadable;
            for error in damaged {
                if state.damaged.len() < MOST_DAMAGED && state.damaged.insert(error.what.clone()) {
                    news.push(error);
                }
            }
        }
        for error in &news {
            self.0.observer.damaged(error);
        }
        self.0.exclusive(|_| {});
        Ok(())
    }

    /// Makes an entry of the open batch, whatever its age; and of those that are complete.
    ///
    /// # Errors
    /// [`RecordError`] if one of them cannot become an entry: it is on disk, and waits there.
    pub fn close(&self) -> Result<(), RecordError> {
        self.0.exclusive(|state| {
            state.not_before = None;
            state
                .complete
                .extend(state.batch.take().map(|open| open.journal));
        });
        let state = self.0.lock();
        match (&state.was_told, state.complete.is_empty()) {
            (Some(error), false) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Sees to it that batches do not grow too old, those of killed processes among them, until `bell` is rung.
    pub fn keep_time(&self, bell: &Bell) {
        let mut recovered = Instant::now();
        while !bell.is_rung() {
            bell.wait(&[], Some(self.tick().min(RECOVER)));
            if recovered.elapsed() >= RECOVER {
                recovered = Instant::now();
                if let Err(error) = self.recover() {
                    self.0.observer.failed(&error.into());
                }
            }
        }
    }

    /// Closes what is too old, and tries again what could not become an entry. How long that can wait.
    fn tick(&self) -> Duration {
        let age = self.0.options.limits.age;
        let now = Instant::now();
        let due = |state: &State| {
            let of_batch = state.batch.as_ref().map(|open| open.since + age);
            let complete = !state.complete.is_empty();
            let again = complete.then(|| state.not_before.unwrap_or(now));
            [of_batch, again].into_iter().flatten().min()
        };
        let at = due(&self.0.lock());
        if at.is_some_and(|at| at <= now) {
            self.0.exclusive(|state| {
                let is_old = |open: &mut Open| open.since + age <= now;
                let old = state.batch.take_if(is_old);
                state.complete.extend(old.map(|open| open.journal));
            });
        }
        // A batch that is begun meanwhile has all its time before it.
        let at = due(&self.0.lock());
        at.map_or(age, |at| at.saturating_duration_since(Instant::now()))
            .max(Duration::from_millis(10))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let woken = self.changed.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the batches while nobody writes, then makes entries of those that are complete.
    fn exclusive(&self, work: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        while state.is_writing {
            state = self.wait(state);
        }
        work(&mut state);
        state.is_writing = true;
        let state = self.make_entries(state);
        self.end(state);
    }

    fn end(&self, mut state: MutexGuard<'_, State>) {
        state.is_writing = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Writes what is pending, for all who wait for it.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        state.is_writing = true;
        let until = Instant::now() + self.options.group_commit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.pending.len() >= ENOUGH {
                break;
            }
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let lines = core::mem::take(&mut state.pending);
        let group = core::mem::take(&mut state.group);
        let mut batch = state.batch.take();
        drop(state);
        let mut complete = Vec::new();
        let written = self.write(&lines, &mut batch, &mut complete);
        // Nobody else sets it.
        let _ = group.done.set(written);
        self.changed.notify_all();
        let mut state = self.lock();
        state.batch = batch;
        state.complete.extend(complete);
        if state.pending.capacity() == 0 {
            let mut room = lines;
            room.clear();
            state.pending = room;
        }
        let mut state = self.make_entries(state);
        state.is_writing = false;
        self.changed.notify_all();
        state
    }

    /// Writes and syncs.
    fn write(
        &self,
        lines: &[u8],
        batch: &mut Option<Open>,
        complete: &mut Vec<Journal>,
    ) -> Result<(), RecordError> {
        let before = batch
            .as_ref()
            .map_or(Fill::default(), |open| open.journal.fill());
        let mut rest = lines;
        let mut written = Ok(());
        while !rest.is_empty() && written.is_ok() {
            written = self.write_some(&mut rest, batch, complete);
        }
        let written = written.and_then(|()| match batch {
            Some(open) => Ok(open.journal.sync()?),
            None => Ok(()),
        });
        if written.is_err()
            && complete.is_empty()
            && let Some(open) = batch
        {
            // Who brought them brings them again: as far as possible they are not there twice.
            open.journal.rewind(before);
        }
        written
    }

    fn write_some(
        &self,
        rest: &mut &[u8],
        batch: &mut Option<Open>,
        complete: &mut Vec<Journal>,
    ) -> Result<(), RecordError> {
        let limits = &self.options.limits;
        let open = match batch {
            Some(open) => open,
            None => batch.insert(Open {
                journal: self.begin()?,
                since: Instant::now(),
            }),
        };
        let (length, records) = limits.split(open.journal.fill(), rest);
        let (now, later) = rest.split_at(length);
        if records > 0 {
            open.journal.append(now, records)?;
        }
        *rest = later;
        if records == 0 || limits.is_reached(open.journal.fill()) {
            open.journal.sync()?;
            complete.extend(batch.take().map(|open| open.journal));
        }
        Ok(())
    }

    fn begin(&self) -> Result<Journal, RecordError> {
        let compression = self.options.compression;
        let clock = self.options.clock.as_deref();
        let now = clock.map_or_else(clock::system_time, HostClock::now);
        let mut random = [0; 4];
        // Two batches of the same second would be one object.
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| RecordError::new("the system has no random numbers"))?;
        let name = format!(
            "{}-{}.ndjson{}",
            now.amz(),
            Hex(&random),
            compression.suffix()
        );
        let mut naming = (self.names)(&name, now).map_err(RecordError::new)?;
        let attributes = &mut naming.attributes;
        attributes
            .content_type
            .get_or_insert_with(|| CONTENT_TYPE.into());
        if let Some(encoding) = compression.content_encoding() {
            attributes
                .content_encoding
                .get_or_insert_with(|| encoding.into());
        }
        let is_patient = self.options.is_patient;
        Ok(Journal::create(
            &self.spool,
            naming,
            compression,
            is_patient,
        )?)
    }

    /// Makes entries of the complete batches. Called by whoever writes.
    fn make_entries<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if state.complete.is_empty() || state.not_before.is_some_and(|at| Instant::now() < at) {
            return state;
        }
        let mut complete = core::mem::take(&mut state.complete).into_iter();
        drop(state);
        let mut left = Vec::new();
        let mut failed = None;
        for journal in complete.by_ref() {
            let records = journal.fill().records;
            match journal.into_entry() {
                Ok(Some(added)) => self.observer.added(&added, records),
                Ok(None) => {}
                Err((journal, error)) => {
                    left.push(journal);
                    failed = Some(RecordError::from(error));
                    break;
                }
            }
        }
        left.extend(complete);
        let mut state = self.lock();
        state.complete = left;
        state.not_before = failed.as_ref().map(|_| Instant::now() + AGAIN);
        if failed != state.was_told {
            if let Some(error) = &failed {
                self.observer.failed(error);
            }
            state.was_told = failed;
        }
        state
    }
}
