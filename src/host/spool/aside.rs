//! Entries that would be refused each time: set aside with the reason, until a person says what becomes of them.

use std::fs::File;
use std::io::Read as _;
use std::string::{String, ToString as _};
use std::vec::Vec;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::entry::{EntryId, Head};
use super::error::SpoolError;
use super::{Spool, disk, place};
use crate::core::time::UnixTime;

/// What the name of a reason ends with, after the entry's.
pub(super) const REASON: &str = ".reason";

/// A reason that is longer was not written here.
const MAX_REASON: u64 = 64 * 1024;

/// Why an entry was set aside. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// S3's code, or one word of ours: `KeyTooLongError`, `Damaged`.
    pub code: String,
    /// One sentence for people.
    pub what: String,
    /// When that was, by the machine's clock.
    #[serde(with = "super::entry::seconds")]
    pub at: UnixTime,
}

/// An entry that is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// What it is known by.
    pub id: EntryId,
    /// What was decided when it was accepted; `None` if its file is damaged.
    pub head: Option<Head>,
    /// Why it is here; `None` if there was no room to write it down.
    pub reason: Option<Reason>,
}

/// Which entries of those that are set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All.
    All,
    /// These.
    Ids(Vec<EntryId>),
}

impl Spool {
    /// Sets an entry aside: it is not delivered until [`retry`](Self::retry); `false` if it is not there.
    ///
    /// # Errors
    /// [`SpoolError`]; the entry is where it was then.
    pub fn set_aside(&self, id: EntryId, reason: &Reason) -> Result<bool, SpoolError> {
        let place = &self.0.place;
        let name = id.to_string();
        // First the reason, which is nothing without the entry. On a full disk the entry goes without one.
        match self.write_reason(&name, reason) {
            Err(error) if !error.is_full() => return Err(error),
            _ => {}
        }
        let path = std::format!("entries/{name}");
        let failed = place.failed("cannot set aside", &path);
        let was_there = self.0.locked(|ledger| {
            let replaced = place::length(&place.aside, &name).map_err(&failed)?;
            if place::length(&place.entries, &name)
                .map_err(&failed)?
                .is_none()
            {
                return Ok(false);
            }
            ledger.begin()?;
            disk::rename(&place.entries, &name, &place.aside, &name).map_err(&failed)?;
            match replaced {
                // The same content under the same key, added again.
                Some(replaced) => ledger.forget(replaced),
                None => ledger.counts.aside += 1,
            }
            Ok(true)
        })?;
        if was_there {
            self.note_left(id);
            // First where it is, then where it is no more.
            disk::sync_folder(&place.aside).map_err(&failed)?;
            disk::sync_folder(&place.entries).map_err(&failed)?;
        } else if matches!(place::length(&place.aside, &name), Ok(None)) {
            let _ = disk::unlink(&place.aside, std::format!("{name}{REASON}"));
        }
        Ok(was_there)
    }

    fn write_reason(&self, name: &str, reason: &Reason) -> Result<(), SpoolError> {
        let place = &self.0.place;
        let path = std::format!("{name}{REASON}");
        let failed = place.failed("cannot write a reason in", "aside");
        let text = serde_json::to_vec(reason).unwrap_or_default();
        disk::unlink(&place.aside, &path).map_err(&failed)?;
        let file = place.create(&place.aside, &path).map_err(&failed)?;
        disk::write(&file, &text, &[])
            .and_then(|()| disk::sync_file(&file))
            .inspect_err(|_| drop(disk::unlink(&place.aside, &path)))
            .map_err(failed)
    }

    /// What is set aside, in the order in which it was accepted.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn aside(&self) -> Result<Vec<Aside>, SpoolError> {
        let place = &self.0.place;
        let mut aside = Vec::new();
        for id in self.ids(&place.aside, "aside")? {
            let head = match self.open_in(&place.aside, "aside", id) {
                Ok(Some(entry)) => Some(entry.head),
                Ok(None) => continue,
                Err(SpoolError::Damaged { .. }) => None,
                Err(error) => return Err(error),
            };
            aside.push(Aside {
                id,
                head,
                reason: read_reason(&place.aside, id),
            });
        }
        aside.sort_by_key(|aside| (aside.head.as_ref().map(|head| head.sequence), aside.id));
        Ok(aside)
    }

    /// Has entries that were set aside delivered after all, in their old place in the order; returns how many they
    /// are.
    ///
    /// # Errors
    /// [`SpoolError`]; what was not reached stays set aside.
    pub fn retry(&self, selection: &Selection) -> Result<usize, SpoolError> {
        let place = &self.0.place;
        let failed = place.failed("cannot move an entry out of", "aside");
        let mut count = 0;
        for id in self.selected(selection)? {
            let name = id.to_string();
            let was_there = self.0.locked(|ledger| {
                let Some(found) = place::length(&place.aside, &name).map_err(&failed)? else {
                    return Ok(false);
                };
                ledger.begin()?;
                let moved = disk::rename_new(&place.aside, &name, &place.entries, &name);
                if !moved.map_err(&failed)? {
                    // It was added again, by somebody who may have been killed before its name was safe.
                    disk::sync_folder(&place.entries).map_err(&failed)?;
                    disk::unlink(&place.aside, &name).map_err(&failed)?;
                    ledger.forget(found);
                }
                ledger.counts.aside = ledger.counts.aside.saturating_sub(1);
                Ok(true)
            })?;
            if was_there {
                disk::unlink(&place.aside, std::format!("{name}{REASON}")).map_err(&failed)?;
                count += 1;
            }
        }
        disk::sync_folder(&place.entries).map_err(&failed)?;
        disk::sync_folder(&place.aside).map_err(&failed)?;
        Ok(count)
    }

    /// Removes entries that were set aside, for good; returns how many they are.
    ///
    /// # Errors
    /// [`SpoolError`]; what was not reached stays set aside.
    pub fn discard(&self, selection: &Selection) -> Result<usize, SpoolError> {
        let place = &self.0.place;
        let failed = place.failed("cannot remove an entry in", "aside");
        let mut count = 0;
        for id in self.selected(selection)? {
            let name = id.to_string();
            let was_there = self.0.locked(|ledger| {
                let Some(found) = place::length(&place.aside, &name).map_err(&failed)? else {
                    return Ok(false);
                };
                ledger.begin()?;
                disk::unlink(&place.aside, &name).map_err(&failed)?;
                ledger.forget(found);
                ledger.counts.aside = ledger.counts.aside.saturating_sub(1);
                Ok(true)
            })?;
            if was_there {
                disk::unlink(&place.aside, std::format!("{name}{REASON}")).map_err(&failed)?;
                if matches!(place::length(&place.entries, &name), Ok(None)) {
                    disk::unlink(&place.journal, &name).map_err(&failed)?;
                }
                count += 1;
            }
        }
        Ok(count)
    }

    /// Removes reasons whose entries are not there: whoever was killed had written the reason and not moved the
    /// entry, or the other way round.
    pub(super) fn clean_reasons(&self) -> Result<(), SpoolError> {
        let place = &self.0.place;
        let failed = place.failed("cannot clean", "aside");
        for reason in place::names(&place.aside).map_err(&failed)? {
            if let Some(name) = reason.strip_suffix(REASON)
                && matches!(place::length(&place.aside, name), Ok(None))
            {
                disk::unlink(&place.aside, &reason).map_err(&failed)?;
            }
        }
        Ok(())
    }

    fn selected(&self, selection: &Selection) -> Result<Vec<EntryId>, SpoolError> {
        match selection {
            Selection::All => self.ids(&self.0.place.aside, "aside"),
            Selection::Ids(ids) => Ok(ids.clone()),
        }
    }
}

fn read_reason(aside: &File, id: EntryId) -> Option<Reason> {
    let file = place::open_file(aside, &std::format!("{id}{REASON}"), OFlags::RDONLY).ok()?;
    let mut text = Vec::new();
    file.take(MAX_REASON).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
