//! What is read once, and whose length nobody knows: standard input, pipes.

use std::format;
use std::io::Read;
use std::vec::Vec;

use super::body::{Section, Told, local, unreadable};
use super::digest::md5;
use super::parts::{Plan, Round, etag_of_md5s, expected};
use super::request::request;
use super::work::{Done, PartSender};
use super::{MAX_PART, MAX_PARTS, Object, Uploader};
use crate::host::s3::{Attributes, ObjectStore};
use crate::output::push::{Halt, Outcome, Progress};

/// After so many parts the next ones are twice as long. So 8 MiB of memory are enough for 16 GiB, and 128 MiB for
/// 500 GiB, with parts of the usual length at the beginning.
const PARTS_OF_A_LENGTH: u64 = 2_000;

/// Decides after a [`Halt`] whether to go on, and waits until then.
pub type Patience<'a> = dyn FnMut(&Halt) -> bool + 'a;

impl Uploader<'_> {
    /// Uploads what `reader` gives until its end, and says how much that was. One part of it is in memory. What was
    /// read cannot be read again: it is `patience` that decides how long an outage may be, and what is not there when
    /// that has ended is lost.
    ///
    /// # Errors
    /// [`Halt`]: it is not there, and was given up.
    pub fn stream(
        &mut self,
        key: &str,
        attributes: &Attributes,
        reader: &mut dyn Read,
        patience: &mut Patience<'_>,
        progress: &mut dyn Progress,
    ) -> Result<(u64, Outcome), Halt> {
        let part_size = self
            .options
            .part_size_for(0)
            .map_err(|what| Halt::Store(local(what)))?;
        let mut buffer = Vec::new();
        fill(&mut buffer, part_size, reader)?;
        let length = buffer.len() as u64;
        let object = Object {
            key,
            attributes,
            length,
            digests: None,
            content: &buffer,
        };
        if length < part_size {
            let whole = patiently(patience, || self.whole(&object, progress))?;
            return Ok((length, whole));
        }
        let told = Told::to(progress);
        let upload = patiently(patience, || {
            request(self.sessions, self.pace, |credentials| {
                self.store
                    .create_upload(credentials, key, attributes, self.options.checksum)
                    .map_err(Halt::Store)
            })
        })?;
        let sender = PartSender {
            key,
            upload: &upload,
            sessions: self.sessions,
            options: self.options,
            pace: self.pace,
            told: &told,
        };
        let sent = match send_all(sender, self.store, (buffer, part_size), reader, patience) {
            Ok(sent) => sent,
            Err(halt) => {
                self.abort(key, &upload);
                return Err(halt);
            }
        };
        let nothing: Vec<u8> = Vec::new();
        let object = Object {
            key,
            attributes,
            length: sent.length,
            digests: None,
            content: &nothing,
        };
        let count = sent.done.len() as u32;
        let plan = Plan {
            upload,
            part_size,
            count,
            done: sent.done,
        };
        let expected = expected(sent.length, &plan.done);
        let mut turns = 0;
        let round = patiently(patience, || {
            turns += 1;
            // The answer to the one before may have got lost.
            let may_be_there = turns > 1;
            self.complete(&object, &plan, &expected, may_be_there, || {
                Ok(etag_of_md5s(&sent.md5s))
            })
        });
        match round {
            Ok(Round::Ended(outcome)) => {
                if !matches!(outcome, Outcome::Confirmed(_) | Outcome::Unconfirmed(_)) {
                    self.abort(key, &plan.upload);
                }
                Ok((sent.length, outcome))
            }
            Ok(Round::Anew(error) | Round::Doubtful(error, _)) => {
                self.abort(key, &plan.upload);
                Err(Halt::Store(error))
            }
            Err(halt) => {
                self.abort(key, &plan.upload);
                Err(halt)
            }
        }
    }
}

/// What was read, and how S3 has it.
#[derive(Default)]
struct Sent {
    length: u64,
    done: Vec<Done>,
    /// The parts' MD5s, as far as their ETags are such.
    md5s: Vec<[u8; 16]>,
}

/// Sends part after part until the end; `first` is the first one, and the usual length.
fn send_all(
    sender: PartSender<'_, '_>,
    store: &mut dyn ObjectStore,
    first: (Vec<u8>, u64),
    reader: &mut dyn Read,
    patience: &mut Patience<'_>,
) -> Result<Sent, Halt> {
    let (mut buffer, usual) = first;
    let mut sent = Sent::default();
    while !buffer.is_empty() {
        let before = sent.done.len() as u64;
        if before == MAX_PARTS {
            return Err(Halt::Store(local(format!(
                "there is more than fits into {MAX_PARTS} parts, of {usual} bytes at first: parts have to be longer"
            ))));
        }
        let length = buffer.len() as u64;
        let section = Section {
            content: &buffer,
            offset: 0,
            length,
        };
        let number = before as u32 + 1;
        let done = patiently(patience, || sender.send(store, section, number))?;
        // What S3 has confirmed has the ETag that it has; else the ETag has to be the content's.
        let md5 = match done.echoed {
            true => md5_of(&done.part.etag),
            false => Some(md5(section)?),
        };
        sent.md5s.extend(md5);
        sent.length += length;
        sent.done.push(done);
        let doublings = (before + 1) / PARTS_OF_A_LENGTH;
        fill(&mut buffer, (usual << doublings).min(MAX_PART), reader)?;
    }
    Ok(sent)
}

/// Repeats what did not end for as long as somebody has patience. A stop is the end of it.
fn patiently<T>(
    patience: &mut Patience<'_>,
    mut once: impl FnMut() -> Result<T, Halt>,
) -> Result<T, Halt> {
    loop {
        match once() {
            Err(halt) if halt != Halt::Stopped && patience(&halt) => {}
            other => return other,
        }
    }
}

/// Reads up to `length` bytes; fewer only at the end. Memory is taken as it is needed.
fn fill(buffer: &mut Vec<u8>, length: u64, reader: &mut dyn Read) -> Result<(), Halt> {
    buffer.clear();
    let read = reader.take(length).read_to_end(buffer);
    read.map(drop).map_err(|error| unreadable(&error))
}

/// The MD5 that an ETag is, if it is one.
fn md5_of(etag: &str) -> Option<[u8; 16]> {
    let digits = etag.trim_matches('"');
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut md5 = [0; 16];
    for (byte, at) in md5.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(md5)
}
