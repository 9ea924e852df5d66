//! How much there is in the spool, known to all processes: a page in the file `lock`, changed only under its
//! lock. Whoever dies in the middle of a change leaves a mark, and the next one counts anew; so does the first one
//! after a start of the machine, for the page is never synced.

use std::fs::File;
use std::io;
use std::string::String;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use super::disk;
use super::error::{Full, SpoolError};
use super::page::{Counts, Page};
use super::place::{self, Place};
use super::trailer;
use super::{Inner, WhenFull};

/// The file `lock`.
#[derive(Debug)]
pub(super) struct LedgerFile {
    /// Locks of one open file do not exclude each other; so threads have this one first.
    file: Mutex<File>,
    boot: Option<u128>,
}

impl LedgerFile {
    pub(super) fn open(place: &Place) -> Result<Self, SpoolError> {
        let file = place
            .open_or_create(&place.root, "lock")
            .map_err(place.failed("cannot open", "lock"))?;
        Ok(Self {
            file: Mutex::new(file),
            boot: boot_id(),
        })
    }
}

/// The page while it is locked.
pub(super) struct Ledger<'a> {
    pub(super) spool: &'a Inner,
    file: MutexGuard<'a, File>,
    /// As others see it, as soon as this is dropped.
    pub(super) counts: Counts,
    is_open: bool,
}

impl Inner {
    /// Locks the ledger. What is changed in its counts is written when `work` is over, also if it failed: they are
    /// changed by what has happened.
    pub(super) fn locked<T>(
        &self,
        work: impl FnOnce(&mut Ledger<'_>) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        let mut ledger = Ledger::lock(self)?;
        let done = work(&mut ledger);
        let written = ledger.close();
        let done = done?;
        written.map(|()| done)
    }

    /// What is counted, without waiting for anybody.
    pub(super) fn counts(&self) -> Result<Counts, SpoolError> {
        let page = {
            let file = self.ledger.file.lock();
            Page::read(&file.unwrap_or_else(PoisonError::into_inner))
        };
        match page {
            Some(page) if Some(page.boot) == self.ledger.boot => Ok(page.counts),
            _ => self.locked(|ledger| Ok(ledger.counts)),
        }
    }
}

impl<'a> Ledger<'a> {
    fn lock(spool: &'a Inner) -> Result<Self, SpoolError> {
        let failed = spool.place.failed("cannot lock", "lock");
        let file = spool.ledger.file.lock();
        let file = file.unwrap_or_else(PoisonError::into_inner);
        lock_file(&file).map_err(failed)?;
        let page = Page::read(&file);
        let mut ledger = Ledger {
            spool,
            file,
            counts: page.map(|page| page.counts).unwrap_or_default(),
            is_open: false,
        };
        let is_current =
            page.is_some_and(|page| Some(page.boot) == spool.ledger.boot && !page.is_open);
        if !is_current {
            let is_this_boot = page.is_some_and(|page| Some(page.boot) == spool.ledger.boot);
            ledger.recount(is_this_boot)?;
        }
        Ok(ledger)
    }

    /// Says that a change begins: if this process dies before [`close`](Self::close), the next one counts.
    pub(super) fn begin(&mut self) -> Result<(), SpoolError> {
        if !self.is_open {
            self.is_open = true;
            self.write()?;
        }
        Ok(())
    }

    fn close(mut self) -> Result<(), SpoolError> {
        match self.is_open {
            true => {
                self.is_open = false;
                self.write()
            }
            false => Ok(()),
        }
    }

    fn write(&self) -> Result<(), SpoolError> {
        let page = Page {
            // Without a boot's id, each process counts when it comes.
            boot: self.spool.ledger.boot.unwrap_or_default(),
            counts: self.counts,
            is_open: self.is_open,
        };
        disk::write_at(&self.file, &page.encode(), 0)
            .map_err(self.spool.place.failed("cannot write", "lock"))
    }

    /// The next sequence.
    pub(super) fn sequence(&mut self) -> u64 {
        let sequence = self.counts.next;
        self.counts.next += 1;
        sequence
    }

    /// One file of that length is gone.
    pub(super) fn forget(&mut self, length: u64) {
        self.counts.bytes = self.counts.bytes.saturating_sub(length);
        self.counts.entries = self.counts.entries.saturating_sub(1);
    }

    /// Counts what is there. What nobody is writing to any more is removed from `tmp`.
    pub(super) fn recount(&mut self, knows_sequence: bool) -> Result<(), SpoolError> {
        let began = monotonic();
        self.begin()?;
        // In this order: a writer's file goes from `tmp` to `entries` without asking.
        let place = &self.spool.place;
        let mut counts = Counts {
            bytes: 0,
            entries: 0,
            aside: 0,
            ..self.counts
        };
        for (name, folder) in [
            ("tmp", &place.tmp),
            ("entries", &place.entries),
            ("aside", &place.aside),
            ("records", &place.records),
        ] {
            let failed = place.failed("cannot count", name);
            for file in place::names(folder).map_err(&failed)? {
                let is_reason = name == "aside" && file.ends_with(super::aside::REASON);
                if is_reason || name == "tmp" && remove_if_abandoned(folder, &file) {
                    continue;
                }
                let Some(found) = place::length(folder, &file).map_err(&failed)? else {
                    continue;
                };
                counts.bytes += found;
                if name == "records" {
                    continue;
                }
                counts.entries += 1;
                counts.aside += u64::from(name == "aside");
                if !knows_sequence && name != "tmp" {
                    let last = trailer::glance(folder, &file);
                    // One that cannot be read must not keep all others from being used.
                    let last = last.ok().flatten().map_or(0, |(last, _)| last);
                    // No spool lives to see more than that: such a number is not from here.
                    if last < 1 << 60 {
                        counts.next = counts.next.max(last + 1);
                    }
                }
            }
        }
        counts.counted_at = monotonic();
        counts.counting_took = counts.counted_at.saturating_sub(began);
        self.counts = counts;
        Ok(())
    }

    /// Makes what killed processes have left in `tmp` go.
    pub(super) fn clean(&mut self) -> Result<(), SpoolError> {
        let tmp = &self.spool.place.tmp;
        let failed = self.spool.place.failed("cannot read", "tmp");
        for name in place::names(tmp).map_err(&failed)? {
            let found = place::length(tmp, &name).map_err(&failed)?;
            self.begin()?;
            if let Some(found) = found
                && remove_if_abandoned(tmp, &name)
            {
                self.forget(found);
            }
        }
        Ok(())
    }

    /// Sees to it that there is room for `bytes` and `entries` more, of something that is `whole` bytes long so far.
    pub(super) fn make_room(
        &mut self,
        asker: Asker,
        bytes: u64,
        entries: u64,
        whole: u64,
    ) -> Result<(), SpoolError> {
        match self.find_room(asker, bytes, entries, whole) {
            Err(SpoolError::Full { what, .. }) if !asker.is_patient => Err(self.reject(what)),
            other => other,
        }
    }

    fn find_room(
        &mut self,
        asker: Asker,
        bytes: u64,
        entries: u64,
        whole: u64,
    ) -> Result<(), SpoolError> {
        if let Some(max) = self.spool.options.max_bytes
            && whole > max
        {
            return Err(self.full(Full::TooLarge { max }));
        }
        let Some(mut lack) = self.lack(bytes, entries)? else {
            return Ok(());
        };
        // Somebody may have removed files by hand. Where counting takes long, at most a twentieth of the time goes
        // into it, or a full spool with many entries would do nothing else.
        let (took, since) = (
            self.counts.counting_took,
            monotonic().saturating_sub(self.counts.counted_at),
        );
        if took < QUICK || since / 20 >= took {
            self.recount(true)?;
            match self.lack(bytes, entries)? {
                None => return Ok(()),
                Some(still) => lack = still,
            }
        }
        if self.spool.options.when_full == WhenFull::DropOldest {
            // It may turn out to be longer than everything, and all would have been dropped for nothing.
            let most = self.spool.options.max_bytes.unwrap_or(self.counts.bytes) / 2;
            if asker.is_stream && lack.bytes > 0 && whole > most {
                return Err(self.full(Full::Stream));
            }
            if !self.drop_oldest(lack)? {
                return Err(self.full(lack.what));
            }
            match self.lack(bytes, entries)? {
                None => return Ok(()),
                Some(still) => lack = still,
            }
        }
        Err(self.full(lack.what))
    }

    fn reject(&mut self, what: Full) -> SpoolError {
        self.counts.rejected += 1;
        // That it is full is more important than that it could not be noted.
        let _ = self.begin();
        self.full(what)
    }

    fn full(&self, what: Full) -> SpoolError {
        SpoolError::Full {
            what,
            folder: self.spool.place.path.clone(),
        }
    }

    /// Whether there is room without anything else being done.
    pub(super) fn has_room(&self, bytes: u64, entries: u64) -> bool {
        matches!(self.lack(bytes, entries), Ok(None))
    }

    fn lack(&self, bytes: u64, entries: u64) -> Result<Option<Lack>, SpoolError> {
        let options = &self.spool.options;
        let over = |used: u64, more: u64, max: Option<u64>| {
            let wanted = used.saturating_add(more);
            wanted.saturating_sub(max.unwrap_or(u64::MAX))
        };
        let lack = Lack {
            bytes: over(self.counts.bytes, bytes, options.max_bytes),
            entries: over(self.counts.entries, entries, options.max_entries),
            what: match options.max_bytes {
                Some(max) if self.counts.bytes.saturating_add(bytes) > max => Full::Bytes { max },
                _ => Full::Entries {
                    max: options.max_entries.unwrap_or(u64::MAX),
                },
            },
        };
        if lack.is_some() {
            return Ok(Some(lack));
        }
        let disk = rustix::fs::fstatvfs(&self.spool.place.root).map_err(|error| {
            self.spool.place.failed("cannot look at the disk of", "")(error.into())
        })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let wanted = bytes.saturating_add(options.reserve);
        if free < wanted {
            return Ok(Some(Lack {
                bytes: wanted - free,
                entries: 0,
                what: Full::Disk {
                    reserve: options.reserve,
                },
            }));
        }
        // Some file systems make them as they need them, and say that there are none at all.
        let wanted = entries + RESERVED_INODES;
        if entries > 0 && disk.f_files > 0 && disk.f_favail < wanted {
            return Ok(Some(Lack {
                bytes: 0,
                entries: wanted - disk.f_favail,
                what: Full::Inodes,
            }));
        }
        Ok(None)
    }
}

impl Drop for Ledger<'_> {
    fn drop(&mut self) {
        // A closed file alone would stay locked by a process that was forked meanwhile.
        let _ = rustix::fs::flock(&*self.file, FlockOperation::Unlock);
    }
}

/// Who wants room.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asker {
    /// What there is no room for waits where it is: it does not count as refused.
    pub(super) is_patient: bool,
    /// Nobody knows how much more will come.
    pub(super) is_stream: bool,
}

/// What is missing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lack {
    pub(super) bytes: u64,
    pub(super) entries: u64,
    what: Full,
}

impl Lack {
    /// Whether there is anything missing.
    pub(super) fn is_some(&self) -> bool {
        self.bytes > 0 || self.entries > 0
    }
}

/// Counting that takes less, in nanoseconds, does not matter.
const QUICK: u64 = 10_000_000;

/// So many files can still be made by others, and by `run`, which keeps journals and reasons.
const RESERVED_INODES: u64 = 64;

/// Removes a writer's file whose writer is gone. Called under the ledger's lock: a file that was made under it is
/// locked by its writer before that ends.
fn remove_if_abandoned(tmp: &File, name: &str) -> bool {
    match place::open_file(tmp, name, OFlags::RDWR) {
        Ok(file) => {
            let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
            locked.is_ok() && disk::unlink(tmp, name).unwrap_or(false)
        }
        // No file, or one with a second name, left where renaming has two steps.
        Err(error) if error.raw_os_error().is_none() => disk::unlink(tmp, name).unwrap_or(false),
        Err(_) => false,
    }
}

/// Waits for the lock.
pub(super) fn lock_file(file: &File) -> io::Result<()> {
    loop {
        match rustix::fs::flock(file, FlockOperation::LockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Nanoseconds since the machine started: the same for all processes.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    (now.tv_sec as u64).saturating_mul(1_000_000_000) + now.tv_nsec as u64
}

/// What tells one start of the machine from another.
fn boot_id() -> Option<u128> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).ok()
}
