//! Which files are complete. Without I/O and without a clock: told of signs, asked what is due.

use core::time::Duration;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::vec::Vec;

/// How many files are known at a time. Where there are more, the oldest are, and the others are found by the
/// next scan.
pub const MOST_FILES: usize = 16_384;

/// How many refusals are remembered, so that each is told once.
const MOST_REFUSALS: usize = 4_096;

/// What tells one state of a file from another. A clock that is set cannot hide a change: the time of change is
/// the kernel's, and the content's length and identity are in it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// Why a name is not taken over, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A folder: only files directly beneath are taken.
    Folder,
    /// A symbolic link, which is never followed.
    Link,
    /// A FIFO or a socket.
    Pipe,
    /// A device.
    Device,
    /// Another name for a file that somebody else may own.
    HardLink,
    /// It must not be read.
    Unreadable,
    /// It would never fit into the spool.
    TooLarge,
    /// No key can be made of it.
    Key,
    /// The folder is sticky, and the file is somebody else's: it could not be removed.
    Sticky,
    /// It was accepted, and cannot be removed.
    Fixed,
}

/// Files that are known and not yet taken.
pub struct Chooser {
    quiet: Duration,
    files: HashMap<OsString, File>,
    refused: HashMap<OsString, Refused>,
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

struct Refused {
    why: Refusal,
    look: Look,
    round: u64,
}

impl Chooser {
    /// Nothing is known yet. A file is complete when nothing has happened to it for `quiet`.
    pub fn new(quiet: Duration) -> Self {
        Self {
            quiet,
            files: HashMap::new(),
            refused: HashMap::new(),
            round: 0,
            has_more: false,
        }
    }

    /// Something happened to `name` at `now`, which is counted from any fixed moment.
    pub fn sign(&mut self, name: &OsStr, sign: Sign, now: Duration) {
        if sign == Sign::Gone {
            self.files.remove(name);
            self.refused.remove(name);
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
        self.has_more = false;
    }

    /// A scan has seen `name`, which looks like this.
    pub fn seen(&mut self, name: &OsStr, look: Look, now: Duration) {
        let round = self.round;
        if let Some(refused) = self.refused.get_mut(name) {
            refused.round = round;
            if refused.look == look {
                return;
            }
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
        self.refused.retain(|_, refused| refused.round == round);
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
        let round = self.round;
        if let Some(known) = self.refused.get_mut(name) {
            let is_same = (known.look.device, known.look.inode) == (look.device, look.inode);
            let is_news = known.why != why || !is_same;
            *known = Refused { why, look, round };
            return is_news;
        }
        if self.refused.len() >= MOST_REFUSALS {
            return false;
        }
        let refused = Refused { why, look, round };
        self.refused.insert(name.into(), refused);
        true
    }

    /// Whether there are files that have another name as well.
    pub fn has_links(&self) -> bool {
        let mut refused = self.refused.values();
        refused.any(|refused| refused.why == Refusal::HardLink)
    }

    /// How many names are refused at present.
    #[cfg(test)]
    pub fn refused(&self) -> usize {
        self.refused.len()
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
mod tests {
    use super::*;
    use core::time::Duration;
    use proptest::prelude::*;
    use std::vec;

    const QUIET: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn look(inode: u64, length: u64) -> Look {
        Look {
            modified: (0, 0),
            changed: (0, 0),
            device: 1,
            inode,
            length,
        }
    }

    fn chooser() -> (Chooser, &'static OsStr) {
        (Chooser::new(QUIET), OsStr::new("a"))
    }

    #[test]
    fn renamed_in_is_complete_at_once() {
        let (mut chooser, a) = chooser();
        chooser.sign(a, Sign::MovedIn, at(1));
        assert_eq!(chooser.due(at(1)), vec![OsString::from("a")]);
        chooser.forget(a);
        assert_eq!(chooser.next(at(1)), None);
    }

    #[test]
    fn a_written_file_waits_for_its_writer_and_then_for_quiet() {
        let (mut chooser, a) = chooser();
        for (sign, now) in [(Sign::Created, 1), (Sign::Opened, 1)] {
            chooser.sign(a, sign, at(now));
        }
        // Nothing written for a long time, but open.
        assert!(chooser.due(at(100)).is_empty());
        chooser.sign(a, Sign::Written, at(101));
        chooser.sign(a, Sign::Opened, at(101));
        chooser.sign(a, Sign::Closed, at(101));
        assert!(chooser.due(at(200)).is_empty());
        chooser.sign(a, Sign::ClosedAfterWriting, at(201));
        assert!(chooser.due(at(205)).is_empty());
        assert_eq!(chooser.next(at(205)), Some(at(1)));
        assert_eq!(chooser.due(at(206)).len(), 1);
        // It is opened once more in the last moment.
        chooser.sign(a, Sign::Written, at(206));
        assert!(chooser.due(at(300)).is_empty());
    }

    #[test]
    fn a_linked_file_is_not_waited_for() {
        let (mut chooser, a) = chooser();
        chooser.sign(a, Sign::Created, at(1));
        assert_eq!(chooser.due(at(6)).len(), 1);
    }

    #[test]
    fn without_events_two_looks_are_compared() {
        let (mut chooser, a) = chooser();
        for (second, length) in [(0, 1), (4, 2), (8, 2)] {
            chooser.begin_scan();
            chooser.seen(a, look(1, length), at(second));
            chooser.end_scan(false);
        }
        assert!(chooser.due(at(8)).is_empty());
        assert_eq!(chooser.due(at(9)).len(), 1);
        // It has changed between the last scan and now.
        assert!(!chooser.confirm(a, look(1, 3), at(9)));
        assert!(chooser.due(at(13)).is_empty());
        assert!(chooser.confirm(a, look(1, 3), at(14)));
        chooser.begin_scan();
        chooser.end_scan(false);
        assert_eq!(chooser.waiting(), 0);
    }

    #[test]
    fn a_refusal_is_news_once_for_each_file() {
        let (mut chooser, a) = chooser();
        assert!(chooser.refuse(a, Refusal::Folder, look(1, 0)));
        for _ in 0..3 {
            chooser.begin_scan();
            chooser.seen(a, look(1, 0), at(1));
            chooser.end_scan(false);
            assert_eq!(chooser.waiting(), 0);
        }
        // Something in the folder has changed: it is looked at again, and is no news.
        chooser.seen(a, look(1, 9), at(2));
        assert_eq!(chooser.waiting(), 1);
        assert!(!chooser.refuse(a, Refusal::Folder, look(1, 9)));
        // Another file of that name, and another reason.
        assert!(chooser.refuse(a, Refusal::Folder, look(2, 9)));
        assert!(chooser.refuse(a, Refusal::HardLink, look(2, 9)));
        chooser.sign(a, Sign::Gone, at(3));
        assert_eq!(chooser.refused(), 0);
        assert!(chooser.refuse(a, Refusal::HardLink, look(2, 9)));
    }

    #[test]
    fn what_is_known_is_bounded() {
        let mut chooser = Chooser::new(QUIET);
        let name = |number: usize| OsString::from(std::format!("{number}"));
        for number in 0..MOST_FILES + 10 {
            chooser.sign(&name(number), Sign::MovedIn, at(1));
        }
        assert_eq!(chooser.waiting(), MOST_FILES);
        assert!(!chooser.wants_scan());
        for name in chooser.due(at(1)) {
            chooser.forget(&name);
        }
        assert!(chooser.wants_scan());
        chooser.begin_scan();
        assert!(!chooser.wants_scan());
        let news = |number: &usize| chooser.refuse(&name(*number), Refusal::Link, look(1, 1));
        assert_eq!((0..MOST_REFUSALS + 10).filter(news).count(), MOST_REFUSALS);
    }

    fn signs() -> impl Strategy<Value = Vec<(Sign, u64)>> {
        let sign = prop::sample::select(vec![
            Sign::MovedIn,
            Sign::Created,
            Sign::Opened,
            Sign::Written,
            Sign::ClosedAfterWriting,
            Sign::Closed,
            Sign::Changed,
            Sign::Gone,
        ]);
        prop::collection::vec((sign, 0..8_u64), 0..40)
    }

    proptest! {
        /// Whatever happens: a file is due at once only if it was renamed in, never while somebody is known to
        /// write, and at last when it was closed or its events were doubted.
        #[test]
        fn complete_files_only(signs in signs()) {
            let (mut chooser, a) = chooser();
            let mut now = at(0);
            let (mut writes, mut last, mut moved) = (false, at(0), false);
            for (sign, pause) in signs {
                now += at(pause);
                chooser.sign(a, sign, now);
                match sign {
                    Sign::Written => (writes, moved) = (true, false),
                    Sign::Created => (writes, moved) = (false, false),
                    Sign::ClosedAfterWriting => (writes, moved) = (false, false),
                    Sign::MovedIn => (writes, moved) = (false, true),
                    Sign::Gone => (writes, moved) = (false, false),
                    Sign::Opened | Sign::Closed | Sign::Changed => {}
                }
                if !matches!(sign, Sign::Opened | Sign::Closed) {
                    last = now;
                }
                let is_due = !chooser.due(now).is_empty();
                prop_assert!(!(is_due && writes));
                prop_assert!(!is_due || moved || now >= last + QUIET);
            }
            if chooser.waiting() == 1 {
                chooser.doubt(now);
                prop_assert_eq!(chooser.due(now + QUIET).len(), 1);
            }
        }
    }
}
