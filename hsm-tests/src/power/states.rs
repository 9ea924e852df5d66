//! What a disk may hold after a power loss.
//!
//! What was synced is there. Of everything else each change may be there or not, whatever came before or
//! after it: a file system promises no order between names, and none between a name and the bytes of its
//! file. A write may be there in part, or as zeros. One rename is there as a whole or not at all, and is
//! safe when the folder of the new name was synced. Journaling file systems promise more than that; what
//! holds here holds on each of them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::tree::{Change, Number, Tree};
use crate::chance::Chance;

/// Of so many changes that a power loss may take, every combination is tried. Older ones go all together
/// or by chance.
const COMBINED: usize = 5;

/// Makes the states of all moments of a log.
pub struct States<'a> {
    /// Everything without names and bytes.
    blank: Tree,
    log: &'a [Change],
    /// The position of the sync that makes a change safe.
    safe_from: Vec<usize>,
    chance: Chance,
    seen: HashSet<u64>,
}

/// A disk after a power loss.
pub struct State {
    pub tree: Tree,
    /// How many changes of the log had been made. What was noted among them, was promised.
    pub moment: usize,
    /// The positions of those that were lost.
    pub lost: Vec<usize>,
}

/// What becomes of one change.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Kept,
    Lost,
    /// The first half of its bytes.
    Half,
    /// Zeros in place of its bytes.
    Zeros,
}

impl<'a> States<'a> {
    /// Of what a disk has recorded.
    pub fn new(last: &Tree, log: &'a [Change], chance: Chance) -> Self {
        // From the end to the start: the first sync after each change.
        let mut syncs: BTreeMap<Number, usize> = BTreeMap::new();
        let mut safe_from = vec![usize::MAX; log.len()];
        for (position, change) in log.iter().enumerate().rev() {
            let needs = match change {
                Change::Link(place, _) | Change::Unlink(place) | Change::Rename(_, place, _) => {
                    place.folder
                }
                Change::Write(file, ..)
                | Change::Resize(file, _)
                | Change::Attributes(file, ..) => *file,
                Change::Sync(number) => {
                    syncs.insert(*number, position);
                    continue;
                }
                Change::Note(_) => continue,
            };
            safe_from[position] = syncs.get(&needs).copied().unwrap_or(usize::MAX);
        }
        Self {
            blank: last.blank(),
            log,
            safe_from,
            chance,
            seen: HashSet::new(),
        }
    }

    /// Those of the moment after so many changes that no earlier moment had.
    pub fn at(&mut self, moment: usize) -> Vec<State> {
        let unsafe_ones: Vec<usize> = (0..moment)
            .filter(|&position| {
                self.safe_from[position] >= moment
                    && !matches!(self.log[position], Change::Sync(_) | Change::Note(_))
            })
            .collect();
        let recent = unsafe_ones.len().saturating_sub(COMBINED);
        let (older, recent) = unsafe_ones.split_at(recent);
        let mut states = Vec::new();
        for combination in 0..1_u32 << recent.len() {
            let fates = recent.iter().enumerate().map(|(bit, &position)| {
                let is_kept = combination >> bit & 1 == 1;
                (position, if is_kept { Fate::Kept } else { Fate::Lost })
            });
            let fates: Vec<_> = fates.collect();
            let all = |fate| older.iter().map(move |&position| (position, fate));
            self.push(moment, all(Fate::Kept).chain(fates.clone()), &mut states);
            if older.is_empty() {
                continue;
            }
            self.push(moment, all(Fate::Lost).chain(fates.clone()), &mut states);
            let by_chance: Vec<_> = older
                .iter()
                .map(|&position| (position, self.fate()))
                .collect();
            self.push(moment, by_chance.into_iter().chain(fates), &mut states);
        }
        // One write in part, beside all of the others or none.
        for &torn in recent {
            if !matches!(self.log[torn], Change::Write(..)) {
                continue;
            }
            for (others, fate) in [
                (Fate::Kept, Fate::Half),
                (Fate::Kept, Fate::Zeros),
                (Fate::Lost, Fate::Half),
            ] {
                let fates = unsafe_ones
                    .iter()
                    .map(|&position| (position, if position == torn { fate } else { others }));
                self.push(moment, fates.collect::<Vec<_>>(), &mut states);
            }
        }
        states
    }

    fn fate(&mut self) -> Fate {
        if self.chance.below(2) == 0 {
            Fate::Kept
        } else {
            Fate::Lost
        }
    }

    fn push(
        &mut self,
        moment: usize,
        fates: impl IntoIterator<Item = (usize, Fate)>,
        states: &mut Vec<State>,
    ) {
        let fates: BTreeMap<usize, Fate> = fates.into_iter().collect();
        let mut tree = self.blank.clone();
        for (position, change) in self.log[..moment].iter().enumerate() {
            match (fates.get(&position), change) {
                (None | Some(Fate::Kept), change) => tree.apply(change),
                (Some(Fate::Lost), _) => {}
                (Some(Fate::Half), Change::Write(file, offset, bytes)) => {
                    let half = Arc::from(&bytes[..bytes.len() / 2]);
                    tree.apply(&Change::Write(*file, *offset, half));
                }
                (Some(_), Change::Write(file, offset, bytes)) => {
                    let zeros = Arc::from(vec![0; bytes.len()]);
                    tree.apply(&Change::Write(*file, *offset, zeros));
                }
                (Some(_), _) => {}
            }
        }
        // What was promised by this moment is part of what is to be looked at.
        let notes = self.log[..moment].iter();
        let notes = notes.filter(|change| matches!(change, Change::Note(_)));
        if self
            .seen
            .insert(tree.fingerprint() ^ (notes.count() as u64) << 48)
        {
            let lost = fates.into_iter().filter(|(_, fate)| *fate != Fate::Kept);
            states.push(State {
                tree,
                moment,
                lost: lost.map(|(position, _)| position).collect(),
            });
        }
    }
}
