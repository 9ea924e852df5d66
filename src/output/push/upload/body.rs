//! A section of a content on its way.

use std::boxed::Box;
use std::format;
use std::io::{self, Read};
use std::string::String;
use std::sync::{Mutex, PoisonError};

use super::super::{Halt, Pace, Progress, Stopped};
use crate::host::s3::{Body, Checksum, Content, FaultKind, S3Error};

/// A section of a content, and what is to arrive.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) content: &'a dyn Content,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// What S3 is told of a section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seal {
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) checksum: Checksum,
}

/// Sends a section with `request`, no faster than `pace` allows, and tells how far it is. What kept it from being
/// read is what is reported, not what S3 or the network then said about a body that ended early.
pub(super) fn send<T>(
    section: Section<'_>,
    seal: Seal,
    pace: &Pace,
    progress: &Told<'_>,
    request: impl FnOnce(Body<'_>) -> Result<T, S3Error>,
) -> Result<T, Halt> {
    let mut reader = Paced {
        reader: open(section)?,
        left: section.length,
        pace,
        progress,
        sent: 0,
        cause: None,
    };
    let answer = request(Body {
        reader: &mut reader,
        length: section.length,
        sha256: seal.sha256,
        checksum: seal.checksum,
    });
    let failed = match (answer, reader.cause) {
        (Ok(taken), None) if reader.left == 0 => return Ok(taken),
        (_, Some(cause)) => cause,
        (Err(error), None) => Halt::Store(error),
        (Ok(_), None) => Halt::Store(S3Error {
            kind: FaultKind::Server,
            ..local(format!(
                "S3 answered 200 when it had {} of {} bytes",
                reader.sent, section.length
            ))
        }),
    };
    progress.tell(|progress| progress.again(reader.sent));
    Err(failed)
}

/// Opens a section for reading.
pub(super) fn open(section: Section<'_>) -> Result<Box<dyn Read + '_>, Halt> {
    section
        .content
        .open(section.offset, section.length)
        .map_err(|error| unreadable(&error))
}

/// Progress, told by several threads.
pub(super) struct Told<'p>(Mutex<&'p mut dyn Progress>);

impl<'p> Told<'p> {
    pub(super) fn to(progress: &'p mut dyn Progress) -> Self {
        Self(Mutex::new(progress))
    }

    pub(super) fn tell(&self, what: impl FnOnce(&mut dyn Progress)) {
        what(&mut **self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The content cannot be read.
pub(super) fn unreadable(error: &io::Error) -> Halt {
    Halt::Store(local(format!("the content cannot be read: {error}")))
}

/// A failure of the content's, without an answer of S3's.
pub(super) fn local(what: String) -> S3Error {
    S3Error {
        kind: FaultKind::Content,
        status: None,
        code: String::new(),
        what,
        remedy: String::new(),
        retry_after: None,
        date: None,
    }
}

struct Paced<'a, 'p> {
    reader: Box<dyn Read + 'a>,
    left: u64,
    pace: &'a Pace,
    progress: &'a Told<'p>,
    sent: u64,
    cause: Option<Halt>,
}

impl Read for Paced<'_, '_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = buf
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let granted = self.pace.take(wanted).map_err(|Stopped| {
            self.cause = Some(Halt::Stopped);
            io::Error::other(Stopped)
        })?;
        let read = loop {
            match self.reader.read(&mut buf[..granted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => {
                    break Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("it ended {} bytes early: has it been changed?", self.left),
                    ));
                }
                other => break other,
            }
        };
        let read = read.inspect_err(|error| self.cause = Some(unreadable(error)))?;
        self.pace.give_back(granted - read);
        self.left -= read as u64;
        self.sent += read as u64;
        self.progress.tell(|progress| progress.sent(read as u64));
        Ok(read)
    }
}
