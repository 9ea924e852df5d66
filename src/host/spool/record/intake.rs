//! A stream of records, and what is answered to it.
//!
//! Answers are lines of JSON. `{"line":12,"error":"…"}` is a line that is no record. `{"lines":20,"accepted":19}`
//! says that the first 20 lines are settled: 19 records are on disk, and whatever else was among them was empty,
//! or was refused in a line of its own before.

use core::time::Duration;
use std::io::Write as _;
use std::vec::Vec;

use super::error::RecordError;
use super::lines::{Lines, Piece};
use super::recorder::Recorder;
use crate::core::text::JsonString;
use crate::host::spool::Bell;

/// A full spool is tried again after this.
const FULL: Duration = Duration::from_secs(1);

/// Beyond this, nothing is said of single lines any more to somebody who does not listen.
const MOST_ANSWERS: usize = 64 * 1024;

/// What came of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Lines.
    pub lines: u64,
    /// Records that are on disk.
    pub accepted: u64,
    /// Lines that were refused.
    pub refused: u64,
}

/// One stream.
pub struct Intake {
    recorder: Recorder,
    lines: Lines,
    settled: Settled,
    /// What is not yet settled.
    group: Vec<u8>,
    records: u64,
    refused: u64,
    answers: Vec<u8>,
    /// What is settled was not answered, since there is too much to be answered already.
    is_behind: bool,
}

impl Intake {
    /// A stream whose records have at most `longest` bytes.
    pub fn new(recorder: Recorder, longest: usize) -> Self {
        Self {
            recorder,
            lines: Lines::new(longest),
            settled: Settled::default(),
            group: Vec::new(),
            records: 0,
            refused: 0,
            answers: Vec::new(),
            is_behind: false,
        }
    }

    /// What is settled.
    pub fn settled(&self) -> Settled {
        self.settled
    }

    /// How much waits for being settled.
    pub fn pending(&self) -> usize {
        self.group.len()
    }

    /// Takes the next bytes; `None` if there are no more. `refused` is told of lines that are no records.
    pub fn feed(&mut self, bytes: Option<&[u8]>, refused: &mut dyn FnMut(u64, &str)) {
        let Self {
            lines,
            group,
            records,
            answers,
            refused: count,
            ..
        } = self;
        let mut each = |piece: Piece<'_>| match piece {
            Piece::Record(record) => {
                group.extend_from_slice(record);
                group.push(b'\n');
                *records += 1;
            }
            Piece::Refused { line, why } => {
                *count += 1;
                refused(line, &why);
                if answers.len() < MOST_ANSWERS {
                    let why = JsonString(&why);
                    // Writing to a Vec does not fail.
                    let _ = writeln!(answers, r#"{{"line":{line},"error":{why}}}"#);
                }
            }
        };
        match bytes {
            Some(bytes) => lines.feed(bytes, &mut each),
            None => lines.finish(&mut each),
        }
    }

    /// Puts everything that is complete on disk, and answers.
    ///
    /// # Errors
    /// [`RecordError`] if that cannot be done now; it can be tried again.
    pub fn settle(&mut self) -> Result<(), RecordError> {
        self.recorder.add(&self.group)?;
        self.group.clear();
        self.settled.accepted += core::mem::take(&mut self.records);
        self.settled.refused += core::mem::take(&mut self.refused);
        if self.settled.lines != self.lines.count() {
            self.settled.lines = self.lines.count();
            self.is_behind = self.answers.len() >= MOST_ANSWERS;
            if !self.is_behind {
                self.answer();
            }
        }
        Ok(())
    }

    fn answer(&mut self) {
        let Settled {
            lines, accepted, ..
        } = self.settled;
        // Writing to a Vec does not fail.
        let _ = writeln!(self.answers, r#"{{"lines":{lines},"accepted":{accepted}}}"#);
    }

    /// The same, for as long as it takes; `waits` is told why, once. `false` if `bell` was rung meanwhile.
    pub fn settle_patiently(&mut self, bell: &Bell, waits: &mut dyn FnMut(&RecordError)) -> bool {
        let mut told = None;
        loop {
            match self.settle() {
                Ok(()) => return true,
                Err(error) => {
                    if told.as_ref() != Some(&error) {
                        waits(&error);
                        told = Some(error);
                    }
                }
            }
            if bell.is_rung() {
                return false;
            }
            bell.wait(&[], Some(FULL));
        }
    }

    /// What is to be answered. What was, is to be taken out of it.
    pub fn answers(&mut self) -> &mut Vec<u8> {
        if self.answers.is_empty() && core::mem::take(&mut self.is_behind) {
            self.answer();
        }
        &mut self.answers
    }
}
