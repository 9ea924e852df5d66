//! An open batch: a file in the spool's `records/`, which outlives its writer.
//!
//! Its first line is the [`Header`], the records follow, each in its line. Room is reserved ahead, as zeros, for the
//! records and once more for the entry that they become.

use core::slice;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::compress::Compression;
use super::limits::Fill;
use crate::host::s3::Attributes;
use crate::host::spool::ledger::{Asker, Ledger, lock_file};
use crate::host::spool::{Added, Naming, Spool, SpoolError, disk};

/// Room is reserved in steps.
const STEP: u64 = 256 * 1024;

/// What was decided when the batch was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Header {
    bucket: String,
    key: String,
    attributes: Attributes,
    compression: Compression,
}

/// An open batch. Dropped, its file stays, and is for whoever recovers.
#[derive(Debug)]
pub struct Journal {
    pub(super) spool: Spool,
    pub(super) file: File,
    pub(super) name: String,
    pub(super) header: Header,
    /// Where the records begin.
    pub(super) begin: u64,
    pub(super) fill: Fill,
    /// So far something was written.
    pub(super) written: u64,
    /// Where the records are, if there are damaged lines between them.
    pub(super) ranges: Option<Vec<Range>>,
    /// The length of the file.
    pub(super) reserved: u64,
    /// Whether its writer waits where there is no room: nothing is refused then.
    pub(super) is_patient: bool,
}

/// Where records are in a file, and how many bytes.
pub(super) type Range = (u64, u64);

impl Journal {
    /// Begins a batch that will be called `naming`. When this returns, its name is on disk.
    pub fn create(
        spool: &Spool,
        naming: Naming,
        compression: Compression,
        is_patient: bool,
    ) -> Result<Self, SpoolError> {
        let header = Header {
            bucket: naming.bucket,
            key: naming.key,
            attributes: naming.attributes,
            compression,
        };
        // Strings and lists can always be written.
        let mut first = serde_json::to_vec(&header).unwrap_or_default();
        first.push(b'\n');
        let begin = first.len() as u64;
        let place = &spool.0.place;
        let failed = place.failed("cannot make a batch in", "records");
        let mut journal = spool.0.locked(|ledger| {
            ledger.make_room(asker(is_patient), begin, 1, begin)?;
            ledger.begin()?;
            let (file, name) = loop {
                let name = ledger.sequence().to_string();
                match place.create(&place.records, &name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    created => break (created.map_err(&failed)?, name),
                }
            };
            let journal = Self {
                spool: spool.clone(),
                file,
                name,
                header,
                begin,
                fill: Fill::default(),
                written: begin,
                ranges: None,
                reserved: 0,
                is_patient,
            };
            // While the ledger is locked nobody takes it for one that was left.
            lock_file(&journal.file).map_err(&failed)?;
            Ok(journal)
        })?;
        let written = journal.reserve(begin).and_then(|()| {
            disk::write_at(&journal.file, &first, 0)
                .and_then(|()| disk::sync_file(&journal.file))
                .and_then(|()| disk::sync_folder(&place.records))
                .map_err(&failed)
        });
        match written {
            Ok(()) => Ok(journal),
            Err(error) => {
                journal.discard();
                Err(error)
            }
        }
    }

    /// How much is in it.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// Takes back what was appended since it was that full, and not synced.
    pub fn rewind(&mut self, fill: Fill) {
        self.fill = fill;
    }

    /// Adds records, each with its newline.
    pub fn append(&mut self, lines: &[u8], records: u64) -> Result<(), SpoolError> {
        let end = self.begin + self.fill.bytes;
        let new_end = end + lines.len() as u64;
        if self.written > end {
            // What was taken back: written over in part, its rest could be taken for a record.
            let reserved = self.reserved;
            self.set_reserved(end)?;
            self.written = end;
            self.set_reserved(reserved)?;
        }
        self.reserve(new_end)?;
        self.written = new_end;
        disk::write_at(&self.file, lines, end)
            .map_err(self.spool.0.place.failed("cannot write to", "records"))?;
        self.fill.bytes += lines.len() as u64;
        self.fill.records += records;
        Ok(())
    }

    /// Returns when everything in it is on disk.
    pub fn sync(&self) -> Result<(), SpoolError> {
        disk::sync_data(&self.file).map_err(
            self.spool
                .0
                .place
                .failed("cannot sync a batch in", "records"),
        )
    }

    /// Makes an entry of it, and removes it.
    ///
    /// # Errors
    /// [`SpoolError`], and the batch as it was.
    #[allow(clippy::result_large_err)]
    pub fn into_entry(mut self) -> Result<Option<Added>, (Self, SpoolError)> {
        if self.fill.records == 0 {
            self.discard();
            return Ok(None);
        }
        match self.try_entry() {
            Ok(added) => {
                self.discard();
                Ok(Some(added))
            }
            Err(error) => Err((self, error)),
        }
    }

    fn try_entry(&mut self) -> Result<Added, SpoolError> {
        let all = [(self.begin, self.fill.bytes)];
        let ranges = self.ranges.as_deref().unwrap_or(&all).to_vec();
        let end = ranges.last().map_or(self.begin, |(at, bytes)| at + bytes);
        // The room for the entry.
        self.set_reserved(end)?;
        // It stays where it is, and is tried again: nobody has lost anything.
        let mut writer = self.spool.writer().patiently();
        let mut content = Content {
            file: &self.file,
            ranges: ranges.iter(),
            now: (0, 0),
        };
        let compression = self.header.compression;
        if let Err(error) = compression.copy(&mut content, &mut writer) {
            return Err(match error.downcast::<SpoolError>() {
                Ok(of_spool) => of_spool,
                Err(other) => {
                    self.spool
                        .0
                        .place
                        .failed("cannot read a batch in", "records")(other)
                }
            });
        }
        writer.commit(Naming {
            bucket: self.header.bucket.clone(),
            key: self.header.key.clone(),
            attributes: self.header.attributes.clone(),
        })
    }

    /// Sees to it that there is room for the first `needed` bytes, and for the entry that they become.
    fn reserve(&mut self, needed: u64) -> Result<(), SpoolError> {
        if needed * 2 <= self.reserved {
            return Ok(());
        }
        let spool = self.spool.clone();
        spool.0.locked(|ledger| {
            let wanted = needed.next_multiple_of(STEP) * 2;
            let wanted = match ledger.has_room(wanted - self.reserved, 0) {
                true => wanted,
                false => needed * 2,
            };
            let more = wanted.saturating_sub(self.reserved);
            ledger.make_room(asker(self.is_patient), more, 0, wanted)?;
            self.set_length(ledger, wanted)
        })
    }

    fn set_reserved(&mut self, length: u64) -> Result<(), SpoolError> {
        let spool = self.spool.clone();
        spool.0.locked(|ledger| self.set_length(ledger, length))
    }

    fn set_length(&mut self, ledger: &mut Ledger<'_>, length: u64) -> Result<(), SpoolError> {
        ledger.begin()?;
        disk::set_length(&self.file, length)
            .map_err(self.spool.0.place.failed("cannot write to", "records"))?;
        let others = ledger.counts.bytes.saturating_sub(self.reserved);
        ledger.counts.bytes = others + length;
        self.reserved = length;
        Ok(())
    }

    fn discard(&self) {
        // If that cannot be done now, whoever recovers makes the same entry once more.
        let _ = self
            .spool
            .0
            .locked(|ledger| remove(&self.spool, ledger, &self.name, self.reserved));
    }
}

/// The records of a batch.
struct Content<'a> {
    file: &'a File,
    ranges: slice::Iter<'a, Range>,
    now: Range,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.1 == 0 {
            match self.ranges.next() {
                Some(next) => self.now = *next,
                None => return Ok(0),
            }
        }
        let (at, left) = self.now;
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(&mut buffer[..most], at)?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.now = (at + read as u64, left - read as u64);
        Ok(read)
    }
}

fn asker(is_patient: bool) -> Asker {
    Asker {
        is_patient,
        is_stream: false,
    }
}

pub(super) fn remove(
    spool: &Spool,
    ledger: &mut Ledger<'_>,
    name: &str,
    length: u64,
) -> Result<(), SpoolError> {
    let place = &spool.0.place;
    ledger.begin()?;
    let failed = place.failed("cannot remove a batch in", "records");
    if disk::unlink(&place.records, name).map_err(failed)? {
        ledger.counts.bytes = ledger.counts.bytes.saturating_sub(length);
    }
    Ok(())
}
