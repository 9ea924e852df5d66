//! Weeks on a hub, in simulated time: data comes, and the weather is what it is.

use core::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::{println, vec};

use super::super::pause::LONGEST_DELAY;
use super::*;

const SECOND: Duration = Duration::from_secs(1);

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// What befalls requests in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    Fair,
    /// No network, not even for sessions.
    Offline,
    /// S3 is down, or too busy, or refuses.
    Fault(FaultKind),
}

/// What is wrong with an entry for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    Good,
    /// With a kind that says so only where others pass.
    Refused(FaultKind),
    Bad,
    /// It fails each time, as if it were the service.
    Failing(FaultKind),
}

/// A hub, and all that is around it.
struct Hub {
    schedule: Schedule,
    now: Duration,
    /// Each from then on.
    weather: Vec<(Duration, Weather)>,
    /// Whether somebody says so when the network changes.
    tells: bool,
    session: Option<(u64, Duration)>,
    sessions: u64,
    flying: BinaryHeap<Reverse<(Duration, u64)>>,
    tickets: HashMap<u64, (Ticket, End)>,
    natures: HashMap<Place, Nature>,
    accepted: HashMap<Place, Duration>,
    delivered: Vec<(Place, Duration)>,
    aside: Vec<Place>,
    /// Whether each passed.
    requests: Vec<bool>,
}

impl Hub {
    fn new(weather: Vec<(Duration, Weather)>, tells: bool) -> Self {
        Self {
            schedule: Schedule::new(11, 4),
            now: Duration::ZERO,
            weather,
            tells,
            session: None,
            sessions: 0,
            flying: BinaryHeap::new(),
            tickets: HashMap::new(),
            natures: HashMap::new(),
            accepted: HashMap::new(),
            delivered: vec![],
            aside: vec![],
            requests: vec![],
        }
    }

    fn add(&mut self, nature: Nature, length: u64) {
        let number = self.natures.len() as u64 + 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let place = (number, EntryId(id));
        self.natures.insert(place, nature);
        self.accepted.insert(place, self.now);
        self.schedule.added(self.now, place, length, "bucket", None);
    }

    fn weather_at(&self, time: Duration) -> Weather {
        let begun = self.weather.iter().rev().find(|(from, _)| *from <= time);
        begun.map_or(Weather::Fair, |(_, weather)| *weather)
    }

    /// What comes of sending, and after how long.
    fn send(&mut self, ticket: &Ticket) -> (Duration, End) {
        let weather = self.weather_at(self.now);
        if weather == Weather::Offline {
            return (10 * SECOND, End::NoSession(FailureKind::Temporary));
        }
        let session = match self.session {
            Some((number, ends)) if self.now + 120 * SECOND < ends => number,
            _ => {
                self.sessions += 1;
                self.session = Some((self.sessions, self.now + hours(1) / 2));
                self.sessions
            }
        };
        let took = SECOND + Duration::from_secs(ticket.length / 100_000);
        let failed = |kind| End::Failed {
            kind,
            retry_after: None,
            session,
        };
        let end = match (weather, self.natures[&ticket.place]) {
            (Weather::Fault(kind), _) => failed(kind),
            _ if self.weather_at(self.now + took) == Weather::Offline => failed(FaultKind::Network),
            (_, Nature::Good) => End::Delivered { session },
            (_, Nature::Refused(kind)) => failed(kind),
            (_, Nature::Bad) => End::SetAside,
            (_, Nature::Failing(kind)) => failed(kind),
        };
        self.requests.push(matches!(end, End::Delivered { .. }));
        (took, end)
    }

    /// Lets time pass until then.
    fn run(&mut self, until: Duration) {
        loop {
            let mut at = until;
            match self.schedule.next(self.now) {
                Next::Send(ticket) => {
                    let (took, end) = self.send(&ticket);
                    let number = ticket.place.0;
                    self.flying.push(Reverse((self.now + took, number)));
                    self.tickets.insert(number, (ticket, end));
                    continue;
                }
                Next::At(next) => at = at.min(next),
                Next::Idle => {}
            }
            let mut changes = self.weather.iter().map(|(from, _)| *from);
            at = changes
                .find(|from| *from > self.now)
                .map_or(at, |next| at.min(next));
            if let Some(Reverse((lands, number))) = self.flying.peek().copied()
                && lands <= at
            {
                self.flying.pop();
                self.now = lands;
                self.land(number);
                continue;
            }
            let before = self.weather_at(self.now);
            self.now = at;
            if self.tells && before != self.weather_at(at) {
                self.schedule.network_changed(at);
            }
            if at == until {
                return;
            }
        }
    }

    fn land(&mut self, number: u64) {
        let (ticket, end) = self.tickets.remove(&number).unwrap();
        match end {
            End::Delivered { .. } => self.delivered.push((ticket.place, self.now)),
            End::SetAside => self.aside.push(ticket.place),
            _ => {}
        }
        let poison = self.schedule.ended(self.now, ticket, end);
        self.aside.extend(poison);
    }

    /// Everything is where it belongs, once and no more.
    fn check(&self) {
        let mut delivered: Vec<_> = self.delivered.iter().map(|(place, _)| *place).collect();
        delivered.sort();
        let is_good = |place: &Place| self.natures[place] == Nature::Good;
        let mut good: Vec<_> = self.natures.keys().copied().filter(is_good).collect();
        good.sort();
        assert_eq!(delivered, good);
        assert!(!self.aside.iter().any(is_good));
    }

    /// The longest that an entry waited which was accepted from then on.
    fn longest_since(&self, from: Duration) -> Duration {
        let delivered = self.delivered.iter();
        let waits = delivered.filter_map(|(place, at)| {
            let accepted = self.accepted[place];
            (accepted >= from).then(|| *at - accepted)
        });
        waits.max().unwrap_or_default()
    }
}

/// Two weeks: a file each ten minutes, and weather that changes every few hours.
fn two_weeks(seed: u64, tells: bool) -> Hub {
    let mut random = Random(seed);
    let mut roll = move |below| random.below(Duration::from_secs(below)).as_secs();
    let mut weather = vec![];
    let mut at = Duration::ZERO;
    while at < hours(14 * 24 - 8) {
        at += Duration::from_secs(600 + roll(6 * 3600));
        let next = match roll(11) {
            0..=2 => Weather::Offline,
            3 => Weather::Fault(FaultKind::Server),
            4 => Weather::Fault(FaultKind::Throttled),
            5 => Weather::Fault(FaultKind::Credentials),
            6 => Weather::Fault(FaultKind::Refused),
            7 => Weather::Fault(FaultKind::Clock),
            8 => Weather::Fault(FaultKind::Unclear),
            _ => Weather::Fair,
        };
        weather.push((at, next));
    }
    weather.push((at + hours(1), Weather::Fair));
    let mut hub = Hub::new(weather, tells);
    while hub.now < hours(14 * 24) {
        let nature = match roll(50) {
            0 => Nature::Refused(FaultKind::Refused),
            1 => Nature::Bad,
            2 => Nature::Refused(FaultKind::Unclear),
            _ => Nature::Good,
        };
        hub.add(nature, 100 + roll(1_000_000));
        hub.run(hub.now + Duration::from_secs(roll(1200)));
    }
    hub.run(hours(15 * 24));
    hub
}

#[test]
fn everything_arrives_and_nothing_good_is_set_aside() {
    for seed in 0..20 {
        let hub = two_weeks(seed, seed % 2 == 0);
        hub.check();
        let failed = hub.requests.iter().filter(|passed| !**passed).count();
        let entries = hub.natures.len();
        println!(
            "{entries} entries, {} aside, {failed} of {} requests failed, {} sessions; the longest wait was {:?}",
            hub.aside.len(),
            hub.requests.len(),
            hub.sessions,
            hub.longest_since(Duration::ZERO),
        );
        // All the others are set aside, except for those after which nothing came.
        assert!(hub.schedule.len() <= 2, "{} are left", hub.schedule.len());
        assert!(failed < entries * 2, "{failed} failed");
    }
}

#[test]
fn a_week_offline_costs_little_and_ends_at_once() {
    let (begin, end) = (hours(1), hours(1 + 7 * 24));
    for (tells, patience) in [(true, 10 * SECOND), (false, LONGEST_DELAY + 10 * SECOND)] {
        let weather = vec![(begin, Weather::Offline), (end, Weather::Fair)];
        let mut hub = Hub::new(weather, tells);
        while hub.natures.len() < 2000 {
            hub.add(Nature::Good, 1000);
            hub.run(hub.now + 300 * SECOND);
        }
        hub.run(end);
        let before = hub.delivered.len();
        assert!(hub.schedule.len() > 1900, "{}", hub.schedule.len());
        assert!(hub.sessions < 3, "{}", hub.sessions);
        // Four at once, a second each.
        hub.run(end + patience + 500 * SECOND);
        hub.check();
        // Oldest first.
        let order: Vec<_> = hub.delivered[before..]
            .iter()
            .map(|(place, _)| place.0)
            .collect();
        assert!(order.windows(2).all(|pair| pair[0] < pair[1] + 4));
    }
}

#[test]
fn whoever_has_nothing_to_send_asks_for_nothing() {
    let mut hub = Hub::new(vec![], true);
    hub.run(hours(24));
    hub.add(Nature::Good, 1000);
    hub.run(hours(48));
    hub.check();
    assert_eq!((hub.requests.len(), hub.sessions), (1, 1));

    // One that is refused for itself, and is alone, is all that is asked about.
    hub.add(Nature::Refused(FaultKind::Refused), 1000);
    hub.run(hours(72));
    let asked = hub.requests.len();
    assert!((90..220).contains(&asked), "{asked} in a day");
    // Two others have to pass before it is known for what it is.
    for hour in [73, 74] {
        hub.add(Nature::Good, 1000);
        hub.run(hours(hour));
    }
    hub.check();
    assert_eq!(hub.aside.len(), 1);
    assert!(hub.schedule.is_empty());
}

#[test]
fn a_policy_that_is_wrong_for_a_day_sets_nothing_aside() {
    for kind in [FaultKind::Refused, FaultKind::Unclear] {
        let weather = vec![(hours(1), Weather::Fault(kind)), (hours(25), Weather::Fair)];
        let mut hub = Hub::new(weather, false);
        while hub.natures.len() < 1800 {
            hub.add(Nature::Good, 1000);
            hub.run(hub.now + 60 * SECOND);
        }
        hub.run(hours(40));
        hub.check();
        assert!(hub.aside.is_empty());
        assert!(hub.longest_since(hours(27)) < 60 * SECOND);
    }
}

/// What fails each time, as far as only time tells whether it is for itself.
const FAILING: [FaultKind; 6] = [
    FaultKind::Network,
    FaultKind::Server,
    FaultKind::Throttled,
    FaultKind::Credentials,
    FaultKind::Clock,
    FaultKind::Place,
];

#[test]
fn one_that_always_fails_holds_up_nobody() {
    for kind in FAILING {
        for weather in [Weather::Fair, Weather::Fault(FaultKind::Server)] {
            // The oldest and smallest, alone or before others.
            let weather = vec![(Duration::ZERO, weather), (SECOND * 20, Weather::Fair)];
            let mut hub = Hub::new(weather, false);
            hub.add(Nature::Failing(kind), 2);
            hub.run(10 * SECOND);
            for _ in 0..5 {
                hub.add(Nature::Good, 1000);
            }
            hub.run(hours(1));
            hub.check();
            let longest = hub.longest_since(Duration::ZERO);
            assert!(longest < 60 * SECOND, "{kind:?}: {longest:?}");
            assert!(hub.aside.is_empty());
            assert_eq!(hub.schedule.len(), 1);
        }
    }
}

#[test]
fn a_hundred_that_always_fail_hold_up_nobody_for_long() {
    for kind in FAILING {
        let mut hub = Hub::new(vec![], false);
        for _ in 0..100 {
            hub.add(Nature::Failing(kind), 2);
        }
        hub.run(hours(1));
        while hub.now < hours(7) {
            hub.add(Nature::Good, 1000);
            hub.run(hub.now + 60 * SECOND);
        }
        hub.run(hours(8));
        hub.check();
        println!("{kind:?}: {:?}", hub.longest_since(Duration::ZERO));
        assert!(hub.longest_since(hours(6)) < 60 * SECOND, "{kind:?}");
        assert_eq!(hub.schedule.len(), 100);
    }
}

#[test]
fn what_is_wrong_with_many_for_themselves_holds_up_nobody_and_is_set_aside() {
    for kind in [FaultKind::Refused, FaultKind::Unclear] {
        let mut hub = Hub::new(vec![], false);
        for _ in 0..50 {
            hub.add(Nature::Refused(kind), 2);
        }
        hub.run(hours(1));
        while hub.now < hours(4) {
            hub.add(Nature::Good, 1000);
            hub.run(hub.now + 60 * SECOND);
        }
        hub.run(hours(5));
        hub.check();
        assert!(hub.longest_since(hours(1)) < 60 * SECOND, "{kind:?}");
        assert_eq!((hub.aside.len(), hub.schedule.len()), (50, 0), "{kind:?}");
        // No other session was made for them.
        assert!(hub.sessions < 12, "{}", hub.sessions);
    }
}
