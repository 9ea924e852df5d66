//! What killed processes, the power and the disk have left of open batches.
//!
//! A line that is no record is where a writer was killed, or what had not been synced when the power went away:
//! it is torn, or there are zeros in it, and nobody was told of it to be on disk. The records behind it are taken all the
//! same. What cannot be read for any other reason is damaged, and is never removed without a word.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::string::String;
use std::vec::Vec;

use rustix::fs::{FlockOperation, OFlags};
use serde::de::IgnoredAny;

use super::journal::{Header, Journal, Range, remove};
use super::limits::Fill;
use super::lines;
use crate::host::spool::{Spool, SpoolError, place};

/// More than the longest key, metadata and tags.
const MOST_HEADER: u64 = 256 * 1024;

/// A file with more gaps between its records is none that a disk has damaged here and there.
const MOST_RANGES: usize = 65_536;

/// What was left.
#[derive(Debug, Default)]
pub struct Abandoned {
    /// Batches that become entries.
    pub journals: Vec<Journal>,
    /// What is wrong with others, or with some of their records.
    pub damaged: Vec<SpoolError>,
    /// Those of which nothing can be read.
    pub unreadable: Unreadable,
}

/// Batches of which nothing can be read, as they looked: they are read whole to find that out, and not again.
pub type Unreadable = BTreeMap<String, Look>;

/// Length, and when the content changed last.
pub type Look = (u64, (i64, i64));

impl Abandoned {
    /// Opens the batches that killed processes have left. Those in which nothing was accepted are removed, and those
    /// that are known to be `unreadable` left alone.
    ///
    /// # Errors
    /// [`SpoolError`] if they cannot be looked for.
    pub fn find(spool: &Spool, unreadable: &Unreadable) -> Result<Self, SpoolError> {
        let place = &spool.0.place;
        let failed = place.failed("cannot read", "records");
        // While the ledger is locked nobody is between making a file and locking it.
        let found = spool.0.locked(|_| {
            let names = place::names(&place.records).map_err(&failed)?;
            let lock = |name: String| Some((lock_abandoned(&place.records, &name)?, name));
            Ok(names.into_iter().filter_map(lock).collect::<Vec<_>>())
        })?;
        let mut all = Self::default();
        for (file, name) in found {
            let path = std::format!("records/{name}");
            if let Err(error) = all.read(spool, file, name, unreadable) {
                all.damaged.push(place.failed("cannot read", &path)(error));
            }
        }
        Ok(all)
    }

    fn read(
        &mut self,
        spool: &Spool,
        file: File,
        name: String,
        unreadable: &Unreadable,
    ) -> io::Result<()> {
        let found = file.metadata()?;
        let reserved = found.len();
        let look = (reserved, (found.mtime(), found.mtime_nsec()));
        if unreadable.get(&name) == Some(&look) {
            self.unreadable.insert(name, look);
            return Ok(());
        }
        let path = spool.path().join("records").join(&name);
        let mut reader = BufReader::new(&file);
        let mut first = Vec::new();
        let begin = Read::take(&mut reader, MOST_HEADER).read_until(b'\n', &mut first)? as u64;
        let header: Option<Header> = first
            .strip_suffix(b"\n")
            .and_then(|json| serde_json::from_slice(json).ok());
        let Some(header) = header else {
            match may_hold_records(&first, &mut reader)? {
                true => {
                    self.damaged.push(SpoolError::UnreadableBatch { path });
                    self.unreadable.insert(name, look);
                }
                // Killed before it had a header. If that cannot be removed now, it is later.
                false => drop(
                    spool
                        .0
                        .locked(|ledger| remove(spool, ledger, &name, reserved)),
                ),
            }
            return Ok(());
        };
        let Some(found) = Records::find(&mut reader, begin)? else {
            self.damaged.push(SpoolError::UnreadableBatch { path });
            self.unreadable.insert(name, look);
            return Ok(());
        };
        drop(reader);
        let lines = found.damaged;
        if lines > 0 {
            self.damaged
                .push(SpoolError::DamagedRecords { path, lines });
        }
        self.journals.push(Journal {
            spool: spool.clone(),
            file,
            name,
            header,
            begin,
            fill: found.fill,
            written: reserved,
            ranges: Some(found.ranges),
            reserved,
            is_patient: true,
        });
        Ok(())
    }
}

/// Opens a batch and locks it; `None` if somebody else has, or it is none.
fn lock_abandoned(folder: &File, name: &str) -> Option<File> {
    let file = place::open_file(folder, name, OFlags::RDWR).ok()?;
    let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
    locked.is_ok().then_some(file)
}

/// Whether records may have been accepted into a file that has no header. A header is on disk before the first
/// record is written.
fn may_hold_records(first: &[u8], rest: &mut dyn BufRead) -> io::Result<bool> {
    if has_more(rest)? {
        return Ok(true);
    }
    // What ends in a newline and is not torn may be a header whose own newline is damaged, and a record; one of
    // another version, with nothing behind it, is not.
    let is_torn = !first.ends_with(b"\n") || first.contains(&0);
    Ok(!is_torn && serde_json::from_slice::<IgnoredAny>(first).is_err())
}

/// Whether there is anything but zeros.
fn has_more(reader: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(false);
        }
        if piece.iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        let length = piece.len();
        reader.consume(length);
    }
}

/// Records that were found in a file.
#[derive(Default)]
struct Records {
    fill: Fill,
    ranges: Vec<Range>,
    /// Lines among them that are damaged.
    damaged: u64,
}

impl Records {
    /// Those from `at` on; `None` if there is damage and nothing else, or far too much of it.
    fn find(reader: &mut dyn BufRead, mut at: u64) -> io::Result<Option<Self>> {
        let mut found = Self::default();
        // Lines that may be the torn end.
        let mut torn = 0;
        let mut line = Vec::new();
        loop {
            let read = read_line(reader, &mut line)?;
            match line.strip_suffix(b"\n") {
                Some(record) if lines::check(record).is_ok() => {
                    found.damaged += core::mem::take(&mut torn);
                    found.take((at, read));
                    if found.ranges.len() > MOST_RANGES {
                        return Ok(None);
                    }
                }
                // Neither torn nor partly unwritten.
                Some(record) if !record.contains(&0) => found.damaged += 1,
                _ if read == 0 => break,
                _ => torn += 1,
            }
            at += read;
        }
        Ok((found.fill.records > 0 || found.damaged == 0).then_some(found))
    }

    fn take(&mut self, (at, bytes): Range) {
        self.fill.bytes += bytes;
        self.fill.records += 1;
        match self.ranges.last_mut() {
            Some(last) if last.0 + last.1 == at => last.1 += bytes,
            _ => self.ranges.push((at, bytes)),
        }
    }
}

/// How long the next line is, with its newline. It is kept only if it can be a record: neither what is reserved and was
/// never written, nor what is longer than any.
fn read_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let mut read = 0;
    if reader.fill_buf()?.first() != Some(&0) {
        let most = lines::LARGEST_RECORD as u64 + 1;
        read = Read::take(&mut *reader, most).read_until(b'\n', line)? as u64;
        if read == 0 || line.ends_with(b"\n") {
            return Ok(read);
        }
        line.clear();
    }
    Ok(read + reader.skip_until(b'\n')? as u64)
}
