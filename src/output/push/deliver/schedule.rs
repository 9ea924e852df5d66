//! Which entry is sent when: what happens goes in, and what comes next comes out. It has no clock, no
//! network and no disk of its own, so that the tests can have weeks of bad weather pass in a second.
//!
//! Times are those since the machine was booted. Entries wait in lanes, one for each bucket: what keeps one
//! bucket from taking anything holds up no other. No failure uses an entry up; what is refused for itself is
//! given back to be set aside.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

#[cfg(test)]
#[path = "tests/simulation.rs"]
mod simulation;
#[cfg(test)]
#[path = "tests/schedule.rs"]
mod tests;

use super::lane::{Choice, Lane, Settings};
use super::pause::Pause;
use super::same_key::{Behind, SameKey};
use crate::host::random::Random;
use crate::host::refresh::FailureKind;
use crate::host::s3::FaultKind;
use crate::host::spool::EntryId;

/// An entry's place in the order: its sequence, and what it is known by.
pub type Place = (u64, EntryId);

/// The first of all ids, for the beginning of a range.
pub(super) const FIRST_ID: EntryId = EntryId([0; 16]);

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To send this entry now.
    Send(Ticket),
    /// Nothing before this time.
    At(Duration),
    /// Nothing before something happens: an entry comes, or an upload ends.
    Idle,
}

/// An entry that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Which.
    pub place: Place,
    /// Its length.
    pub length: u64,
    /// Since when.
    pub began: Duration,
    pub(super) lane: usize,
}

/// How an upload ended, or did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It is in the bucket, sent with this session.
    Delivered {
        /// The session's number.
        session: u64,
    },
    /// It is set aside for what it is.
    SetAside,
    /// It failed, sent with this session.
    Failed {
        /// What that is about.
        kind: FaultKind,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
        /// The session's number.
        session: u64,
    },
    /// There are no credentials.
    NoSession(FailureKind),
    /// It was not to go on: the upload window has closed.
    Stopped,
    /// It is not there any more.
    Gone,
    /// What is to become of it is settled, but the disk does not let that be done: it is asked for again.
    Stuck,
}

/// When what is sent.
#[derive(Debug)]
pub struct Schedule {
    random: Random,
    settings: Settings,
    lanes: Vec<Lane>,
    buckets: BTreeMap<String, usize>,
    in_flight: BTreeSet<Place>,
    same_key: SameKey,
    /// Since no session could be had.
    sessions: Option<Pause>,
    /// Until the upload window opens.
    shut_until: Option<Duration>,
    /// When failures were last forgiven because of the network, and how often since the last upload that passed.
    forgiven: Option<(Duration, u32)>,
}

/// A network that comes and goes does not have everything tried again each time: not sooner than after this,
/// and after twice as long each time that nothing has passed meanwhile.
const FORGIVE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// A network that has just come needs a moment: routes, name servers. And a fleet does not come at once.
const MOMENT: Duration = Duration::from_secs(1);
const MOMENT_SPREAD: Duration = Duration::from_secs(3);

impl Schedule {
    /// Nothing to send yet; at most `concurrency` uploads at once. `seed` tells this machine from all others.
    pub fn new(seed: u64, concurrency: usize) -> Self {
        Self {
            random: Random(seed),
            settings: Settings {
                concurrency: concurrency.max(1),
            },
            lanes: Vec::new(),
            buckets: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            same_key: SameKey::default(),
            sessions: None,
            shut_until: None,
            forgiven: None,
        }
    }

    /// An entry has come. One that is known already changes nothing. It waits for older ones with the same key; one
    /// whose key cannot be read has none.
    pub fn added(
        &mut self,
        now: Duration,
        place: Place,
        length: u64,
        bucket: &str,
        key: Option<&str>,
    ) {
        if self.knows(place) {
            return;
        }
        let lane = self.lane(bucket);
        let entry = Behind { length, lane };
        if key.is_none_or(|key| self.same_key.admit(place, bucket, key, entry)) {
            self.lanes[lane].added(now, place, length, &mut self.random);
        }
    }

    /// The lane of a bucket.
    pub(super) fn lane(&mut self, bucket: &str) -> usize {
        if let Some(lane) = self.buckets.get(bucket) {
            return *lane;
        }
        self.lanes.push(Lane::new(self.settings));
        self.buckets.insert(bucket.into(), self.lanes.len() - 1);
        self.lanes.len() - 1
    }

    /// How many entries of a lane are known, but for those that are on their way.
    pub(super) fn known_of(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(0, Lane::len) + self.same_key.of_lane(lane)
    }

    /// Whether an entry is known.
    pub fn knows(&self, place: Place) -> bool {
        self.in_flight.contains(&place)
            || self.same_key.knows(place)
            || self.lanes.iter().any(|lane| lane.knows(place))
    }

    /// The oldest entry that is known.
    pub fn oldest(&self) -> Option<Place> {
        let waiting = self.lanes.iter().filter_map(Lane::oldest);
        waiting.chain(self.in_flight.first().copied()).min()
    }

    /// How many entries are known.
    pub fn len(&self) -> usize {
        let waiting = self.lanes.iter().map(Lane::len).sum::<usize>();
        self.in_flight.len() + waiting + self.same_key.len()
    }

    /// How many of them can be sent, as far as one knows.
    pub fn can_be_sent(&self) -> usize {
        let lanes = self.lanes.iter().filter(|lane| !lane.is_paused());
        self.in_flight.len() + lanes.map(Lane::len).sum::<usize>()
    }

    /// Whether nothing passes to one of the buckets, or there are no credentials.
    pub fn is_failing(&self) -> bool {
        self.sessions.is_some() || self.lanes.iter().any(Lane::is_paused)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What to do, if nothing happens meanwhile. What is to be sent counts as on its way.
    pub fn next(&mut self, now: Duration) -> Next {
        if let Some(until) = self.shut_until {
            if now < until {
                return Next::At(until);
            }
            self.shut_until = None;
        }
        if self.in_flight.len() >= self.settings.concurrency {
            return Next::Idle;
        }
        let mut wait = None;
        let mut best: Option<(usize, Place)> = None;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            match lane.choice(now) {
                Choice::Ready(place) if best.is_none_or(|(_, other)| place < other) => {
                    best = Some((index, place));
                }
                Choice::At(at) => wait = Some(wait.map_or(at, |other: Duration| other.min(at))),
                Choice::Ready(_) | Choice::Nothing => {}
            }
        }
        let Some((index, place)) = best else {
            return wait.map_or(Next::Idle, Next::At);
        };
        if let Some(pause) = &self.sessions {
            // Whoever is on the way finds out for all.
            if !self.in_flight.is_empty() {
                return Next::Idle;
            }
            if now < pause.until {
                return Next::At(pause.until);
            }
        }
        let length = self.lanes[index].take(now, place);
        self.in_flight.insert(place);
        Next::Send(Ticket {
            place,
            length,
            began: now,
            lane: index,
        })
    }

    /// An upload has ended. What comes back is refused for itself: others pass with the sessions with which it
    /// was refused. It is to be set aside.
    pub fn ended(&mut self, now: Duration, ticket: Ticket, end: End) -> Vec<Place> {
        self.in_flight.remove(&ticket.place);
        let random = &mut self.random;
        let lane = &mut self.lanes[ticket.lane];
        lane.landed();
        if !matches!(
            end,
            End::NoSession(_) | End::Stopped | End::Gone | End::Stuck
        ) {
            self.sessions = None;
        }
        let mut poison = Vec::new();
        match end {
            End::Delivered { session } => {
                self.forgiven = self.forgiven.map(|(at, _)| (at, 0));
                poison = lane.delivered(now, &ticket, session);
            }
            End::SetAside => lane.answered(&ticket),
            End::Failed {
                kind,
                retry_after,
                session,
            } => {
                let refused = lane.failed(now, &ticket, kind, retry_after, session, random);
                poison.extend(refused);
            }
            End::NoSession(kind) => {
                lane.back(ticket.place, ticket.length);
                let pause = self.sessions.take();
                self.sessions = Some(Pause::of_session(pause, now, ticket.began, kind, random));
            }
            End::Stopped => lane.back(ticket.place, ticket.length),
            End::Gone => lane.forget(ticket.place),
            End::Stuck => lane.stuck(now, &ticket, random),
        }
        lane.settle(now, random);
        let is_gone = matches!(end, End::Delivered { .. } | End::SetAside | End::Gone);
        let gone = is_gone.then_some(ticket.place);
        for place in gone.into_iter().chain(poison.iter().copied()) {
            if let Some((next, entry)) = self.same_key.left(place) {
                self.lanes[entry.lane].added(now, next, entry.length, &mut self.random);
            }
        }
        poison
    }

    /// There is a session, or the next attempt at one may be made.
    pub fn session_changed(&mut self, now: Duration) {
        if let Some(pause) = &mut self.sessions {
            pause.until = pause.until.min(now);
        }
    }

    /// The network may have come back.
    pub fn network_changed(&mut self, now: Duration) {
        let count = match self.forgiven {
            Some((at, count)) if now < at + FORGIVE_AGAIN_AFTER * (1 << count.min(5)) => return,
            Some((_, count)) => count + 1,
            None => 0,
        };
        self.forgiven = Some((now, count));
        let soon = now + MOMENT + self.random.below(MOMENT_SPREAD);
        for lane in &mut self.lanes {
            lane.forgive(soon);
        }
        if let Some(pause) = &mut self.sessions {
            pause.forgive(soon);
        }
    }

    /// Somebody wants everything tried now, whatever failed before.
    pub fn asked(&mut self, now: Duration) {
        for lane in &mut self.lanes {
            lane.asked(now);
        }
        self.session_changed(now);
    }

    /// Nothing is begun before `until`: the upload window is closed.
    pub fn shut(&mut self, until: Duration) {
        self.shut_until = Some(until);
    }

    /// The upload window is open.
    pub fn open(&mut self) {
        self.shut_until = None;
    }

    /// Until when nothing is begun because the upload window is closed.
    pub fn shut_until(&self, now: Duration) -> Option<Duration> {
        self.shut_until.filter(|until| now < *until)
    }

    /// How many entries are on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Until when nothing is tried in a lane.
    pub(super) fn pauses_until(&self, lane: usize) -> Option<Duration> {
        self.lanes.get(lane)?.pauses_until()
    }

    /// The first time at which something that has failed is tried again; `None` while nothing fails.
    pub fn next_attempt(&self) -> Option<Duration> {
        let lanes = self.lanes.iter().filter_map(Lane::pauses_until);
        let sessions = self.sessions.as_ref().map(|pause| pause.until);
        lanes.min().into_iter().chain(sessions).max()
    }
}
