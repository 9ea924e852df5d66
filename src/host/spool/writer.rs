//! How entries are accepted.

use core::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::Spool;
use super::disk;
use super::entry::{EntryId, Head};
use super::error::SpoolError;
use super::ledger::{Asker, Ledger, lock_file};
use super::pending::Pending;
use super::trailer;
use crate::host::clock;
use crate::host::s3::{Attributes, Digester, Digests};

/// What is smaller is written once, when it is complete.
const BUFFER: usize = 128 * 1024;

/// So much more is reserved for a larger one each time.
const STEP: u64 = 1024 * 1024;

/// What an entry will be in S3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming {
    /// The bucket.
    pub bucket: String,
    /// The key, not encoded.
    pub key: String,
    /// What is kept with it.
    pub attributes: Attributes,
}

/// An entry that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Added {
    /// What it is known by.
    pub id: EntryId,
    /// Length and digests of the content.
    pub digests: Digests,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// An entry that is being written. Dropped without [`commit`](Self::commit), it leaves nothing behind.
pub struct EntryWriter {
    spool: Spool,
    digester: Digester,
    length: u64,
    asker: Asker,
    /// What is not in the file yet.
    buffer: Vec<u8>,
    file: Option<Reserved>,
    /// Something was not written, and what follows would be at the wrong place.
    is_broken: bool,
}

/// A file in `tmp`. Its lock says that somebody is writing to it, its length how much is reserved for that.
#[derive(Debug)]
pub(super) struct Reserved {
    spool: Spool,
    pub(super) file: File,
    pub(super) name: String,
    length: u64,
    pub(super) is_done: bool,
}

impl Reserved {
    /// Under the ledger's lock, so that nobody takes it for one that was left.
    fn new(
        spool: &Spool,
        ledger: &mut Ledger<'_>,
        asker: Asker,
        length: u64,
    ) -> Result<Self, SpoolError> {
        ledger.make_room(asker, length, 1, length)?;
        ledger.begin()?;
        let place = &spool.0.place;
        let (file, name) = loop {
            // Unique among all that were ever made, but for those of other machines that share the folder.
            let name = ledger.sequence().to_string();
            match place.create(&place.tmp, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => {
                    break (
                        created.map_err(place.failed("cannot make a file in", "tmp"))?,
                        name,
                    );
                }
            }
        };
        let mut reserved = Self {
            spool: spool.clone(),
            file,
            name,
            length: 0,
            is_done: false,
        };
        ledger.counts.entries += 1;
        let filled = lock_file(&reserved.file)
            .map_err(place.failed("cannot lock a file in", "tmp"))
            .and_then(|()| reserved.set_length(ledger, length));
        match filled {
            Ok(()) => Ok(reserved),
            Err(error) => {
                reserved.discard(ledger);
                Err(error)
            }
        }
    }

    fn set_length(&mut self, ledger: &mut Ledger<'_>, length: u64) -> Result<(), SpoolError> {
        ledger.begin()?;
        let failed = self.spool.0.place.failed("cannot write to", "tmp");
        disk::set_length(&self.file, length).map_err(failed)?;
        let others = ledger.counts.bytes.saturating_sub(self.length);
        ledger.counts.bytes = others + length;
        self.length = length;
        Ok(())
    }

    pub(super) fn fit(
        &mut self,
        ledger: &mut Ledger<'_>,
        asker: Asker,
        length: u64,
    ) -> Result<(), SpoolError> {
        if length > self.length {
            ledger.make_room(asker, length - self.length, 0, length)?;
        }
        self.set_length(ledger, length)
    }

    fn discard(&mut self, ledger: &mut Ledger<'_>) {
        self.is_done = true;
        // If that cannot be done now, whoever opens the spool next does it.
        if ledger.begin().is_ok()
            && disk::unlink(&self.spool.0.place.tmp, &self.name).unwrap_or(false)
        {
            ledger.forget(self.length);
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_done {
            let spool = self.spool.clone();
            let _ = spool.0.locked(|ledger| {
                self.discard(ledger);
                Ok(())
            });
        }
    }
}

impl EntryWriter {
    pub(super) fn new(spool: &Spool) -> Self {
        Self {
            spool: spool.clone(),
            digester: Digester::new(),
            length: 0,
            asker: Asker {
                is_patient: false,
                is_stream: true,
            },
            buffer: Vec::new(),
            file: None,
            is_broken: false,
        }
    }

    /// What it brings waits where it is if there is no room, and does not count as refused.
    pub(super) fn patiently(mut self) -> Self {
        self.asker.is_patient = true;
        self
    }

    /// How many bytes were written so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Says before all else that the content will be `length` bytes long, and called `naming`: all its room is made
    /// now, so that what can never fit is refused before older entries give way to it. If it becomes longer
    /// after all, it is a stream from there on.
    ///
    /// # Errors
    /// [`SpoolError`] if there is no room.
    pub fn expect(&mut self, length: u64, naming: &Naming) -> Result<(), SpoolError> {
        // What is small is known as a whole before any room is made for it.
        if length <= BUFFER as u64 || self.length > 0 {
            return Ok(());
        }
        let head = Head {
            bucket: naming.bucket.clone(),
            key: naming.key.clone(),
            attributes: naming.attributes.clone(),
            digests: Digests {
                length,
                ..Digests::of(&[])
            },
            accepted: clock::system_time(),
            // As long as it can be.
            sequence: u64::MAX,
            after: None,
        };
        let trailer = trailer::encode(&head).ok_or(SpoolError::TooMuch)?;
        let whole = length.saturating_add(trailer.len() as u64);
        let asker = Asker {
            is_stream: false,
            ..self.asker
        };
        let spool = &self.spool;
        let make = |ledger: &mut Ledger<'_>| Reserved::new(spool, ledger, asker, whole);
        self.file = Some(spool.0.locked(make)?);
        Ok(())
    }

    /// Adds to the content.
    ///
    /// # Errors
    /// [`SpoolError`], as soon as there is no room; nothing more can be written then.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        if self.is_broken {
            return Err(broken());
        }
        self.digester.update(bytes);
        self.length += bytes.len() as u64;
        if self.buffer.len() + bytes.len() <= BUFFER {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.is_broken = true;
        let reserved = self.reserve()?;
        disk::write(&reserved.file, &self.buffer, bytes)
            .map_err(self.spool.0.place.failed("cannot write to", "tmp"))?;
        self.file = Some(reserved);
        self.buffer.clear();
        self.is_broken = false;
        Ok(())
    }

    /// Sees to it that what was written so far has room, and a step more if there is some.
    fn reserve(&mut self) -> Result<Reserved, SpoolError> {
        let (needed, wanted) = (self.length, self.length.next_multiple_of(STEP));
        let spool = &self.spool;
        match self.file.take() {
            Some(reserved) if reserved.length >= needed => Ok(reserved),
            Some(mut reserved) => {
                spool.0.locked(|ledger| {
                    let has_room = ledger.has_room(wanted - reserved.length, 0);
                    reserved.fit(ledger, self.asker, if has_room { wanted } else { needed })
                })?;
                Ok(reserved)
            }
            None => spool.0.locked(|ledger| {
                let has_room = ledger.has_room(wanted, 1);
                let length = if has_room { wanted } else { needed };
                Reserved::new(spool, ledger, self.asker, length)
            }),
        }
    }

    /// Accepts the entry: when this returns, it is on disk, whatever happens next.
    ///
    /// # Errors
    /// [`SpoolError`]. It was not accepted then; only if the disk failed in the very last step, the entry may be
    /// there all the same, whole.
    pub fn commit(self, naming: Naming) -> Result<Added, SpoolError> {
        let spool = self.spool.clone();
        let mut pending = self.finish(naming)?;
        pending.sync()?;
        pending.publish()?;
        spool.sync_entries()?;
        Ok(pending.added)
    }

    /// Writes everything, and syncs nothing.
    pub(super) fn finish(mut self, naming: Naming) -> Result<Pending, SpoolError> {
        if self.is_broken {
            return Err(broken());
        }
        let digests = self.digester.finish();
        let mut head = Head {
            bucket: naming.bucket,
            key: naming.key,
            attributes: naming.attributes,
            digests,
            accepted: clock::system_time(),
            sequence: 0,
            after: None,
        };
        let (spool, length) = (&self.spool, self.length);
        let asker = Asker {
            is_stream: false,
            ..self.asker
        };
        let mut number = |ledger: &mut Ledger<'_>| {
            head.sequence = ledger.sequence();
            let trailer = trailer::encode(&head).ok_or(SpoolError::TooMuch)?;
            Ok((length + trailer.len() as u64, trailer))
        };
        let (file, trailer) = match self.file.take() {
            None => spool.0.locked(|ledger| {
                let (whole, trailer) = number(ledger)?;
                Ok((Reserved::new(spool, ledger, asker, whole)?, trailer))
            })?,
            Some(mut reserved) => {
                let trailer = spool.0.locked(|ledger| {
                    let (whole, trailer) = number(ledger)?;
                    reserved.fit(ledger, asker, whole).map(|()| trailer)
                })?;
                (reserved, trailer)
            }
        };
        disk::write(&file.file, &self.buffer, &trailer)
            .map_err(spool.0.place.failed("cannot write to", "tmp"))?;
        let added = Added {
            id: head.id(),
            digests,
            is_new: true,
        };
        Ok(Pending::new(&self.spool, file, asker, head, added))
    }
}

impl fmt::Debug for EntryWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("EntryWriter");
        debug.field("length", &self.length).finish_non_exhaustive()
    }
}

fn broken() -> SpoolError {
    SpoolError::Source(io::Error::other("an earlier piece of it was not written"))
}

impl Write for EntryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spool {
    /// A new entry, to be written piece by piece.
    pub fn writer(&self) -> EntryWriter {
        EntryWriter::new(self)
    }

    /// Reads `content` to its end and accepts it.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is left of it then.
    pub fn add(&self, content: &mut dyn Read, naming: Naming) -> Result<Added, SpoolError> {
        let mut writer = self.writer();
        let mut piece = std::vec![0; BUFFER];
        loop {
            match content.read(&mut piece) {
                Ok(0) => return writer.commit(naming),
                Ok(read) => writer.append(&piece[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(SpoolError::Source(error)),
            }
        }
    }

    pub(super) fn sync_entries(&self) -> Result<(), SpoolError> {
        let place = &self.0.place;
        disk::sync_folder(&place.entries).map_err(place.failed("cannot sync", "entries"))
    }
}
