//! Entries that are complete, and get their names.

use std::string::ToString as _;

use super::entry::{EntryId, Head};
use super::error::SpoolError;
use super::ledger::Asker;
use super::writer::{Added, Reserved};
use super::{Spool, disk, place, trailer};

/// An entry that is complete in `tmp`.
#[derive(Debug)]
pub(super) struct Pending {
    spool: Spool,
    file: Reserved,
    asker: Asker,
    head: Head,
    pub(super) added: Added,
}

impl Pending {
    /// What is in `file` has this head, and is going to be what `added` says.
    pub(super) fn new(
        spool: &Spool,
        file: Reserved,
        asker: Asker,
        head: Head,
        added: Added,
    ) -> Self {
        Self {
            spool: spool.clone(),
            file,
            asker,
            head,
            added,
        }
    }

    /// See [`disk::start_writing`].
    pub(super) fn start_writing(&self) {
        disk::start_writing(&self.file.file);
    }

    /// First of all: the name may not be there before the content is.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        let failed = self.spool.0.place.failed("cannot sync a file in", "tmp");
        disk::sync_file(&self.file.file).map_err(failed)
    }

    /// Gives it its name. The folder is to be synced after that, also if the entry was there before: whoever made
    /// it may not have come that far.
    pub(super) fn publish(&mut self) -> Result<(), SpoolError> {
        let spool = self.spool.clone();
        let place = &spool.0.place;
        loop {
            let name = self.added.id.to_string();
            let failed = place.failed("cannot make the entry", &name);
            let is_new = disk::rename_new(&place.tmp, &self.file.name, &place.entries, &name);
            if is_new.map_err(&failed)? {
                self.file.is_done = true;
                return Ok(());
            }
            let there = match spool.open_entry(self.added.id) {
                Ok(Some(entry)) => entry.head,
                // Delivered in this very moment.
                Ok(None) => continue,
                Err(SpoolError::Damaged { .. }) => return self.replace(&name),
                Err(error) => return Err(error),
            };
            match spool.youngest_after(&there)? {
                // What was accepted last has to be what is delivered last.
                Some((_, last)) if last.digests.sha256 != there.digests.sha256 => {
                    self.follow(last.sequence)?;
                }
                youngest => {
                    // Dropping this one removes it.
                    self.added.id = youngest.map_or(self.added.id, |(id, _)| id);
                    self.added.is_new = false;
                    return Ok(());
                }
            }
        }
    }

    /// Makes it another entry: the one that was accepted after that one.
    fn follow(&mut self, sequence: u64) -> Result<(), SpoolError> {
        let (head, file, asker) = (&mut self.head, &mut self.file, self.asker);
        let content = head.digests.length;
        head.after = Some(sequence);
        let trailer = self.spool.0.locked(|ledger| {
            if head.sequence <= sequence {
                head.sequence = ledger.sequence();
            }
            let trailer = trailer::encode(head).ok_or(SpoolError::TooMuch)?;
            file.fit(ledger, asker, content + trailer.len() as u64)?;
            Ok(trailer)
        })?;
        self.added.id = self.head.id();
        let failed = self.spool.0.place.failed("cannot write to", "tmp");
        disk::write_at(&self.file.file, &trailer, content).map_err(failed)?;
        self.sync()
    }

    /// What has the name is not the entry, and gives way.
    fn replace(&mut self, name: &str) -> Result<(), SpoolError> {
        let spool = self.spool.clone();
        let place = &spool.0.place;
        let failed = place.failed("cannot make the entry", name);
        spool.0.locked(|ledger| {
            ledger.begin()?;
            let damaged = place::length(&place.entries, name).map_err(&failed)?;
            disk::rename(&place.tmp, &self.file.name, &place.entries, name).map_err(&failed)?;
            if let Some(damaged) = damaged {
                ledger.forget(damaged);
            }
            Ok(())
        })?;
        self.file.is_done = true;
        Ok(())
    }
}

impl Spool {
    /// Of the entries under the key of `head` that were accepted after it, the last one.
    fn youngest_after(&self, head: &Head) -> Result<Option<(EntryId, Head)>, SpoolError> {
        let entries = &self.0.place.entries;
        let mut youngest: Option<(EntryId, Head)> = None;
        for id in self.ids(entries, "entries")? {
            let than = youngest.as_ref().map_or(head, |(_, head)| head).sequence;
            let younger = trailer::read_younger(entries, &id.to_string(), than);
            if let Some(younger) = younger
                && (&younger.bucket, &younger.key) == (&head.bucket, &head.key)
            {
                youngest = Some((id, younger));
            }
        }
        Ok(youngest)
    }
}
