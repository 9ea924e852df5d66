//! What people, and programs, see of an upload.

mod bar;
mod json;

use core::time::Duration;
use std::format;
use std::io::{self, IsTerminal as _, Write as _};
use std::string::String;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::tcgetwinsize;

use self::bar::Figures;
use self::json::Event;
use super::failure::Done;
use super::jobs::Job;
use super::tally::Reading;
use crate::cli::context::{self, Console, Context};
use crate::cli::error::CliError;
use crate::cli::place;
use crate::host::size::Bytes;

/// Takes the cursor to the begin of the line, and everything behind it away (ECMA-48 section 8.3.41, EL).
const CLEAR: &str = "\r\x1b[K";

/// A width to write for, if the terminal does not tell its own.
const WIDTH: usize = 80;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A person at a terminal: a bar that moves.
    Bar,
    /// A log: a line now and then.
    Lines,
    /// A program: JSON.
    Json,
    /// Nobody, but for what was uploaded and what was not.
    Quiet,
}

impl Mode {
    /// By the flags and by what standard error is.
    pub fn new(json: bool, no_progress: bool, context: &Context<'_>) -> Self {
        let is_dumb = context
            .environment
            .var("TERM")
            .is_some_and(|term| term == "dumb");
        match (json, no_progress) {
            (true, _) => Self::Json,
            (false, true) => Self::Quiet,
            (false, false) if io::stderr().is_terminal() && !is_dumb => Self::Bar,
            (false, false) => Self::Lines,
        }
    }

    /// How often progress is shown, if it is.
    pub fn interval(self) -> Option<Duration> {
        match self {
            Self::Bar => Some(Duration::from_millis(100)),
            Self::Lines => Some(Duration::from_secs(10)),
            Self::Json => Some(Duration::from_secs(1)),
            Self::Quiet => None,
        }
    }
}

/// How far everything is.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Bytes.
    pub reading: Reading,
    /// Whether the total is one: the length of a stream shows at its end.
    pub is_total_known: bool,
    /// Bytes a second, if that can be told.
    pub rate: Option<u64>,
    /// Files in all.
    pub files: usize,
    /// Files that are there.
    pub uploaded: usize,
    /// Files that are not, and will not be.
    pub failed: usize,
    /// Since the begin.
    pub elapsed: Duration,
}

/// Where everybody is told. Threads take turns.
#[derive(Debug)]
pub struct Display {
    mode: Mode,
    console: Console,
    /// Whether the bar is on the terminal.
    shown: Mutex<bool>,
}

impl Display {
    /// Nothing is shown yet.
    pub fn new(mode: Mode, console: Console) -> Self {
        Self {
            mode,
            console,
            shown: Mutex::new(false),
        }
    }

    /// Who is told.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Something that a person may want to do something about.
    pub fn warn(&self, what: &str, remedy: &str) {
        let _turn = self.turn();
        match self.mode {
            Mode::Json => emit(
                Event::new("warning")
                    .text("message", what)
                    .text("remedy", remedy),
            ),
            _ => self.console.warn(what, remedy),
        }
    }

    /// It begins.
    pub fn begin(&self, state: &State) {
        if self.mode == Mode::Json {
            let event = Event::new("begin").number("files", state.files as u64);
            emit(match state.is_total_known {
                true => event.number("bytes", state.reading.total),
                false => event,
            });
        }
    }

    /// An attempt failed, and there will be another.
    pub fn retry(&self, job: &Job, error: &CliError, after: Duration, patience: Duration) {
        let _turn = self.turn();
        let source = job.source.shown();
        match self.mode {
            Mode::Json => emit(
                Event::new("retry")
                    .text("source", &source)
                    .text("key", &job.key)
                    .text("message", &error.what)
                    .number("after_ms", after.as_millis() as u64),
            ),
            _ => self.console.warn(
                &format!("{source}: {}", error.what),
                &format!(
                    "it is tried again, for {} more at most",
                    bar::span(patience.as_secs())
                ),
            ),
        }
    }

    /// An object is there.
    pub fn uploaded(&self, job: &Job, bucket: &str, bytes: u64, done: &Done, was_there: bool) {
        let _turn = self.turn();
        let source = job.source.shown();
        if self.mode == Mode::Json {
            let event = Event::new(if was_there { "was-there" } else { "uploaded" })
                .text("source", &source)
                .text("bucket", bucket)
                .text("key", &job.key)
                .number("bytes", bytes)
                .text("etag", done.etag.trim_matches('"'));
            emit(match &done.version {
                Some(version) => event.text("version", version),
                None => event,
            });
            return;
        }
        let how = if was_there { ", was there" } else { "" };
        let key = place::shown(&job.key);
        let line = format!("{source} -> s3://{bucket}/{key} ({}{how})\n", Bytes(bytes));
        // Who reads no more of it wants the upload all the same.
        let _ = context::print(line.as_bytes());
    }

    /// Something is not there, and will not be.
    pub fn failed(&self, job: Option<&Job>, error: &CliError) {
        let _turn = self.turn();
        if self.mode == Mode::Json {
            let event = Event::new("failed");
            let event = match job {
                Some(job) => event
                    .text("source", &job.source.shown())
                    .text("key", &job.key),
                None => event,
            };
            emit(
                event
                    .text("kind", error.exit.kind())
                    .text("message", &error.what)
                    .text("remedy", &error.remedy),
            );
            return;
        }
        let what = match job {
            Some(job) => format!("{}: {}", job.source.shown(), error.what),
            None => error.what.clone(),
        };
        self.console
            .report(&CliError::new(error.exit, what, error.remedy.as_str()));
    }

    /// So far it is.
    pub fn progress(&self, state: &State) {
        let figures = Figures::of(state);
        match self.mode {
            Mode::Bar => {
                let width = tcgetwinsize(io::stderr()).map_or(0, |size| usize::from(size.ws_col));
                let width = if width == 0 { WIDTH } else { width };
                let mut shown = self.lock();
                // In one piece, so that it does not flicker.
                let line = format!("{CLEAR}{}", bar::line(&figures, width));
                *shown = io::stderr().write_all(line.as_bytes()).is_ok();
            }
            Mode::Lines => self.console.note(&bar::text(&figures)),
            Mode::Json => {
                let event = Event::new("progress")
                    .number("bytes", state.reading.there)
                    .number("sent", state.reading.sent)
                    .number("uploaded", state.uploaded as u64)
                    .number("failed", state.failed as u64);
                let event = match state.is_total_known {
                    true => event.number("total", state.reading.total),
                    false => event,
                };
                emit(match state.rate {
                    Some(rate) => event.number("rate", rate),
                    None => event,
                });
            }
            Mode::Quiet => {}
        }
    }

    /// It has ended.
    pub fn end(&self, state: &State) {
        let _turn = self.turn();
        match self.mode {
            Mode::Json => emit(
                Event::new("end")
                    .number("uploaded", state.uploaded as u64)
                    .number("failed", state.failed as u64)
                    .number("sent", state.reading.sent)
                    .number("elapsed_ms", state.elapsed.as_millis() as u64),
            ),
            Mode::Bar if state.files > 1 || state.elapsed > Duration::from_secs(2) => {
                self.console.note(&bar::summary(state));
            }
            _ => {}
        }
    }

    /// The bar gives way to what is written next.
    fn turn(&self) -> MutexGuard<'_, bool> {
        let mut shown = self.lock();
        if *shown {
            let _ = io::stderr().write_all(CLEAR.as_bytes());
            *shown = false;
        }
        shown
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn emit(event: Event) {
    let line: String = event.line();
    // As above.
    let _ = context::print(line.as_bytes());
}
