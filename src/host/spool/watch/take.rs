//! Files become entries: read as they are, accepted together, then removed.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::chooser::Look;
use super::folder::{Folder, Found, Removal};
use super::refusal::Refusal;
use crate::core::time::UnixTime;
use crate::host::spool::{Batch, Bell, Full, Naming, Spool, SpoolError};

/// Makes what is decided about an entry of a file's name and the time of its last change.
pub type Names = dyn Fn(&OsStr, UnixTime) -> Result<Naming, String> + Send + Sync;

/// So many files wait for the disk together, if they are small.
const GROUP_FILES: usize = 64;

/// So many bytes do.
const GROUP_BYTES: u64 = 16 * 1024 * 1024;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// More than head and footer of an entry take.
const TRAILER: u64 = 8 * 1024;

/// A file that is complete, as it looked then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// How it looked. First: the oldest goes first.
    pub look: Look,
    /// Its name.
    pub name: OsString,
}

/// What became of a file.
#[derive(Debug)]
pub enum Outcome {
    /// It is in the spool, and no longer in the folder.
    Taken {
        /// Whether the spool had not had it before.
        is_new: bool,
    },
    /// It has changed meanwhile, or there was no time left for it. If it was accepted, it was so as it had been.
    Changed,
    /// It is not there any more.
    Gone,
    /// It is not going to be taken.
    Refused(Refusal, String),
}

/// What became of a group.
#[derive(Debug)]
pub struct Group {
    /// Of each file that something became of.
    pub outcomes: Vec<(Candidate, Outcome)>,
    /// Why it ended before it was full. These files are where they were.
    pub stopped: Option<SpoolError>,
}

/// Takes the first ones of `candidates`.
pub fn take_group(
    folder: &Folder,
    spool: &Spool,
    names: &Names,
    candidates: &mut VecDeque<Candidate>,
    bell: &Bell,
) -> Group {
    let mut group = Group {
        outcomes: Vec::new(),
        stopped: None,
    };
    let mut batch = spool.batch();
    let mut read = Vec::new();
    let mut bytes = 0;
    let mut passed = Vec::new();
    // For a file of this length there is no room.
    let mut too_long = u64::MAX;
    while read.len() < GROUP_FILES && bytes < GROUP_BYTES && !bell.is_rung() {
        let Some(candidate) = candidates.pop_front() else {
            break;
        };
        if candidate.look.length >= too_long {
            passed.push(candidate);
            continue;
        }
        match read_one(folder, spool, names, &candidate, &mut batch, bell) {
            Ok(Read::Whole(file)) => {
                bytes += candidate.look.length;
                read.push((candidate, file));
            }
            Ok(Read::Not(outcome)) => group.outcomes.push((candidate, outcome)),
            // Smaller ones behind it may fit.
            Err(error) if error.is_about_size() => {
                too_long = candidate.look.length;
                passed.push(candidate);
                group.stopped.get_or_insert(error);
            }
            Err(error) => {
                candidates.push_front(candidate);
                group.stopped = Some(error);
                break;
            }
        }
    }
    for candidate in passed.into_iter().rev() {
        candidates.push_front(candidate);
    }
    // Else a loss of power could bring back a torn one, under the key that the whole one has had.
    let unsynced = read.iter().enumerate().find_map(|(at, (_, file))| {
        let error = folder.sync(file).err()?;
        Some((at, error))
    });
    let added = match unsynced {
        None => batch.commit().map_err(Some),
        Some((at, error)) => {
            let (candidate, _) = read.remove(at);
            let refused = Outcome::Refused(Refusal::Unreadable, error.to_string());
            group.outcomes.push((candidate, refused));
            Err(None)
        }
    };
    let added = match added {
        Ok(added) => added,
        Err(error) => {
            for (candidate, _) in read.into_iter().rev() {
                candidates.push_front(candidate);
            }
            group.stopped = error.or(group.stopped);
            return group;
        }
    };
    for ((candidate, _), added) in read.into_iter().zip(added) {
        let is_new = added.is_new;
        let outcome = match folder.remove(&candidate.name, &candidate.look) {
            Ok(Removal::Removed) => Outcome::Taken { is_new },
            Ok(Removal::Replaced) => Outcome::Changed,
            Err(error) => Outcome::Refused(Refusal::Fixed, error.to_string()),
        };
        group.outcomes.push((candidate, outcome));
    }
    group
}

/// What came of reading a file.
enum Read {
    /// It is in the batch.
    Whole(File),
    /// It is not going to be taken now.
    Not(Outcome),
}

/// Reads a file into an entry of the batch; or says what became of it instead.
fn read_one(
    folder: &Folder,
    spool: &Spool,
    names: &Names,
    candidate: &Candidate,
    batch: &mut Batch,
    bell: &Bell,
) -> Result<Read, SpoolError> {
    let refused = |why, text: String| Ok(Read::Not(Outcome::Refused(why, text)));
    let look = candidate.look;
    let (mut file, found) = match folder.open_file(&candidate.name) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Read::Not(Outcome::Gone));
        }
        Err(error) => return refused(Refusal::Unreadable, error.to_string()),
    };
    match found {
        Found::File(now) if now == look => {}
        Found::File(_) => return Ok(Read::Not(Outcome::Changed)),
        Found::Refused(why, _) => return refused(why, String::new()),
    }
    let max = spool.options().max_bytes;
    if max.is_some_and(|max| look.length + TRAILER > max) {
        return refused(Refusal::TooLarge, String::new());
    }
    let modified = UnixTime::from_secs(u64::try_from(look.modified.0).unwrap_or_default());
    let naming = match names(&candidate.name, modified) {
        Ok(naming) => naming,
        Err(why) => return refused(Refusal::Key, why),
    };
    // What is tried and refused is counted as refused: a file that waits where it is has lost nothing.
    let mut writer = spool.writer().patiently();
    writer.expect(look.length, &naming)?;
    let mut piece = std::vec![0; PIECE];
    loop {
        // A large file takes its time; it is where it was.
        if bell.is_rung() {
            return Ok(Read::Not(Outcome::Changed));
        }
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => match writer.append(piece.get(..read).unwrap_or_default()) {
                Ok(()) => {}
                Err(SpoolError::Full {
                    what: Full::TooLarge { .. },
                    ..
                }) => return refused(Refusal::TooLarge, String::new()),
                Err(error) => return Err(error),
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return refused(Refusal::Unreadable, error.to_string()),
        }
        if writer.length() > look.length {
            return Ok(Read::Not(Outcome::Changed));
        }
    }
    if writer.length() != look.length || !is_unchanged(folder, &file, &look) {
        return Ok(Read::Not(Outcome::Changed));
    }
    folder.start_writing(&file);
    batch.add(writer, naming)?;
    Ok(Read::Whole(file))
}

fn is_unchanged(folder: &Folder, file: &File, look: &Look) -> bool {
    matches!(folder.look_at(file), Ok(Found::File(now)) if now == *look)
}
