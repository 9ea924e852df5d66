//! What happens, for a log.

use core::time::Duration;
use std::collections::BTreeMap;
use std::string::String;

use super::tally::LastError;
use crate::host::refresh::Failure;
use crate::host::s3::FaultKind;
use crate::host::spool::Reason;

/// A change, for the log. Each is told once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An entry is in its bucket.
    Delivered {
        /// The bucket.
        bucket: &'a str,
        /// The key.
        key: &'a str,
        /// Bytes.
        length: u64,
    },
    /// Uploads fail, and go on when they can. Told when that begins, and when it is for another reason.
    Failing {
        /// Why.
        error: &'a LastError,
        /// What that is about.
        kind: FaultKind,
        /// In how long the next one follows.
        again: Duration,
    },
    /// There are no credentials. Told when that begins, and when it is for another reason.
    NoSession(&'a Failure),
    /// Uploads pass again.
    Passing,
    /// An entry was set aside.
    SetAside {
        /// The bucket.
        bucket: &'a str,
        /// The key.
        key: &'a str,
        /// Why.
        reason: &'a Reason,
    },
    /// Something is wrong with the spool itself, or with its disk.
    Disk(&'a str),
    /// The upload window has opened.
    WindowOpened,
    /// It has closed, for so long.
    WindowClosed(Duration),
}

/// Who is told what happens. Called by the threads that upload.
pub trait Observer: Send {
    /// Something happened.
    fn event(&mut self, event: &Event<'_>);
}

impl Observer for () {
    fn event(&mut self, _event: &Event<'_>) {}
}

/// What a failure is about: each is told for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The way to the bucket of that lane.
    Lane(usize),
    Session,
    Disk,
    /// Entries that cannot be opened.
    Entries,
}

/// What was told, so that it is not told again.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<About, String>);

impl Told {
    /// Whether this failure is another one than the last. Another sentence for the same is no news.
    pub(super) fn is_news(&mut self, about: About, what: &str) -> bool {
        self.0.insert(about, what.into()).as_deref() != Some(what)
    }

    /// Whether something has failed that is over now.
    pub(super) fn is_over(&mut self, about: About) -> bool {
        self.0.remove(&about).is_some()
    }
}
