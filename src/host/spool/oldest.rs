//! Room for new entries where the oldest ones stood.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::string::ToString as _;
use std::vec::Vec;

use super::disk;
use super::entry::EntryId;
use super::error::SpoolError;
use super::ledger::{Lack, Ledger};
use super::news::Queued;
use super::page::Counts;
use super::place;
use super::trailer;

/// The file with the hint: the oldest entries, the very oldest last, so that what was used is cut off. It is only
/// a hint: each entry is compared with it before it is dropped.
const HINT: &str = "oldest";

/// Sequence and id.
const RECORD: u64 = 24;

/// So many at most: 1.5 MiB. When they are used up, all entries are looked at again.
const MOST: usize = 65_536;

impl Ledger<'_> {
    /// Drops the oldest entries until that much is free, and those that are set aside only when there are no
    /// others; `false` if it is not enough. If it never could be, nothing is dropped.
    pub(super) fn drop_oldest(&mut self, lack: Lack) -> Result<bool, SpoolError> {
        let (bytes, entries) = self.droppable()?;
        if lack.bytes > bytes || lack.entries > entries {
            return Ok(false);
        }
        let mut left = lack;
        let place = &self.spool.place;
        let (entries, aside) = (&place.entries, &place.aside);
        self.drop_hinted(&mut left)?;
        if left.is_some() {
            let mut all = scan(entries);
            self.drop_from(entries, &mut all, &mut left)?;
            // Those that were looked at last, the oldest, are kept for the next time.
            let kept = all.len().saturating_sub(MOST);
            self.write_hint(&all[kept..])?;
        }
        if left.is_some() {
            self.drop_from(aside, &mut scan(aside), &mut left)?;
        }
        Ok(!left.is_some())
    }

    /// How much there is but for what is being written, and for open batches: bytes and entries.
    fn droppable(&self) -> Result<(u64, u64), SpoolError> {
        let place = &self.spool.place;
        let Counts {
            mut bytes,
            mut entries,
            ..
        } = self.counts;
        for (name, folder) in [("tmp", &place.tmp), ("records", &place.records)] {
            let failed = place.failed("cannot read", name);
            for file in place::names(folder).map_err(&failed)? {
                let length = place::length(folder, &file).map_err(&failed)?;
                bytes = bytes.saturating_sub(length.unwrap_or(0));
                entries = entries.saturating_sub(u64::from(name == "tmp"));
            }
        }
        Ok((bytes, entries))
    }

    fn drop_hinted(&mut self, left: &mut Lack) -> Result<(), SpoolError> {
        let place = &self.spool.place;
        let failed = place.failed("cannot use", HINT);
        let file = place.open_or_create(&place.root, HINT).map_err(&failed)?;
        let mut records = file.metadata().map_err(&failed)?.len() / RECORD;
        while left.is_some() && records > 0 {
            records -= 1;
            let mut record = [0; RECORD as usize];
            file.read_exact_at(&mut record, records * RECORD)
                .map_err(&failed)?;
            self.drop_one(&place.entries, decode(&record), left)?;
        }
        disk::set_length(&file, records * RECORD).map_err(failed)
    }

    /// Takes from the end.
    fn drop_from(
        &mut self,
        folder: &File,
        oldest_last: &mut Vec<Queued>,
        left: &mut Lack,
    ) -> Result<(), SpoolError> {
        while left.is_some()
            && let Some(oldest) = oldest_last.pop()
        {
            self.drop_one(folder, oldest, left)?;
        }
        Ok(())
    }

    fn drop_one(
        &mut self,
        folder: &File,
        oldest: Queued,
        left: &mut Lack,
    ) -> Result<(), SpoolError> {
        let name = oldest.id.to_string();
        // Of what cannot be read now nobody knows how old it is.
        let Ok(Some((sequence, length))) = trailer::glance(folder, &name) else {
            return Ok(());
        };
        if sequence != oldest.sequence {
            return Ok(());
        }
        self.begin()?;
        let failed = self.spool.place.failed("cannot drop an entry in", "");
        if disk::unlink(folder, &name).map_err(failed)? {
            self.forget(length);
            self.counts.dropped += 1;
            self.counts.dropped_bytes += length;
            left.bytes = left.bytes.saturating_sub(length);
            left.entries = left.entries.saturating_sub(1);
            let place = &self.spool.place;
            if core::ptr::eq(folder, &place.aside) {
                self.counts.aside = self.counts.aside.saturating_sub(1);
                let reason = std::format!("{name}{}", super::aside::REASON);
                let _ = disk::unlink(folder, &reason);
            }
            // What stays of it is removed when `run` starts.
            let _ = disk::unlink(&place.journal, &name);
        }
        Ok(())
    }

    /// Not synced: what is not there, or wrong, costs another look at all entries.
    fn write_hint(&self, oldest_last: &[Queued]) -> Result<(), SpoolError> {
        let place = &self.spool.place;
        let failed = place.failed("cannot write", HINT);
        let mut records = Vec::with_capacity(oldest_last.len() * RECORD as usize);
        for queued in oldest_last {
            records.extend(queued.sequence.to_be_bytes());
            records.extend(queued.id.0);
        }
        let file = place.open_or_create(&place.root, HINT).map_err(&failed)?;
        let written = disk::set_length(&file, 0).and_then(|()| disk::write_at(&file, &records, 0));
        match written {
            // On a full disk there is no hint.
            Err(_) => disk::set_length(&file, 0).map_err(failed),
            Ok(()) => Ok(()),
        }
    }
}

/// All entries of a folder, the oldest last.
fn scan(folder: &File) -> Vec<Queued> {
    let names = place::names(folder).unwrap_or_default();
    let queued = names.iter().filter_map(|name| {
        let (sequence, _) = trailer::glance(folder, name).ok()??;
        let id = EntryId::parse(name)?;
        Some(Queued { sequence, id })
    });
    let mut queued: Vec<_> = queued.collect();
    queued.sort_unstable_by(|one, other| other.cmp(one));
    queued
}

fn decode(record: &[u8; RECORD as usize]) -> Queued {
    let (mut sequence, mut id) = ([0; 8], [0; 16]);
    sequence.copy_from_slice(&record[..8]);
    id.copy_from_slice(&record[8..]);
    Queued {
        sequence: u64::from_be_bytes(sequence),
        id: EntryId(id),
    }
}
