//! What there is to deliver, and what has come since.

use core::time::Duration;
use std::sync::PoisonError;
use std::time::Instant;
use std::vec::Vec;

use std::string::ToString as _;

use super::entry::EntryId;
use super::error::SpoolError;
use super::{Spool, trailer};

/// An entry's place in the queue. The order is that of the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queued {
    /// Entries go in this order.
    pub sequence: u64,
    /// What the entry is known by.
    pub id: EntryId,
}

/// File systems keep times in steps; the largest are those of FAT, two seconds. A folder that was read so long
/// after it was seen to have changed holds everything that changed it then.
const STEP: Duration = Duration::from_secs(3);

/// Sees what has come since the last look.
#[derive(Debug, Default)]
pub struct News {
    /// Sorted.
    known: Vec<EntryId>,
    /// When the folder changed, as it says, and when that was seen first.
    changed: Option<((i64, u64), Instant)>,
    is_conclusive: bool,
    unreadable: Option<SpoolError>,
}

impl News {
    /// Nothing is known yet: the first look finds everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// These were taken away: if one of them comes again, it is new, also without a look in between.
    pub fn forget(&mut self, gone: &mut [EntryId]) {
        if !gone.is_empty() {
            gone.sort_unstable();
            self.known.retain(|id| gone.binary_search(id).is_err());
            self.changed = None;
        }
    }

    /// Entries that were not there at the last look, the oldest first; also those that were removed or set aside
    /// through this [`Spool`] and have come again. If the folder has not changed, that costs one system call. What is
    /// damaged comes first, and is told when it is opened. What cannot be opened now is looked at again the next time,
    /// see [`News::unreadable`]. One looks for each spool.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn look(&mut self, spool: &Spool) -> Result<Vec<Queued>, SpoolError> {
        let place = &spool.0.place;
        let stat = rustix::fs::fstat(&place.entries)
            .map_err(|error| place.failed("cannot look at", "entries")(error.into()))?;
        #[allow(
            clippy::unnecessary_cast,
            reason = "their types differ between platforms"
        )]
        let time = (stat.st_mtime as i64, stat.st_mtime_nsec as u64);
        let left = spool
            .0
            .left
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(Vec::new());
        let mut left = left.unwrap_or_default();
        left.sort_unstable();
        self.known.retain(|id| left.binary_search(id).is_err());
        let since = match self.changed {
            Some((last, since)) if last == time => {
                if self.is_conclusive && left.is_empty() {
                    return Ok(Vec::new());
                }
                since
            }
            _ => Instant::now(),
        };
        let is_conclusive = since.elapsed() >= STEP;
        let mut ids = spool.ids(&place.entries, "entries")?;
        ids.sort_unstable();
        let is_new = |id: &&EntryId| self.known.binary_search(id).is_err();
        let (new, missed) = spool.in_order(ids.iter().filter(is_new));
        let mut is_missed = missed.ids.iter().copied().peekable();
        ids.retain(|id| is_missed.next_if_eq(id).is_none());
        self.known = ids;
        self.changed = Some((time, since));
        self.is_conclusive = is_conclusive && missed.ids.is_empty();
        self.unreadable = missed.why;
        Ok(new)
    }

    /// What kept an entry from being looked at the last time, if there was one: its place in the order is not known,
    /// and nothing can be done with it before it can be opened.
    pub fn unreadable(&self) -> Option<&SpoolError> {
        self.unreadable.as_ref()
    }
}

/// Entries whose place is not known, in the order in which they were looked for.
#[derive(Default)]
struct Missed {
    ids: Vec<EntryId>,
    why: Option<SpoolError>,
}

impl Spool {
    /// All entries, the oldest first, without their heads: 24 bytes of memory for each. What is damaged
    /// comes first, and is told when it is opened. What cannot be opened is left out.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn queue(&self) -> Result<Vec<Queued>, SpoolError> {
        let ids = self.ids(&self.0.place.entries, "entries")?;
        Ok(self.in_order(ids.iter()).0)
    }

    /// An entry is no more where [`News`] look.
    pub(super) fn note_left(&self, id: EntryId) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = &mut *left {
            left.push(id);
        }
    }

    fn in_order<'a>(&self, ids: impl Iterator<Item = &'a EntryId>) -> (Vec<Queued>, Missed) {
        let (mut queued, mut missed) = (Vec::new(), Missed::default());
        for id in ids {
            match self.sequence(*id) {
                Ok(sequence) => queued.push(Queued { sequence, id: *id }),
                Err(why) => {
                    missed.ids.push(*id);
                    missed.why = why.or(missed.why);
                }
            }
        }
        queued.sort_unstable();
        (queued, missed)
    }

    /// An entry's sequence; without it, what keeps it from being opened, or nothing if it is gone.
    fn sequence(&self, id: EntryId) -> Result<u64, Option<SpoolError>> {
        let (place, name) = (&self.0.place, id.to_string());
        match trailer::glance(&place.entries, &name) {
            Ok(found) => found.map(|(sequence, _)| sequence).ok_or(None),
            Err(error) => Err(Some(place.failed("cannot open", &name)(error))),
        }
    }
}
