//! The entries for one bucket.

use core::mem;
use core::time::Duration;
use std::collections::BTreeMap;
use std::vec::Vec;

use super::pause::Pause;
use super::probe::Probe;
use super::schedule::{Place, Ticket};
use crate::host::random::Random;
use crate::host::s3::FaultKind;

/// So many entries in a row are refused before it is taken for a matter of the session, and not of the
/// entries.
const REFUSED_IN_A_ROW: u32 = 8;

/// After so many failures while others pass an entry waits for itself.
const FAILED_ALONE: u32 = 3;

/// An entry is refused for itself if that happens so often, each time with a session with which another one
/// passes afterwards, or has passed before. Once is not enough: the policy may have been mended in between, or
/// broken.
const REFUSED_ALONE: u32 = 2;

/// And not sooner than after this: a policy that was changed does not hold everywhere at once.
const SURE_AFTER: Duration = Duration::from_secs(120);

/// An entry that comes while everything is refused may be one that is not: it is tried, but not more often
/// than this.
const TRY_NEW_AFTER: Duration = Duration::from_secs(10);

/// What holds for all lanes.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// At most so many uploads at once.
    pub concurrency: usize,
}

/// What a lane would send next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Ready(Place),
    /// Nothing before this time.
    At(Duration),
    /// Nothing.
    Nothing,
}

/// The entries for one bucket.
#[derive(Debug)]
pub struct Lane {
    settings: Settings,
    waiting: BTreeMap<Place, u64>,
    /// Those that were refused: with which session, and when that was known.
    refused: BTreeMap<Place, Refusal>,
    /// Those that wait for themselves, until when.
    held: BTreeMap<Place, (Duration, u64)>,
    /// Those that have failed and neither passed nor been set aside.
    troubles: BTreeMap<Place, Trouble>,
    /// Since nothing passes.
    pause: Option<Pause>,
    /// Whose turn it is to find out whether anything passes.
    probe: Probe,
    /// Whether that is because entries are refused.
    is_refusing: bool,
    in_flight: usize,
    /// So many uploads at once are taken without throttling.
    allowed: usize,
    /// Entries that were refused since the last one passed.
    refusals: u32,
    passed: u64,
    /// The session with which the last one passed.
    passed_with: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Refusal {
    length: u64,
    session: u64,
    at: Duration,
}

#[derive(Debug, Clone, Copy, Default)]
struct Trouble {
    failures: u32,
    /// How many had passed before.
    passed: u64,
    pause: Option<Pause>,
    /// How often it was refused with a session with which another one passed afterwards.
    refused_before: u32,
    /// With how many sessions it was refused with which another one had passed before, and the last of them.
    refused_after: (u32, u64),
}

impl Lane {
    /// An empty one.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            waiting: BTreeMap::new(),
            refused: BTreeMap::new(),
            held: BTreeMap::new(),
            troubles: BTreeMap::new(),
            pause: None,
            probe: Probe::default(),
            is_refusing: false,
            in_flight: 0,
            allowed: settings.concurrency,
            refusals: 0,
            passed: 0,
            passed_with: None,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.refused.len() + self.held.len()
    }

    /// The oldest that waits.
    pub fn oldest(&self) -> Option<Place> {
        let waiting = self.waiting.keys().next();
        let refused = self.refused.keys().next();
        let held = self.held.keys().next();
        [waiting, refused, held]
            .into_iter()
            .flatten()
            .min()
            .copied()
    }

    /// Whether an entry waits here.
    pub fn knows(&self, place: Place) -> bool {
        self.waiting.contains_key(&place)
            || self.refused.contains_key(&place)
            || self.held.contains_key(&place)
    }

    /// An entry has come.
    pub fn added(&mut self, now: Duration, place: Place, length: u64, random: &mut Random) {
        if self.knows(place) {
            return;
        }
        self.waiting.insert(place, length);
        if let Some(pause) = &mut self.pause
            && self.is_refusing
        {
            let soon = now + TRY_NEW_AFTER / 2 + random.below(TRY_NEW_AFTER / 2);
            pause.until = pause.until.min(soon);
            self.probe.newest_next = true;
        }
    }

    /// What it would send next.
    pub fn choice(&mut self, now: Duration) -> Choice {
        let held = self.release(now);
        let or_held = |choice| match (choice, held) {
            (Choice::At(at), Some(held)) => Choice::At(at.min(held)),
            (Choice::Nothing, Some(held)) => Choice::At(held),
            _ => choice,
        };
        let Some(pause) = &self.pause else {
            return match self.waiting.first_key_value() {
                Some((place, _)) if self.in_flight < self.allowed => Choice::Ready(*place),
                Some(_) => Choice::Nothing,
                None => or_held(Choice::Nothing),
            };
        };
        // One at a time finds out whether anything passes again.
        let at = self.probe.not_before(pause.until, self.in_flight);
        match self.next_probe() {
            Some(_) if self.in_flight >= self.allowed => Choice::Nothing,
            Some(_) if now < at => or_held(Choice::At(at)),
            Some(place) => Choice::Ready(place),
            None => or_held(Choice::Nothing),
        }
    }

    /// Lets those go whose time has come; gives the next one's.
    fn release(&mut self, now: Duration) -> Option<Duration> {
        let mut next = None;
        let waiting = &mut self.waiting;
        self.held.retain(|place, (until, length)| {
            if *until <= now {
                waiting.insert(*place, *length);
                return false;
            }
            next = Some(next.map_or(*until, |next: Duration| next.min(*until)));
            true
        });
        next
    }

    /// What is tried while nothing passes. While entries are refused, the oldest and the newest by turns. Those that were
    /// refused already come last.
    fn next_probe(&mut self) -> Option<Place> {
        if self.is_refusing {
            let refused = self.refused_first(|_| true);
            let next = match self.probe.newest_next {
                true => self.waiting.last_key_value(),
                false => self.waiting.first_key_value(),
            };
            return next.map(|(place, _)| *place).or(refused);
        }
        self.untried().or_else(|| {
            self.probe.anew();
            self.untried()
        })
    }

    /// Whose turn it is of those that have not had it since nothing passes.
    fn untried(&self) -> Option<Place> {
        let waiting = self.probe.choose(&self.waiting, &self.troubles);
        waiting.or_else(|| self.refused_first(|place| self.probe.is_untried(place)))
    }

    /// Of those that were refused the one for which that is longest ago.
    fn refused_first(&self, is_one: impl Fn(Place) -> bool) -> Option<Place> {
        let refused = self.refused.iter().filter(|(place, _)| is_one(**place));
        let first = refused.min_by_key(|(_, refusal)| refusal.at);
        first.map(|(place, _)| *place)
    }

    /// Takes an entry out: it is on its way. Gives its length.
    pub fn take(&mut self, now: Duration, place: Place) -> u64 {
        self.in_flight += 1;
        self.probe.began(now);
        let refused = || self.refused.get(&place).map(|refusal| refusal.length);
        let length = self.waiting.get(&place).copied().or_else(refused);
        self.waiting.remove(&place);
        self.refused.remove(&place);
        length.unwrap_or_default()
    }

    /// It is not on its way any more.
    pub fn landed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// It waits again.
    pub fn back(&mut self, place: Place, length: u64) {
        self.waiting.insert(place, length);
    }

    /// It is done, or gone.
    pub fn forget(&mut self, place: Place) {
        self.troubles.remove(&place);
        self.probe.forget(place);
    }

    /// It was taken. Gives those that are refused for themselves.
    pub fn delivered(&mut self, now: Duration, ticket: &Ticket, session: u64) -> Vec<Place> {
        self.forget(ticket.place);
        self.passed += 1;
        self.passed_with = Some(session);
        self.refusals = 0;
        self.resume();
        self.allowed = (self.allowed + 1).min(self.settings.concurrency);
        // Those with another session nobody has compared with.
        let session_is_good = |refusal: &Refusal| refusal.session == session;
        let is_before = |refusal: &Refusal| refusal.at <= ticket.began;
        let mut poison = Vec::new();
        for (place, refusal) in mem::take(&mut self.refused) {
            if !session_is_good(&refusal) {
                self.waiting.insert(place, refusal.length);
                continue;
            }
            if !is_before(&refusal) {
                self.refused.insert(place, refusal);
                continue;
            }
            let trouble = self.troubles.entry(place).or_default();
            trouble.refused_before += 1;
            if trouble.refused_before >= REFUSED_ALONE {
                self.troubles.remove(&place);
                poison.push(place);
            } else {
                self.held.insert(place, (now + SURE_AFTER, refusal.length));
            }
        }
        poison
    }

    /// The service has said something about this entry alone: it is reached.
    pub fn answered(&mut self, ticket: &Ticket) {
        self.forget(ticket.place);
        if !self.is_refusing {
            self.resume();
        }
    }

    fn resume(&mut self) {
        self.pause = None;
        self.is_refusing = false;
        self.probe.anew();
    }

    /// It was not taken. Gives it back if it is refused for itself.
    pub fn failed(
        &mut self,
        now: Duration,
        ticket: &Ticket,
        kind: FaultKind,
        retry_after: Option<Duration>,
        session: u64,
        random: &mut Random,
    ) -> Option<Place> {
        let Ticket { place, length, .. } = *ticket;
        let pause = |before, random: &mut _| {
            Pause::of_upload(before, now, ticket.began, kind, retry_after, random)
        };
        match kind {
            FaultKind::Refused | FaultKind::Unclear => {
                self.refusals = self.refusals.saturating_add(1);
                if self.is_refused_for_itself(place, session) {
                    self.forget(place);
                    return Some(place);
                }
                let refusal = Refusal {
                    length,
                    session,
                    at: now,
                };
                self.refused.insert(place, refusal);
                self.probe.failed(place);
                if self.is_refusing || self.refusals >= REFUSED_IN_A_ROW {
                    self.pause = Some(pause(self.pause.filter(|_| self.is_refusing), random));
                    self.is_refusing = true;
                } else if self.pause.is_some() && self.untried().is_none() {
                    // All have had their turn.
                    self.pause = Some(pause(self.pause, random));
                }
                return None;
            }
            FaultKind::Restart | FaultKind::Object | FaultKind::Exists | FaultKind::Content => {
                self.hold(place, length, pause, random);
                return None;
            }
            FaultKind::Network
            | FaultKind::Server
            | FaultKind::Throttled
            | FaultKind::Credentials
            | FaultKind::Clock
            | FaultKind::Place => {
                let passed = self.passed;
                let trouble = self.troubles.entry(place).or_insert(Trouble {
                    passed,
                    ..Trouble::default()
                });
                trouble.failures = trouble.failures.saturating_add(1);
                // A large entry on a thin link, a key that a server cannot store: the rest goes on.
                if trouble.failures >= FAILED_ALONE && passed > trouble.passed {
                    self.hold(place, length, pause, random);
                    return None;
                }
            }
        }
        if kind == FaultKind::Throttled {
            self.allowed = (self.allowed / 2).max(1);
        }
        self.pause = Some(pause(self.pause.filter(|_| !self.is_refusing), random));
        self.is_refusing = false;
        self.probe.failed(place);
        self.back(place, length);
        None
    }

    /// Whether it was refused with several sessions with each of which another one had passed before.
    fn is_refused_for_itself(&mut self, place: Place, session: u64) -> bool {
        if self.passed_with != Some(session) {
            return false;
        }
        let trouble = self.troubles.entry(place).or_default();
        let (count, last) = trouble.refused_after;
        if count == 0 || last != session {
            trouble.refused_after = (count + 1, session);
        }
        trouble.refused_after.0 >= REFUSED_ALONE
    }

    fn hold(
        &mut self,
        place: Place,
        length: u64,
        pause: impl Fn(Option<Pause>, &mut Random) -> Pause,
        random: &mut Random,
    ) {
        let trouble = self.troubles.entry(place).or_insert(Trouble {
            failures: 1,
            passed: self.passed,
            ..Trouble::default()
        });
        let pause = pause(trouble.pause, random);
        trouble.pause = Some(pause);
        self.held.insert(place, (pause.until, length));
    }

    /// The disk does not let be done what is to become of it.
    pub fn stuck(&mut self, now: Duration, ticket: &Ticket, random: &mut Random) {
        let pause = |before, random: &mut _| {
            Pause::of_upload(before, now, ticket.began, FaultKind::Content, None, random)
        };
        self.hold(ticket.place, ticket.length, pause, random);
    }

    /// Where there are only entries that were refused, they are tried again later.
    pub fn settle(&mut self, now: Duration, random: &mut Random) {
        if self.pause.is_none() && self.waiting.is_empty() && !self.refused.is_empty() {
            let kind = FaultKind::Refused;
            self.pause = Some(Pause::of_upload(None, now, now, kind, None, random));
            self.is_refusing = true;
        }
    }

    /// The network may have come back. Something small finds that out.
    pub fn forgive(&mut self, soon: Duration) {
        self.probe.anew();
        if let Some(pause) = &mut self.pause {
            pause.forgive(soon);
        }
        for (until, _) in self.held.values_mut() {
            *until = soon.min(*until);
        }
    }

    /// Everything is tried now.
    pub fn asked(&mut self, now: Duration) {
        if let Some(pause) = &mut self.pause {
            pause.until = pause.until.min(now);
        }
        for (until, _) in self.held.values_mut() {
            *until = now.min(*until);
        }
    }

    /// Whether nothing passes.
    pub fn is_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Until when nothing is tried.
    pub fn pauses_until(&self) -> Option<Duration> {
        self.pause.map(|pause| pause.until)
    }
}
