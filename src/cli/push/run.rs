//! The threads that upload, and what they do when it does not go well.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::io;
use std::process::ExitCode;
use std::string::String;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::vec::Vec;

use super::attributes::AttributesPlan;
use super::display::{Display, State};
use super::failure::{self, End, Next};
use super::jobs::{self, Job, Jobs, Source};
use super::plan::Way;
use super::stream::Stream;
use super::tally::{Rate, Share, Tally};
use super::transfer::TransferPlan;
use super::trying::Trying;
use crate::cli::daemon::signals;
use crate::cli::error::{CliError, Exit};
use crate::host::clock::HostClock;
use crate::host::s3::{Client, Content, MemoryJournal, ObjectStore, PartsJournal, S3Clock};
use crate::output::push::{Allowed, Halt, Object, Pace, Sessions, Uploader};

/// As shells say it of what SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// Everything that is to be uploaded, and how.
pub struct Push {
    /// What.
    pub jobs: Jobs,
    /// Where to.
    pub way: Way,
    /// What is kept with it.
    pub attributes: AttributesPlan,
    /// How.
    pub transfer: TransferPlan,
    /// The clock that requests are signed by.
    pub clock: Arc<HostClock>,
    /// How long it is tried where nothing gets through.
    pub patience: Duration,
    /// Who is told.
    pub display: Display,
}

/// The connections of one thread.
struct Lane {
    client: Client,
    /// More, for parts.
    helpers: Vec<Box<dyn ObjectStore>>,
}

/// What the threads share.
struct Shared<'a> {
    sessions: &'a dyn Sessions,
    clock: Arc<S3Clock>,
    stop: Arc<Stop>,
    allowed: Allowed,
    tally: Tally,
    next: AtomicUsize,
    uploaded: AtomicUsize,
    failed: AtomicUsize,
    /// What is begun from now on would fail as well.
    over: AtomicBool,
    first: Mutex<Option<CliError>>,
}

impl Push {
    /// Uploads everything.
    ///
    /// # Errors
    /// [`CliError`] if something is not there in the end; all that could be uploaded is.
    pub fn run(self, sessions: &dyn Sessions) -> Result<ExitCode, CliError> {
        let stop = Arc::new(Stop::new(self.transfer.bandwidth));
        let stopping = stop.clone();
        signals::watch(Box::new(move |_| stopping.stop())).map_err(|error| {
            let what = format!("signals cannot be waited for: {error}");
            CliError::new(Exit::Internal, what, "")
        })?;
        let shared = Shared {
            sessions,
            clock: Arc::new(S3Clock::new(self.clock.clone())),
            stop,
            allowed: Allowed::default(),
            tally: Tally::new(self.jobs.length()),
            next: AtomicUsize::new(0),
            uploaded: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            first: Mutex::new(None),
        };
        self.display.begin(&self.state(&shared, None));
        for error in &self.jobs.failures {
            self.display.failed(None, error);
            shared.failed(error);
        }
        self.work_all(&shared);
        self.end(&shared)
    }

    fn work_all(&self, shared: &Shared<'_>) {
        let threads = self.transfer.concurrency.min(self.jobs.jobs.len());
        let ended = Stop::new(None);
        thread::scope(|scope| {
            let showing = scope.spawn(|| self.show(shared, &ended));
            let workers: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| self.work(shared)))
                .collect();
            for worker in workers {
                if worker.join().is_err() {
                    let what = "an uploading thread has ended by a defect";
                    shared.failed(&CliError::new(Exit::Internal, what, ""));
                }
            }
            ended.stop();
            let _ = showing.join();
        });
    }

    /// Shows how far it is, until it has ended.
    fn show(&self, shared: &Shared<'_>, ended: &Stop) {
        let Some(interval) = self.display.mode().interval() else {
            return;
        };
        let mut rate = Rate::default();
        while !ended.wait(interval) {
            let told = rate.sample(shared.tally.elapsed(), shared.tally.read().sent);
            self.display.progress(&self.state(shared, told));
        }
    }

    fn state(&self, shared: &Shared<'_>, rate: Option<u64>) -> State {
        let is_file = |job: &Job| matches!(job.source, Source::File(_));
        State {
            reading: shared.tally.read(),
            is_total_known: self.jobs.jobs.iter().all(is_file),
            rate,
            files: self.jobs.jobs.len(),
            uploaded: shared.uploaded.load(Ordering::Relaxed),
            failed: shared.failed.load(Ordering::Relaxed),
            elapsed: shared.tally.elapsed(),
        }
    }

    fn end(&self, shared: &Shared<'_>) -> Result<ExitCode, CliError> {
        let state = self.state(shared, None);
        self.display.end(&state);
        if shared.stop.is_stopped() && state.uploaded < state.files {
            self.display.warn(
                &format!(
                    "stopped: {} of {} files are there",
                    state.uploaded, state.files
                ),
                "",
            );
            return Ok(INTERRUPTED.into());
        }
        let untried = state.files.saturating_sub(state.uploaded + state.failed);
        if untried > 0 && shared.over.load(Ordering::Relaxed) {
            self.display.warn(
                &format!("{untried} more were not tried: they would have failed alike"),
                "",
            );
        }
        let mut first = shared.first.lock().unwrap_or_else(PoisonError::into_inner);
        match first.take() {
            None => Ok(ExitCode::SUCCESS),
            // It has been told.
            Some(error) => Ok(error.exit.into()),
        }
    }

    fn work(&self, shared: &Shared<'_>) {
        let mut lane = None;
        while !shared.over.load(Ordering::Relaxed) && !shared.stop.is_stopped() {
            let index = shared.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.jobs.get(index) else {
                return;
            };
            let mut share = Share::new(&shared.tally);
            let ended = match self.lane(&mut lane, shared) {
                Ok(lane) => self.one(lane, job, shared, &mut share),
                Err(error) => {
                    shared.over.store(true, Ordering::Relaxed);
                    Err(error)
                }
            };
            match ended {
                Ok((bytes, End::Uploaded(done))) => {
                    self.there(shared, job, share, bytes, &done, false)
                }
                Ok((bytes, End::WasThere(done))) => {
                    self.there(shared, job, share, bytes, &done, true)
                }
                Ok((_, End::Failed(error))) | Err(error) => {
                    share.give_up(job.length);
                    // Who has stopped it knows.
                    if !shared.stop.is_stopped() {
                        self.display.failed(Some(job), &error);
                    }
                    shared.failed(&error);
                }
            }
        }
    }

    fn there(
        &self,
        shared: &Shared<'_>,
        job: &Job,
        share: Share<'_>,
        bytes: u64,
        done: &failure::Done,
        was_there: bool,
    ) {
        shared.tally.correct(job.length, bytes);
        share.complete(bytes);
        shared.uploaded.fetch_add(1, Ordering::Relaxed);
        let bucket = self.way.bucket.name();
        self.display.uploaded(job, bucket, bytes, done, was_there);
    }

    /// The thread's own, made when it is needed.
    fn lane<'l>(
        &self,
        lane: &'l mut Option<Lane>,
        shared: &Shared<'_>,
    ) -> Result<&'l mut Lane, CliError> {
        if let Some(lane) = lane {
            return Ok(lane);
        }
        let client = || {
            let transport = &self.way.network.transport;
            let made = Client::new(self.way.bucket.clone(), transport, shared.clock.clone());
            made.map_err(|error| CliError::usage(format!("{error}"), ""))
        };
        // Where there are fewer files than uploads at once, parts of them go side by side.
        let connections = self.transfer.concurrency / self.jobs.jobs.len().max(1);
        let helpers = (1..connections).map(|_| Ok(Box::new(client()?) as Box<dyn ObjectStore>));
        Ok(lane.insert(Lane {
            client: client()?,
            helpers: helpers.collect::<Result<_, CliError>>()?,
        }))
    }

    fn one(
        &self,
        lane: &mut Lane,
        job: &Job,
        shared: &Shared<'_>,
        share: &mut Share<'_>,
    ) -> Result<(u64, End), CliError> {
        let stopped = || shared.stop.is_stopped();
        let mut stream = match &job.source {
            Source::File(path) => {
                let (file, length) = jobs::open(path).map_err(unreadable)?;
                let ended = self.file(lane, job, (&file, length), shared, share)?;
                return Ok((length, ended));
            }
            Source::Stream(path) => Stream::at(path, &stopped).map_err(unreadable)?,
            Source::Stdin => Stream::stdin(&stopped).map_err(unreadable)?,
        };
        let attributes = self.attributes.of(&job.key, &job.name);
        let mut trying = Trying::new(self.patience);
        let mut gave_up = None;
        let part = self.way.options.part_size;
        let mut patience = |halt: &Halt| {
            // It is sent part after part: so much is one that S3 has.
            if trying.moved(&shared.tally) >= part {
                trying.begin_anew();
            }
            let next = self.after(halt, &mut trying, job, shared);
            let goes_on = next.is_ok();
            gave_up = next.err();
            goes_on
        };
        let mut uploader = self.uploader(lane, shared);
        let streamed = uploader.stream(&job.key, &attributes, &mut stream, &mut patience, share);
        match streamed {
            Ok((length, outcome)) => Ok((length, failure::end(outcome, self.way.options.confirm))),
            Err(halt) => Err(gave_up.unwrap_or_else(|| match failure::next(&halt) {
                Next::Again(error) | Next::GiveUp(error) | Next::End(error) => error,
            })),
        }
    }

    fn uploader<'l>(&'l self, lane: &'l mut Lane, shared: &'l Shared<'_>) -> Uploader<'l> {
        Uploader {
            store: &mut lane.client,
            helpers: &mut lane.helpers,
            sessions: shared.sessions,
            options: &self.way.options,
            pace: &shared.stop.pace,
            allowed: &shared.allowed,
        }
    }

    /// Uploads a file, with patience.
    fn file(
        &self,
        lane: &mut Lane,
        job: &Job,
        (content, length): (&dyn Content, u64),
        shared: &Shared<'_>,
        share: &mut Share<'_>,
    ) -> Result<End, CliError> {
        let attributes = self.attributes.of(&job.key, &job.name);
        let object = Object {
            key: &job.key,
            attributes: &attributes,
            length,
            digests: None,
            content,
        };
        let mut journal = MemoryJournal::default();
        let mut trying = Trying::new(self.patience);
        let mut confirmed = 0;
        loop {
            let mut uploader = self.uploader(lane, shared);
            let halt = match uploader.upload(&object, &mut journal, share) {
                Ok(outcome) => return Ok(failure::end(outcome, self.way.options.confirm)),
                Err(halt) => halt,
            };
            let parts = journal
                .load()
                .ok()
                .flatten()
                .map_or(0, |begun| begun.parts.len());
            if parts > confirmed {
                trying.begin_anew();
            }
            confirmed = parts;
            if let Err(error) = self.after(&halt, &mut trying, job, shared) {
                abandon(&mut lane.client, job, &mut journal, shared);
                return Err(error);
            }
            share.restart();
        }
    }

    /// After an attempt that failed: waits for the next one, or says why there is none.
    fn after(
        &self,
        halt: &Halt,
        trying: &mut Trying,
        job: &Job,
        shared: &Shared<'_>,
    ) -> Result<(), CliError> {
        let error = match failure::next(halt) {
            Next::Again(error) => error,
            Next::GiveUp(error) => return Err(error),
            Next::End(error) => {
                shared.over.store(true, Ordering::Relaxed);
                return Err(error);
            }
        };
        let Some(pause) = trying.pause(halt, &shared.tally) else {
            // Nobody else got through, either.
            if shared.tally.completed_before(trying.since()) {
                shared.over.store(true, Ordering::Relaxed);
            }
            return Err(error);
        };
        if trying.is_first() {
            self.display.retry(job, &error, pause, self.patience);
        }
        if shared.stop.wait(pause) {
            return Err(failure::interrupted());
        }
        trying.attempt(&shared.tally);
        Ok(())
    }
}

fn unreadable(error: io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("{error}"), "")
}

/// What was sent in parts is not left behind, where it may be removed.
fn abandon(client: &mut Client, job: &Job, journal: &mut MemoryJournal, shared: &Shared<'_>) {
    if let (Ok(Some(begun)), Ok(credentials)) = (journal.load(), shared.sessions.credentials()) {
        let _ = client.abort(&credentials, &job.key, &begun.upload);
    }
}

impl Shared<'_> {
    fn failed(&self, error: &CliError) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| CliError::new(error.exit, String::new(), String::new()));
    }
}

/// What ends everything when a person asks for it.
struct Stop {
    pace: Pace,
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn new(bandwidth: Option<u64>) -> Self {
        Self {
            pace: Pace::new(bandwidth),
            stopped: Mutex::new(false),
            changed: Condvar::new(),
        }
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.pace.stop();
        self.changed.notify_all();
    }

    fn is_stopped(&self) -> bool {
        self.pace.is_stopped()
    }

    /// Waits for so long, or until it is stopped; whether it is.
    fn wait(&self, pause: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(stopped, pause, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
