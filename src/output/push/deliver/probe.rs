//! What is tried while nothing passes to a bucket.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::schedule::Place;

/// It is the smallest of so many of the oldest, and of so many of the newest, by turns: where many of the old ones
/// fail for themselves, the new ones tell.
const SMALLEST_OF: usize = 64;
const SMALLEST_OF_NEWEST: usize = 8;

/// What takes longer than this does not keep the next one from finding out as well: a large entry on a thin link
/// takes hours.
const TAKES: Duration = Duration::from_secs(60);

/// Whose turn it is to find out whether anything passes again. It may be one entry alone for which nothing passes,
/// so each has its turn.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Those that have failed since nothing passes: others come first.
    tried: BTreeSet<Place>,
    /// When the last one was taken out.
    began: Duration,
    /// Whether it is of the newest that one is tried next, and not of the oldest.
    pub(super) newest_next: bool,
}

impl Probe {
    /// One is on its way.
    pub(super) fn began(&mut self, now: Duration) {
        self.began = now;
        self.newest_next = !self.newest_next;
    }

    /// One has failed.
    pub(super) fn failed(&mut self, place: Place) {
        self.tried.insert(place);
    }

    /// One is gone.
    pub(super) fn forget(&mut self, place: Place) {
        self.tried.remove(&place);
    }

    /// Something has passed, or may pass now.
    pub(super) fn anew(&mut self) {
        self.tried.clear();
    }

    /// Whether one has not failed since nothing passes.
    pub(super) fn is_untried(&self, place: Place) -> bool {
        !self.tried.contains(&place)
    }

    /// When the next one may go, where the pause ends at `until` and so many are on their way.
    pub(super) fn not_before(&self, until: Duration, in_flight: usize) -> Duration {
        match in_flight {
            0 => until,
            _ => until.max(self.began + TAKES),
        }
    }

    /// Which of those that wait comes next: something small that was not tried, those first that never failed. `None`
    /// when each has had its turn.
    pub(super) fn choose<T>(
        &self,
        waiting: &BTreeMap<Place, u64>,
        failed: &BTreeMap<Place, T>,
    ) -> Option<Place> {
        let is_untried = |(place, _): &(&Place, &u64)| self.is_untried(**place);
        let never_failed = |(place, _): &(&Place, &u64)| !failed.contains_key(place);
        let new = waiting.iter().filter(never_failed).filter(is_untried);
        self.smallest(new)
            .or_else(|| self.smallest(waiting.iter().filter(is_untried)))
    }

    fn smallest<'a>(
        &self,
        waiting: impl DoubleEndedIterator<Item = (&'a Place, &'a u64)>,
    ) -> Option<Place> {
        let by_length = |(place, length): &(&'a Place, &'a u64)| (**length, **place);
        let smallest = match self.newest_next {
            true => waiting.rev().take(SMALLEST_OF_NEWEST).min_by_key(by_length),
            false => waiting.take(SMALLEST_OF).min_by_key(by_length),
        };
        smallest.map(|(place, _)| *place)
    }
}
