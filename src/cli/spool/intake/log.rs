//! What is said about files and records that come in: one line for each change of state. What comes in is
//! counted.

use core::sync::atomic::{AtomicU64, Ordering};
use std::format;
use std::io;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;

use crate::cli::context::Console;
use crate::cli::place;
use crate::host::spool::Added;
use crate::host::spool::record::{self, RecordError, Settled, SocketObserver};
use crate::host::spool::watch::{self, Event};
use crate::output::metrics::Page;

/// How much has come in since the start.
#[derive(Debug, Default)]
pub struct Tally {
    /// Files that were taken over.
    pub files: AtomicU64,
    /// Their bytes.
    pub file_bytes: AtomicU64,
    /// Things in watched folders that were refused.
    pub refused_files: AtomicU64,
    /// Records that were accepted at the socket.
    pub records: AtomicU64,
    /// Lines that were refused there.
    pub refused_records: AtomicU64,
    /// Batches that have become entries.
    pub batches: AtomicU64,
}

impl Tally {
    /// As Prometheus reads it.
    pub fn metrics(&self, page: &mut Page) {
        let counters: [(&str, &str, &AtomicU64); 6] = [
            (
                "spool_files_taken_total",
                "Files taken over from watched folders.",
                &self.files,
            ),
            (
                "spool_files_taken_bytes_total",
                "Bytes of these.",
                &self.file_bytes,
            ),
            (
                "spool_files_refused_total",
                "Names in watched folders that are not taken.",
                &self.refused_files,
            ),
            (
                "spool_records_total",
                "Records accepted at the socket, of peers that have gone.",
                &self.records,
            ),
            (
                "spool_records_refused_total",
                "Lines that were refused there.",
                &self.refused_records,
            ),
            (
                "spool_batches_total",
                "Batches of records that have become entries.",
                &self.batches,
            ),
        ];
        for (name, help, value) in counters {
            page.one(name, "counter", help, value.load(Ordering::Relaxed));
        }
    }
}

/// Tells about one watched folder.
pub struct WatchLog {
    /// The folder.
    pub path: PathBuf,
    /// Where it is told.
    pub console: Console,
    /// Where it is counted.
    pub tally: Arc<Tally>,
}

impl watch::Observer for WatchLog {
    fn event(&mut self, event: &Event<'_>) {
        let path = self.path.display();
        let console = &self.console;
        match event {
            Event::Taken { length, .. } => {
                self.tally.files.fetch_add(1, Ordering::Relaxed);
                self.tally.file_bytes.fetch_add(*length, Ordering::Relaxed);
            }
            Event::Refused { name, why, text } => {
                self.tally.refused_files.fetch_add(1, Ordering::Relaxed);
                let name = place::shown(&name.to_string_lossy());
                let text = match text.is_empty() {
                    true => String::new(),
                    false => format!(": {text}"),
                };
                let what = format!("{path}: `{name}` is not taken: {why}{text}");
                console.warn(&what, why.remedy());
            }
            Event::Full(error) | Event::Failed(error) => {
                let what = format!("{path}: files stay where they are: {error}");
                console.warn(&what, error.remedy());
            }
            Event::Recovered => console.note(&format!("{path}: files are taken again")),
            Event::Polling(why) => {
                console.note(&format!("{path} is looked at again and again: {why}"));
            }
            Event::Lost(error) => console.warn(
                &format!("{path} cannot be watched: {error}"),
                "it is watched again as soon as it is there",
            ),
            Event::Found => console.note(&format!("{path} is watched again")),
        }
    }
}

/// Tells about batches.
pub struct BatchLog {
    /// Where it is told.
    pub console: Console,
    /// Where it is counted.
    pub tally: Arc<Tally>,
}

impl record::Observer for BatchLog {
    fn added(&self, _added: &Added, _records: u64) {
        self.tally.batches.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, error: &RecordError) {
        let what = format!("a batch of records waits on disk for becoming an entry: {error}");
        self.console.warn(&what, error.remedy);
    }

    fn damaged(&self, error: &RecordError) {
        self.console.warn(&error.what, error.remedy);
    }
}

/// Tells about the socket.
pub struct SocketLog {
    /// How it is called.
    pub name: String,
    /// Where it is told.
    pub console: Console,
    /// Where it is counted.
    pub tally: Arc<Tally>,
}

impl SocketObserver for SocketLog {
    fn ended(&self, settled: &Settled) {
        let Settled {
            accepted, refused, ..
        } = settled;
        self.tally.records.fetch_add(*accepted, Ordering::Relaxed);
        self.tally
            .refused_records
            .fetch_add(*refused, Ordering::Relaxed);
        if *refused > 0 {
            let name = &self.name;
            self.console.note(&format!(
                "{name}: a peer has gone, {accepted} of its records were accepted and {refused} lines refused"
            ));
        }
    }

    fn waits(&self, why: Option<&RecordError>) {
        let name = &self.name;
        match why {
            Some(error) => {
                let what = format!("{name}: records have to wait: {error}");
                self.console.warn(&what, error.remedy);
            }
            None => self
                .console
                .note(&format!("{name}: records are taken again")),
        }
    }

    fn failed(&self, error: &io::Error) {
        let name = &self.name;
        self.console.warn(&format!("{name}: {error}"), "");
    }
}
