//! Entries that the schedule does not know yet.

use std::collections::{BTreeMap, BTreeSet};

use super::schedule::{Place, Schedule};

/// The schedule knows so many entries at once that can be sent, and so many of a bucket that takes nothing: entries for
/// another one are found behind them. Those of a spool that is fuller wait as what they are known by.
const KNOWN: usize = 1_000;

/// And so many of one bucket in all: those that wait behind another one with their key are more than can be sent.
const KNOWN_OF_BUCKET: usize = 20_000;

/// Where fewer can be sent than this, the schedule gets to know others.
const HUNGRY: usize = 500;

/// What waits to be known, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Nobody has looked yet for which buckets they are.
    new: BTreeSet<Place>,
    /// By their lane: those of buckets of which the schedule knew enough.
    kept: BTreeMap<usize, BTreeSet<Place>>,
}

impl Backlog {
    /// These have come.
    pub(super) fn extend(&mut self, places: impl IntoIterator<Item = Place>) {
        self.new.extend(places);
    }

    /// Takes out the oldest one that the schedule may get to know.
    pub(super) fn next(&mut self, schedule: &Schedule) -> Option<Place> {
        let (lane, place) = self.oldest(schedule)?;
        match lane.and_then(|lane| self.kept.get_mut(&lane)) {
            Some(kept) => kept.remove(&place),
            None => self.new.remove(&place),
        };
        Some(place)
    }

    /// Whether the schedule gets to know this one, which was taken out and is of that lane. Else it is kept: behind
    /// others of its bucket, which may have the same key.
    pub(super) fn admits(&mut self, schedule: &Schedule, lane: usize, place: Place) -> bool {
        let kept = self.kept.entry(lane).or_default();
        let is_first = kept.first().is_none_or(|first| place < *first);
        if is_first && has_room(schedule, lane) {
            return true;
        }
        kept.insert(place);
        false
    }

    /// Whether the schedule should get to know some soon.
    pub(super) fn is_wanted(&self, schedule: &Schedule) -> bool {
        schedule.can_be_sent() < HUNGRY && self.oldest(schedule).is_some()
    }

    fn oldest(&self, schedule: &Schedule) -> Option<(Option<usize>, Place)> {
        if schedule.can_be_sent() >= KNOWN {
            return None;
        }
        let new = self.new.first().map(|place| (None, *place));
        let kept = self.kept.iter().filter_map(|(lane, kept)| {
            let first = kept.first().filter(|_| has_room(schedule, *lane))?;
            Some((Some(*lane), *first))
        });
        kept.chain(new).min_by_key(|(_, place)| *place)
    }
}

fn has_room(schedule: &Schedule, lane: usize) -> bool {
    let most = match schedule.pauses_until(lane) {
        Some(_) => KNOWN,
        None => KNOWN_OF_BUCKET,
    };
    schedule.known_of(lane) < most
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::vec::Vec;

    use super::*;
    use crate::host::s3::FaultKind;
    use crate::host::spool::EntryId;
    use crate::output::push::deliver::{End, Next};

    const NOW: Duration = Duration::from_secs(1_000);

    fn place(number: u64) -> Place {
        (number, EntryId([0; 16]))
    }

    /// Has the schedule know what it should; which that were.
    fn feed(backlog: &mut Backlog, schedule: &mut Schedule, good: u64) -> Vec<u64> {
        let mut fed = Vec::new();
        while let Some(place) = backlog.next(schedule) {
            let bucket = match place.0 >= good {
                true => "good",
                false => "dead",
            };
            let lane = schedule.lane(bucket);
            if backlog.admits(schedule, lane, place) {
                schedule.added(NOW, place, 1, bucket, None);
                fed.push(place.0);
            }
        }
        fed
    }

    /// Sends the next one, when its time has come.
    fn send(schedule: &mut Schedule, mut now: Duration, end: End) -> u64 {
        loop {
            match schedule.next(now) {
                Next::Send(ticket) => {
                    schedule.ended(now, ticket, end);
                    return ticket.place.0;
                }
                Next::At(at) => now = at,
                Next::Idle => panic!("nothing is sent"),
            }
        }
    }

    const FAILED: End = End::Failed {
        kind: FaultKind::Place,
        retry_after: None,
        session: 1,
    };
    const DELIVERED: End = End::Delivered { session: 1 };

    #[test]
    fn a_bucket_that_takes_nothing_stops_no_other_however_much_is_for_it() {
        const DEAD: u64 = 50_000;
        let mut schedule = Schedule::new(7, 1);
        let mut backlog = Backlog::default();
        backlog.extend((1..=DEAD + 10).map(place));
        assert_eq!(feed(&mut backlog, &mut schedule, DEAD + 1).len(), KNOWN);
        assert_eq!(send(&mut schedule, NOW, FAILED), 1);
        assert!(backlog.is_wanted(&schedule));
        let fed = feed(&mut backlog, &mut schedule, DEAD + 1);
        assert_eq!(fed, (DEAD + 1..=DEAD + 10).collect::<Vec<_>>());
        assert_eq!(schedule.len(), KNOWN + 10);
        for number in DEAD + 1..=DEAD + 10 {
            assert_eq!(send(&mut schedule, NOW, DELIVERED), number);
            assert!(!backlog.is_wanted(&schedule));
        }
        // When it takes something again, all follow in their order.
        let mut sent = Vec::new();
        while sent.len() < DEAD as usize {
            sent.push(send(&mut schedule, NOW, DELIVERED));
            if backlog.is_wanted(&schedule) {
                feed(&mut backlog, &mut schedule, DEAD + 1);
            }
        }
        assert!(sent[1..].is_sorted());
        assert!(schedule.is_empty() && schedule.next(NOW) == Next::Idle);
    }

    #[test]
    fn what_waits_behind_its_key_is_bounded() {
        let mut schedule = Schedule::new(7, 1);
        let mut backlog = Backlog::default();
        backlog.extend((1..=30_000).map(place));
        let lane = schedule.lane("bucket");
        while let Some(place) = backlog.next(&schedule) {
            if backlog.admits(&schedule, lane, place) {
                schedule.added(NOW, place, 1, "bucket", Some("key"));
            }
        }
        assert_eq!(schedule.len(), KNOWN_OF_BUCKET);
        for number in 1..=30_000 {
            assert_eq!(send(&mut schedule, NOW, DELIVERED), number);
            if let Some(place) = backlog.next(&schedule) {
                assert!(backlog.admits(&schedule, lane, place));
                schedule.added(NOW, place, 1, "bucket", Some("key"));
            }
        }
        assert!(schedule.is_empty());
    }
}
