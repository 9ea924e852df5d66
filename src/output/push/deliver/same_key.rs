//! Entries under the same key follow one another: what was accepted last is what is in the bucket in the end.

use core::hash::{Hash as _, Hasher as _};
use std::collections::BTreeMap;
use std::hash::DefaultHasher;

use super::schedule::Place;

/// What an entry behind another one needs to be known by when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) length: u64,
    pub(super) lane: usize,
}

/// Which entries have the same key. Keys are known by a hash: two that share one wait for each other, and no more
/// comes of that.
#[derive(Debug, Default)]
pub(super) struct SameKey {
    hashes: BTreeMap<Place, u64>,
    first: BTreeMap<u64, Place>,
    behind: BTreeMap<(u64, Place), Behind>,
    /// How many of them are in a lane.
    by_lane: BTreeMap<usize, usize>,
}

impl SameKey {
    /// An entry has come: whether it may go. If an older one with its key is known, it is kept until that one is
    /// gone.
    pub(super) fn admit(&mut self, place: Place, bucket: &str, key: &str, entry: Behind) -> bool {
        let mut hasher = DefaultHasher::new();
        (bucket, key).hash(&mut hasher);
        let hash = hasher.finish();
        self.hashes.insert(place, hash);
        match self.first.get(&hash) {
            Some(first) if *first < place => {
                if self.behind.insert((hash, place), entry).is_none() {
                    *self.by_lane.entry(entry.lane).or_default() += 1;
                }
                false
            }
            // One that was set aside, and is tried again, is older than what is under way.
            _ => {
                self.first.insert(hash, place);
                true
            }
        }
    }

    /// An entry is gone: gives the next one with its key.
    pub(super) fn left(&mut self, place: Place) -> Option<(Place, Behind)> {
        let hash = self.hashes.remove(&place)?;
        if self.first.get(&hash) != Some(&place) {
            self.take(hash, place);
            return None;
        }
        self.first.remove(&hash);
        let oldest = (hash, (0, super::schedule::FIRST_ID));
        let (&(next_hash, next), _) = self.behind.range(oldest..).next()?;
        if next_hash != hash {
            return None;
        }
        let entry = self.take(hash, next)?;
        self.first.insert(hash, next);
        Some((next, entry))
    }

    fn take(&mut self, hash: u64, place: Place) -> Option<Behind> {
        let entry = self.behind.remove(&(hash, place))?;
        if let Some(count) = self.by_lane.get_mut(&entry.lane) {
            *count -= 1;
        }
        Some(entry)
    }

    /// Whether an entry waits behind another one.
    pub(super) fn knows(&self, place: Place) -> bool {
        let hash = self.hashes.get(&place);
        hash.is_some_and(|hash| self.behind.contains_key(&(*hash, place)))
    }

    /// How many do in a lane.
    pub(super) fn of_lane(&self, lane: usize) -> usize {
        self.by_lane.get(&lane).copied().unwrap_or_default()
    }

    /// How many do.
    pub(super) fn len(&self) -> usize {
        self.behind.len()
    }
}
