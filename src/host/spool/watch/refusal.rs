//! Files that are not taken, and why.

use core::fmt;
use core::hash::BuildHasher as _;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::hash::RandomState;

use super::chooser::Look;

/// How many refusals are remembered with their names, so that each is told once.
pub(super) const MOST_TOLD: usize = 4_096;

/// How many files are remembered by a hash, that were accepted and cannot be removed: each scan would take them once
/// more. 4 MiB of memory.
const MOST_FIXED: usize = 131_072;

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

/// What is refused at present.
#[derive(Default)]
pub(super) struct Refusals {
    told: HashMap<OsString, Refused>,
    /// Those that could not be removed and for which there was no room: hashes of names and looks.
    fixed: HashSet<u64>,
    /// Those of them that were there since the scan began.
    seen: HashSet<u64>,
    hasher: RandomState,
    round: u64,
}

struct Refused {
    why: Refusal,
    look: Look,
    round: u64,
}

impl Refusals {
    /// A scan begins: what it does not see is forgotten.
    pub(super) fn begin_scan(&mut self) {
        self.round += 1;
        self.seen.clear();
    }

    /// It has ended.
    pub(super) fn end_scan(&mut self) {
        let round = self.round;
        self.told.retain(|_, refused| refused.round == round);
        self.fixed = core::mem::take(&mut self.seen);
    }

    /// Whether `name`, which was seen, is refused as it looks.
    pub(super) fn holds(&mut self, name: &OsStr, look: &Look) -> bool {
        if let Some(refused) = self.told.get_mut(name) {
            refused.round = self.round;
            return refused.look == *look;
        }
        if self.fixed.is_empty() {
            return false;
        }
        let hash = self.hasher.hash_one((name, look));
        self.fixed.contains(&hash) && {
            self.seen.insert(hash);
            true
        }
    }

    /// It is refused. Whether that is news.
    pub(super) fn add(&mut self, name: &OsStr, why: Refusal, look: Look) -> bool {
        let round = self.round;
        if let Some(known) = self.told.get_mut(name) {
            let is_same = (known.look.device, known.look.inode) == (look.device, look.inode);
            let is_news = known.why != why || !is_same;
            *known = Refused { why, look, round };
            return is_news;
        }
        if self.told.len() < MOST_TOLD {
            let refused = Refused { why, look, round };
            self.told.insert(name.into(), refused);
            return true;
        }
        if why == Refusal::Fixed && self.fixed.len() < MOST_FIXED {
            let hash = self.hasher.hash_one((name, look));
            self.fixed.insert(hash);
            self.seen.insert(hash);
        }
        false
    }

    /// It is not there any more.
    pub(super) fn forget(&mut self, name: &OsStr) {
        self.told.remove(name);
    }

    /// Whether any of them is refused for that, as far as they are known by name.
    pub(super) fn have(&self, why: Refusal) -> bool {
        self.told.values().any(|refused| refused.why == why)
    }

    /// How many are known by name.
    #[cfg(test)]
    pub(super) fn told(&self) -> usize {
        self.told.len()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "it is a folder",
            Self::Link => "it is a symbolic link",
            Self::Pipe => "it is a FIFO or a socket",
            Self::Device => "it is a device",
            Self::HardLink => "it is a hard link to a file that may be somebody else's",
            Self::Unreadable => "it cannot be read",
            Self::TooLarge => "it is larger than the spool's quota",
            Self::Key => "no key can be made of its name",
            Self::Sticky => {
                "it is somebody else's, and the folder is sticky: it could not be removed"
            }
            Self::Fixed => "it is in the spool, but cannot be removed here",
        })
    }
}

impl Refusal {
    /// What to do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Folder => {
                "files directly in the watched folder are taken; watch this one as well, or move its files"
            }
            Self::Link | Self::Pipe | Self::Device => {
                "move a copy of the data into the watched folder"
            }
            Self::HardLink => {
                "move or copy the file instead of linking it, or remove its other names"
            }
            Self::Unreadable => "make it readable for the user or group that keystead runs as",
            Self::TooLarge => "raise the quota (max-size), or take the file away",
            Self::Key => "rename it, or change the template (--to)",
            Self::Sticky => {
                "take the folder's sticky bit away (`chmod -t`), or give the folder to keystead's user"
            }
            Self::Fixed => "see what protects it (`lsattr`), and take it away yourself",
        }
    }
}
