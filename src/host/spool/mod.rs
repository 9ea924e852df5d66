//! The spool: data on disk that is on its way to S3.
//!
//! An entry is one file: the content from its first byte on, and after it a trailer with everything that was
//! decided when the data was accepted. So that one `fsync` of the file, one `rename` and one `fsync` of the folder
//! are all that accepting costs.
//!
//! Any number of processes and threads add at the same time, and one of them delivers; what one of them leaves
//! when it is killed, the next one that opens the spool removes.
//!
//! ```
//! use std::io::Read as _;
//!
//! use keystead::host::s3::Content as _;
//! use keystead::host::spool::{Naming, Options, Spool};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path().join("spool");
//! let options = Options {
//!     max_bytes: Some(512 * 1024 * 1024),
//!     ..Options::default()
//! };
//! let spool = Spool::open(folder, options)?;
//!
//! // Whatever happens after this: it is on disk, under this key.
//! let naming = Naming {
//!     bucket: "readings".into(),
//!     key: "hub-17/2026/11/22.json".into(),
//!     ..Naming::default()
//! };
//! let added = spool.add(&mut &br#"{"celsius": 21.5}"#[..], naming)?;
//! assert!(added.is_new);
//!
//! // `keystead spool run` delivers. What it does with each entry, the oldest first:
//! let _lock = spool.lock_run()?;
//! for queued in spool.queue()? {
//!     let Some(entry) = spool.open_entry(queued.id)? else {
//!         continue;
//!     };
//!     let mut content = Vec::new();
//!     let length = entry.head.digests.length;
//!     entry.open(0, length)?.read_to_end(&mut content)?;
//!     assert_eq!(content, br#"{"celsius": 21.5}"#);
//!     spool.remove(entry.id)?;
//! }
//! # Ok(())
//! # }
//! ```

mod aside;
mod batch;
mod bell;
mod disk;
mod entry;
mod error;
mod journal;
mod ledger;
mod news;
mod oldest;
mod page;
mod pending;
mod place;
pub mod record;
mod trailer;
pub mod watch;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(all(test, target_os = "linux"))]
pub(crate) use tests::as_nobody;

use core::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::string::ToString as _;
use std::sync::{Arc, Mutex};
use std::vec::Vec;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

pub use aside::{Aside, Reason, Selection};
pub use batch::Batch;
pub use bell::Bell;
pub use entry::{Entry, EntryId, Head};
pub use error::{Full, SpoolError};
pub use journal::Journal;
pub use news::{News, Queued};
pub use writer::{Added, EntryWriter, Naming};

use ledger::LedgerFile;
use place::Place;

/// How a spool is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// So many bytes at most, entries that are set aside and those that are being written included.
    pub max_bytes: Option<u64>,
    /// So many entries at most, the same.
    pub max_entries: Option<u64>,
    /// What happens to a new entry when the spool is full.
    pub when_full: WhenFull,
    /// So many bytes stay free on the disk.
    pub reserve: u64,
    /// If the folder has to be made: for this group, by its number. Whoever is in it may add.
    pub group: Option<u32>,
}

impl Default for Options {
    /// No quota but the disk, of which 64 MiB stay free; new entries are rejected when it is full.
    fn default() -> Self {
        Self {
            max_bytes: None,
            max_entries: None,
            when_full: WhenFull::Reject,
            reserve: 64 * 1024 * 1024,
            group: None,
        }
    }
}

/// What happens to a new entry when the spool is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused.
    #[default]
    Reject,
    /// The oldest ones give way to it, those that are set aside last.
    DropOldest,
}

/// A spool. Its clones are the same one.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    ledger: LedgerFile,
    options: Options,
    /// What was removed or set aside since the last look for news; `None` as long as nobody looks.
    left: Mutex<Option<Vec<EntryId>>>,
}

/// How much is in a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all files, as the quota counts them.
    pub bytes: u64,
    /// All entries, as the quota counts them: also those that are set aside, and those that are being written.
    pub entries: u64,
    /// Those of them that are set aside.
    pub aside: u64,
    /// How often an entry was refused because the spool was full, since the spool was made.
    pub rejected: u64,
    /// How many entries were dropped to make room for newer ones, since the spool was made.
    pub dropped: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

/// Held by the one process that delivers. It ends with this value, or with the process.
pub struct RunLock {
    file: File,
}

impl Spool {
    /// Opens a spool. What is missing is made, and what killed processes left is removed.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self, SpoolError> {
        let place = Place::open(folder.as_ref(), options.group)?;
        let inner = Inner {
            ledger: LedgerFile::open(&place)?,
            place,
            options,
            left: Mutex::default(),
        };
        inner.locked(|ledger| ledger.clean())?;
        Ok(Self(Arc::new(inner)))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0.place.path
    }

    /// How it was opened.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// How much there is; costs no more than a read.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn usage(&self) -> Result<Usage, SpoolError> {
        let counts = self.0.counts()?;
        Ok(Usage {
            bytes: counts.bytes,
            entries: counts.entries,
            aside: counts.aside,
            rejected: counts.rejected,
            dropped: counts.dropped,
            dropped_bytes: counts.dropped_bytes,
        })
    }

    /// All entries, the oldest first. It reads the end of each file, and keeps all heads in memory: whoever
    /// delivers has [`queue`](Self::queue). What is damaged is left out.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn entries(&self) -> Result<Vec<(EntryId, Head)>, SpoolError> {
        let mut entries = Vec::new();
        self.each_entry(|id, head| entries.push((id, head)))?;
        entries.sort_by_key(|(id, head)| (head.sequence, *id));
        Ok(entries)
    }

    /// The same one by one, in no order.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn each_entry(&self, mut each: impl FnMut(EntryId, Head)) -> Result<(), SpoolError> {
        for id in self.ids(&self.0.place.entries, "entries")? {
            match self.open_entry(id) {
                Ok(Some(entry)) => each(id, entry.head),
                Ok(None) | Err(SpoolError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes an entry that was delivered, and what was remembered of its upload; `false` if it is not there. It
    /// is not synced: an entry that comes back after a loss of power is delivered once more.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn remove(&self, id: EntryId) -> Result<bool, SpoolError> {
        let place = &self.0.place;
        let name = id.to_string();
        let path = std::format!("entries/{name}");
        let failed = place.failed("cannot remove", &path);
        // Giving the blocks of a large file back takes its time, and happens when the last one closes it: after the
        // lock.
        let file = place::open_file(&place.entries, &name, OFlags::RDONLY);
        let was_there = self.0.locked(|ledger| {
            let Some(found) = place::length(&place.entries, &name).map_err(&failed)? else {
                return Ok(false);
            };
            ledger.begin()?;
            let was_there = disk::unlink(&place.entries, &name).map_err(&failed)?;
            if was_there {
                ledger.forget(found);
            }
            Ok(was_there)
        })?;
        self.note_left(id);
        drop(file);
        // After the entry: the other way round, one that is killed in between would send everything again.
        disk::unlink(&place.journal, &name).map_err(failed)?;
        Ok(was_there)
    }

    /// Takes the lock of the one who delivers. What is remembered of entries that are gone is removed.
    ///
    /// # Errors
    /// [`SpoolError::Running`] if another process has it.
    pub fn lock_run(&self) -> Result<RunLock, SpoolError> {
        let place = &self.0.place;
        let file = place
            .open_or_create(&place.root, "run")
            .map_err(place.failed("cannot open", "run"))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => {
                    return Err(SpoolError::Running {
                        folder: place.path.clone(),
                    });
                }
                Err(error) => {
                    return Err(place.failed("cannot lock", "run")(io::Error::from(error)));
                }
            }
        }
        let lock = RunLock { file };
        self.clean_reasons()?;
        let failed = place.failed("cannot clean", "journal");
        for name in place::names(&place.journal).map_err(&failed)? {
            let is_needed = [&place.entries, &place.aside]
                .into_iter()
                .any(|folder| !matches!(place::length(folder, &name), Ok(None)));
            if !is_needed {
                disk::unlink(&place.journal, &name).map_err(&failed)?;
            }
        }
        Ok(lock)
    }

    /// The ids in a folder, in no order.
    fn ids(&self, folder: &File, name: &'static str) -> Result<Vec<EntryId>, SpoolError> {
        let names = place::names(folder).map_err(self.0.place.failed("cannot read", name))?;
        let ids = names.iter().filter_map(|name| EntryId::parse(name));
        Ok(ids.collect())
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // A closed file alone would stay locked by a process that was forked meanwhile.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

impl fmt::Debug for RunLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLock").finish_non_exhaustive()
    }
}
