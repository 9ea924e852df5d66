//! A fleet and a service in simulated time: ten thousand schedules, and a quota that they share.

use core::cmp::Reverse;
use std::collections::BinaryHeap;
use std::vec::Vec;
use std::{println, vec};

use super::*;

const HUBS: usize = 10_000;

/// `CreateSession` a second that the service takes.
const QUOTA: u32 = 10;

/// The service: a token bucket for all.
struct Service {
    tokens: f64,
    counted: Duration,
    /// How far below nothing those that are refused bring it: not at all, if they are not counted.
    debt: f64,
    /// Until when it does not answer at all.
    out_until: Duration,
    in_flight: usize,
    requests: u64,
    throttled: u64,
    granted: Vec<Duration>,
}

const BURST: f64 = 10.0;

impl Service {
    fn new(debt: f64, out_until: Duration) -> Self {
        Self {
            tokens: BURST,
            counted: Duration::ZERO,
            debt,
            out_until,
            in_flight: 0,
            requests: 0,
            throttled: 0,
            granted: Vec::new(),
        }
    }

    /// What comes of a request, and how long that takes.
    fn request(&mut self, now: Duration) -> (Result<(), FailureKind>, Duration) {
        if now < self.out_until {
            return (Err(FailureKind::Temporary), Duration::from_secs(20));
        }
        let passed = (now - self.counted).as_secs_f64();
        self.tokens = (self.tokens + passed * f64::from(QUOTA)).min(BURST);
        self.counted = now;
        self.requests += 1;
        let latency = match self.in_flight {
            0..10 => Duration::from_millis(200),
            _ => Duration::from_secs(5),
        };
        if self.tokens < 1.0 {
            self.tokens = (self.tokens - 1.0).max(-self.debt).min(self.tokens);
            self.throttled += 1;
            return (Err(FailureKind::Throttled), latency);
        }
        self.tokens -= 1.0;
        self.granted.push(now);
        (Ok(()), latency)
    }

    /// The most that it granted within a minute after `from`, for a second.
    fn busiest_minute(&self, from: Duration) -> f64 {
        let granted: Vec<_> = self.granted.iter().filter(|&&at| at >= from).collect();
        let mut first = 0;
        let mut most = 0;
        for (last, &&at) in granted.iter().enumerate() {
            while *granted[first] + minutes(1) < at {
                first += 1;
            }
            most = most.max(last - first + 1);
        }
        most as f64 / 60.0
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Look,
    Granted,
    Failed(u8),
}

struct Hub {
    schedule: Schedule,
    in_use: bool,
    in_flight: bool,
    expires: Duration,
    /// The looks before this one are overtaken.
    look: Duration,
}

/// A fleet, and what it went through.
struct Fleet {
    hubs: Vec<Hub>,
    service: Service,
    session: Duration,
    queue: BinaryHeap<Reverse<(Duration, usize, What)>>,
    back: Vec<Option<Duration>>,
    /// How often credentials expired before there were new ones, after the first.
    lapsed: usize,
}

impl Fleet {
    /// The first `in_use` hubs have callers, who come within `arrival`.
    fn new(in_use: usize, session: Duration, service: Service, arrival: Duration) -> Self {
        let hub = |index| Hub {
            schedule: Schedule::new(index as u64, Duration::ZERO),
            in_use: index < in_use,
            in_flight: false,
            expires: Duration::ZERO,
            look: Duration::ZERO,
        };
        let mut fleet = Self {
            hubs: (0..HUBS).map(hub).collect(),
            service,
            session,
            queue: BinaryHeap::new(),
            back: vec![None; HUBS],
            lapsed: 0,
        };
        for index in 0..HUBS {
            let at = match index < in_use {
                true => arrival.mul_f64(index as f64 / in_use as f64),
                false => Duration::ZERO,
            };
            fleet.look_at(at, index);
        }
        fleet
    }

    fn look_at(&mut self, at: Duration, index: usize) {
        self.hubs[index].look = at;
        self.queue.push(Reverse((at, index, What::Look)));
    }

    fn run(&mut self, until: Duration) {
        while let Some(Reverse((now, index, what))) = self.queue.pop() {
            if now > until {
                self.queue.push(Reverse((now, index, what)));
                break;
            }
            self.step(now, index, what);
        }
    }

    fn step(&mut self, now: Duration, index: usize, what: What) {
        let hub = &mut self.hubs[index];
        match what {
            What::Look if hub.look != now || hub.in_flight => return,
            What::Look => {}
            What::Granted => {
                hub.in_flight = false;
                self.service.in_flight -= 1;
                hub.schedule.begun(now, self.session);
                if self.back[index].is_some() && hub.expires < now {
                    self.lapsed += 1;
                }
                hub.expires = now + self.session;
                self.back[index].get_or_insert(now);
            }
            What::Failed(kind) => {
                hub.in_flight = false;
                self.service.in_flight -= 1;
                let kinds = [FailureKind::Temporary, FailureKind::Throttled];
                hub.schedule.failed(now, kinds[usize::from(kind)]);
            }
        }
        if hub.in_use {
            hub.schedule.used(now);
        }
        match hub.schedule.next(now) {
            Next::Refresh => {
                hub.in_flight = true;
                let (outcome, latency) = self.service.request(now);
                self.service.in_flight += 1;
                let what = match outcome {
                    Ok(()) => What::Granted,
                    Err(FailureKind::Throttled) => What::Failed(1),
                    Err(_) => What::Failed(0),
                };
                self.queue.push(Reverse((now + latency, index, what)));
            }
            Next::At(at) => self.look_at(at, index),
            Next::Idle => {}
        }
    }

    /// How long after `from` the given share of the hubs that are in use was back.
    fn back_within(&self, share: f64, from: Duration) -> Duration {
        let in_use = self
            .hubs
            .iter()
            .zip(&self.back)
            .filter(|(hub, _)| hub.in_use);
        let mut back: Vec<_> = in_use
            .map(|(_, back)| back.unwrap_or(Duration::MAX))
            .collect();
        back.sort();
        let index = (back.len() as f64 * share).ceil() as usize;
        back[index.max(1) - 1].saturating_sub(from)
    }
}

fn in_minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}

/// What happens when all hubs want a session at once, and in the hours after that.
fn all_at_once(name: &str, session: u64, debt: f64, outage: Duration) {
    let service = Service::new(debt, outage);
    let mut fleet = Fleet::new(HUBS, minutes(session), service, Duration::ZERO);
    fleet.run(outage + minutes(30));
    let all = fleet.back_within(1.0, outage);
    let (requests, throttled) = (fleet.service.requests, fleet.service.throttled);
    fleet.run(outage + minutes(150));
    let later = fleet.service.busiest_minute(outage + minutes(100));
    println!(
        "{name}, sessions of {session} min, debt {debt}: half of {HUBS} are back in {:.1} min, 99 % in {:.1}, all \
         in {:.1}; {requests} requests, of which {throttled} throttled; busiest minute from 100 min on {later:.1}/s",
        in_minutes(fleet.back_within(0.5, outage)),
        in_minutes(fleet.back_within(0.99, outage)),
        in_minutes(all),
    );
    assert!(all <= minutes(30), "{all:?}");
    assert!(later < f64::from(QUOTA), "{later}");
    assert_eq!(fleet.lapsed, 0, "hubs whose credentials expired later");
}

/// Those that are throttled are not counted by the service.
const FREE: f64 = 0.0;

/// They are, and keep the others out for another second.
const COUNTED: f64 = 10.0;

#[test]
fn power_comes_back() {
    all_at_once("power back", 30, FREE, Duration::ZERO);
    all_at_once("power back", 60, COUNTED, Duration::ZERO);
}

#[test]
fn power_comes_back_and_throttling_is_counted() {
    all_at_once("power back", 30, COUNTED, Duration::ZERO);
}

#[test]
fn an_outage_of_hours_ends() {
    all_at_once("outage", 30, FREE, minutes(120));
}

#[test]
fn an_outage_of_hours_ends_and_throttling_is_counted() {
    all_at_once("outage", 30, COUNTED, minutes(120));
    all_at_once("outage", 60, 10.0 * COUNTED, minutes(120));
}

#[test]
fn in_the_long_run_the_quota_is_enough() {
    for session in [30, 45, 60, 720] {
        let length = minutes(session);
        let service = Service::new(COUNTED, Duration::ZERO);
        let mut fleet = Fleet::new(HUBS, length, service, minutes(24));
        fleet.run(length * 4);
        let service = &fleet.service;
        let busiest = service.busiest_minute(length);
        let average = service.requests as f64 / (length * 4).as_secs_f64();
        let throttled = service.throttled as f64 / service.requests as f64 * 100.0;
        println!(
            "{HUBS} hubs, sessions of {session} min: {average:.2} requests a second, {busiest:.1}/s in the \
             busiest minute, {throttled:.2} % throttled"
        );
        assert!(busiest < f64::from(QUOTA), "{busiest}");
        assert!(throttled < 1.0, "{throttled}");
        assert_eq!(fleet.lapsed, 0, "hubs whose credentials expired");
    }
}

#[test]
fn who_is_not_asked_asks_once_and_no_more() {
    let service = Service::new(COUNTED, Duration::ZERO);
    let mut fleet = Fleet::new(HUBS / 10, minutes(30), service, Duration::ZERO);
    fleet.run(minutes(60));
    let busiest = fleet.service.busiest_minute(Duration::ZERO);
    println!("{HUBS} hubs start, a tenth with callers: {busiest:.1}/s in the busiest minute");
    assert!(fleet.back.iter().all(Option::is_some));
    let first = fleet.service.granted.len();
    fleet.run(minutes(300));
    let later = fleet.service.granted.len() - first;
    println!("and {later} sessions in the 4 hours after the first");
    let by_use = HUBS / 10 * 240 / 22;
    assert!(later < by_use, "{later} of {by_use}");
}
