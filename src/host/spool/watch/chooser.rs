//! Which files are complete. Without I/O and without a clock: told of signs, asked what is due.

use core::time::Duration;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::vec::Vec;

use super::refusal::{Refusal, Refusals};

/// How many files are known at a time. Where there are more, the oldest are, and the others are found by the
/// next scan.
pub const MOST_FILES: usize = 16_384;

/// What tells one state of a file from another. A clock that is set cannot hide a change: the time of change is
/// the kernel's, and the content's length and identity are in it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Look {
    /// Seconds and nanoseconds of the last change of the content. First: what is older goes first.
    pub modified: (i64, i64),
    /// Seconds and nanoseconds of the last change of the file.
    pub changed: (i64, i64),
    /// The device it lies on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes.
    pub length: u64,
}

/// What was seen of a name in the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// Renamed to this name: complete, by the agreement that only complete files are.
    MovedIn,
    /// A new file, or a new link to one.
    Created,
    /// Somebody has opened it.
    Opened,
    /// Its content has changed.
    Written,
    /// Who had it open for writing is through.
    ClosedAfterWriting,
    /// Who had it open for reading is through.
    Closed,
    /// Owner, permissions or the number of links have changed.
    Changed,
    /// It is not there any more.
    Gone,
}

/// Files that are known and not yet taken.
pub struct Chooser {
    quiet: Duration,
    files: HashMap<OsString, File>,
    refused: Refusals,
    round: u64,
    has_more: bool,
}

struct File {
    phase: Phase,
    look: Option<Look>,
    round: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Made, by somebody who may still have to open it.
    Made { since: Duration },
    /// Somebody has it open, to write; the quiet period begins when they close it.
    Open { has_written: bool },
    /// Nothing has happened since then.
    Quiet { since: Duration },
    /// Complete, whatever the time.
    Complete,
}

impl Chooser {
    /// Nothing is known yet. A file is complete when nothing has happened to it for `quiet`.
    pub fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            files: HashMap::new(),
            refused: Refusals::default(),
            round: 0,
            has_more: false,
        }
    }

    /// Something happened to `name` at `now`, which is counted from any fixed moment.
    pub fn sign(&mut self, name: &OsStr, sign: Sign, now: Duration) {
        if sign == Sign::Gone {
            self.files.remove(name);
            self.refused.forget(name);
            return;
        }
        let round = self.round;
        let is_new = !self.files.contains_key(name);
        if is_new && self.files.len() >= MOST_FILES {
            self.has_more = true;
            return;
        }
        if is_new && matches!(sign, Sign::Opened | Sign::Closed) {
            // Looking at a file that is refused, or left out, makes no candidate of it.
            return;
        }
        let file = self.files.entry(name.into()).or_insert(File {
            phase: Phase::Quiet { since: now },
            look: None,
            round,
        });
        file.round = round;
        file.look = None;
        file.phase = match (sign, file.phase) {
            (Sign::MovedIn, _) => Phase::Complete,
            (Sign::Created, _) => Phase::Made { since: now },
            // Who makes a file opens it at once; a new link to a file is not opened.
            (Sign::Opened, Phase::Made { .. }) => Phase::Open { has_written: false },
            (Sign::Written, _) => Phase::Open { has_written: true },
            (Sign::ClosedAfterWriting, _) | (Sign::Closed, Phase::Open { has_written: false }) => {
                Phase::Quiet { since: now }
            }
            (Sign::Changed, Phase::Made { .. } | Phase::Quiet { .. }) => {
                Phase::Quiet { since: now }
            }
            (_, phase) => phase,
        };
    }

    /// A scan begins: whatever is not seen until it ends is not there.
    pub fn begin_scan(&mut self) {
        self.round += 1;
        self.refused.begin_scan();
        self.has_more = false;
    }

    /// A scan has seen `name`, which looks like this.
    pub fn seen(&mut self, name: &OsStr, look: Look, now: Duration) {
        let round = self.round;
        if self.refused.holds(name, &look) {
            return;
        }
        if let Some(file) = self.files.get_mut(name) {
            file.round = round;
            let is_other = file.look.is_some_and(|known| known != look);
            // Where there are no events, nobody says that it is open, or closed.
            if is_other && !matches!(file.phase, Phase::Open { .. }) {
                file.phase = Phase::Quiet { since: now };
            }
            file.look = Some(look);
        } else if self.files.len() >= MOST_FILES {
            self.has_more = true;
        } else {
            let phase = Phase::Quiet { since: now };
            let look = Some(look);
            self.files.insert(name.into(), File { phase, look, round });
        }
    }

    /// The scan has ended; `has_more` says whether it left out files because there are too many.
    pub fn end_scan(&mut self, has_more: bool) {
        let round = self.round;
        self.files.retain(|_, file| file.round == round);
        self.refused.end_scan();
        self.has_more |= has_more;
    }

    /// Events were lost: what is known of who has what open may be wrong. To be followed by a scan.
    pub fn doubt(&mut self, now: Duration) {
        for file in self.files.values_mut() {
            if file.phase != Phase::Complete {
                file.phase = Phase::Quiet { since: now };
            }
        }
    }

    /// Whether there are files that are not known for want of room, and there is room now.
    pub fn wants_scan(&self) -> bool {
        self.has_more && self.files.len() < MOST_FILES / 2
    }

    /// The files that are complete as far as anybody can tell, in no order.
    pub fn due(&self, now: Duration) -> Vec<OsString> {
        let is_due = |file: &File| self.due_in(file, now) == Some(Duration::ZERO);
        let due = self.files.iter().filter(|(_, file)| is_due(file));
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Whether this one is.
    pub fn is_due(&self, name: &OsStr, now: Duration) -> bool {
        let file = self.files.get(name);
        file.is_some_and(|file| self.due_in(file, now) == Some(Duration::ZERO))
    }

    /// How long until something may be due.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let all = self.files.values();
        all.filter_map(|file| self.due_in(file, now)).min()
    }

    /// `name`, which is due, looks like this. Whether that is how it looked when its quiet period began, as
    /// far as that is known; else it begins anew.
    pub fn confirm(&mut self, name: &OsStr, look: Look, now: Duration) -> bool {
        let Some(file) = self.files.get_mut(name) else {
            return false;
        };
        if file.look.is_none_or(|known| known == look) || file.phase == Phase::Complete {
            return true;
        }
        file.look = Some(look);
        file.phase = Phase::Quiet { since: now };
        false
    }

    /// It changed while it was read: the quiet period begins anew.
    pub fn put_off(&mut self, name: &OsStr, now: Duration) {
        if let Some(file) = self.files.get_mut(name) {
            file.look = None;
            file.phase = Phase::Quiet { since: now };
        }
    }

    /// It has been taken, or is gone.
    pub fn forget(&mut self, name: &OsStr) {
        self.files.remove(name);
    }

    /// It is not going to be taken as it is. Whether that is news.
    pub fn refuse(&mut self, name: &OsStr, why: Refusal, look: Look) -> bool {
        self.files.remove(name);
        self.refused.add(name, why, look)
    }

    /// Whether there are files that have another name as well.
    pub fn has_links(&self) -> bool {
        self.refused.have(Refusal::HardLink)
    }

    /// How many names are refused at present.
    #[cfg(test)]
    pub fn refused(&self) -> usize {
        self.refused.told()
    }

    /// How many files wait.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.files.len()
    }

    fn due_in(&self, file: &File, now: Duration) -> Option<Duration> {
        match file.phase {
            Phase::Complete => Some(Duration::ZERO),
            Phase::Made { since } | Phase::Quiet { since } => {
                Some((since + self.quiet).saturating_sub(now))
            }
            Phase::Open { .. } => None,
        }
    }
}

#[cfg(test)]
#[path = "tests/chooser.rs"]
mod tests;
