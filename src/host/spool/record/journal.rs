//! An open batch: a file in the spool's `records/`, which outlives its writer.
//!
//! Its first line is the [`Header`], the records follow, each in its line. Room is reserved ahead, as zeros, for the
//! records and once more for the entry that they become. A line that is no record ends the batch: it is where a
//! writer was killed, or what had not been synced when the power went away. Nobody was told of that to be on disk.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::string::{String, ToString as _};
use std::vec::Vec;

use rustix::fs::{FlockOperation, OFlags};
use serde::{Deserialize, Serialize};

use super::compress::Compression;
use super::limits::Fill;
use super::lines;
use crate::host::s3::Attributes;
use crate::host::spool::ledger::{Asker, Ledger, lock_file};
use crate::host::spool::{Added, Naming, Spool, SpoolError, disk, place};

/// Room is reserved in steps.
const STEP: u64 = 256 * 1024;

/// More than the longest key, metadata and tags.
const MOST_HEADER: u64 = 256 * 1024;

/// What was decided when the batch was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Header {
    bucket: String,
    key: String,
    attributes: Attributes,
    compression: Compression,
}

/// An open batch. Dropped, its file stays, and is for whoever recovers.
#[derive(Debug)]
pub struct Journal {
    spool: Spool,
    file: File,
    name: String,
    header: Header,
    /// Where the records begin.
    begin: u64,
    fill: Fill,
    /// The length of the file.
    reserved: u64,
    /// Whether its writer waits where there is no room: nothing is refused then.
    is_patient: bool,
}

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
        self.reserve(end + lines.len() as u64)?;
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

    /// Opens the batches that killed processes have left.
    pub fn abandoned(spool: &Spool) -> Result<Vec<Self>, SpoolError> {
        let place = &spool.0.place;
        let failed = place.failed("cannot read", "records");
        // While the ledger is locked nobody is between making a file and locking it.
        let found = spool.0.locked(|_| {
            let names = place::names(&place.records).map_err(&failed)?;
            let lock = |name: String| Some((lock_abandoned(&place.records, &name)?, name));
            Ok(names.into_iter().filter_map(lock).collect::<Vec<_>>())
        })?;
        let mut all = Vec::new();
        for (file, name) in found {
            all.extend(Self::read(spool, file, name).map_err(&failed)?);
        }
        Ok(all)
    }

    /// Reads what somebody left; `None` if nothing was accepted into it.
    fn read(spool: &Spool, file: File, name: String) -> io::Result<Option<Self>> {
        let reserved = file.metadata()?.len();
        let mut reader = BufReader::new(&file);
        let mut first = Vec::new();
        let most = MOST_HEADER;
        let begin = Read::take(&mut reader, most).read_until(b'\n', &mut first)?;
        let header = first.strip_suffix(b"\n");
        let header = header.and_then(|json| serde_json::from_slice(json).ok());
        let Some(header) = header else {
            // Killed before it had one.
            let _ = spool
                .0
                .locked(|ledger| remove(spool, ledger, &name, reserved));
            return Ok(None);
        };
        let fill = valid(&mut reader)?;
        drop(reader);
        Ok(Some(Self {
            spool: spool.clone(),
            file,
            name,
            header,
            begin: begin as u64,
            fill,
            reserved,
            is_patient: true,
        }))
    }

    fn try_entry(&mut self) -> Result<Added, SpoolError> {
        // The room for the entry.
        self.set_reserved(self.begin + self.fill.bytes)?;
        let mut writer = self.spool.writer();
        let mut source = &self.file;
        let copied = source.seek(SeekFrom::Start(self.begin)).and_then(|_| {
            let mut content = source.take(self.fill.bytes);
            self.header.compression.copy(&mut content, &mut writer)
        });
        if let Err(error) = copied {
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

fn asker(is_patient: bool) -> Asker {
    Asker {
        is_patient,
        is_stream: false,
    }
}

fn remove(
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

/// Opens a batch and locks it; `None` if somebody else has, or it is none.
fn lock_abandoned(folder: &File, name: &str) -> Option<File> {
    let file = place::open_file(folder, name, OFlags::RDWR).ok()?;
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    locked.is_ok().then_some(file)
}

/// How much of what follows is records.
fn valid(reader: &mut dyn io::BufRead) -> io::Result<Fill> {
    let mut fill = Fill::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line that is longer was not written here.
        let most = lines::LARGEST_RECORD as u64 + 1;
        let read = Read::take(&mut *reader, most).read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\n") {
            Some(record) if lines::check(record).is_ok() => {
                fill.bytes += read as u64;
                fill.records += 1;
            }
            _ => return Ok(fill),
        }
    }
}
