//! A refresher in simulated time: the tests turn its thread's work by hand, and nothing sleeps.

mod clocks;
mod demand;
mod outage;
mod reload;
mod threads;

use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard};
use std::vec::Vec;
use std::{format, vec};

use zeroize::Zeroizing;

use super::refresher::{Options, Shared};
use super::source::{Event, Failure, FailureKind, Fresh, Observer, Opened, Source};
use super::time::{Clocks, Now};
use super::worker::Worker;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

pub const START: UnixTime = UnixTime::from_secs(1_800_000_000);

pub const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

type Service = dyn FnMut(&str) -> Result<(), FailureKind> + Send;

/// What there is around a refresher, and what it did with it.
pub struct World {
    pub since_boot: Duration,
    /// How far the wall clock is ahead of what is right.
    pub set_by: i64,
    /// The wall clock is known to be wrong, and this is taken for its time.
    pub stands_at: Option<UnixTime>,
    /// What is configured now: what a session's key begins with.
    pub pair: Result<String, FailureKind>,
    pub files: Vec<PathBuf>,
    pub has_device: bool,
    /// What the service says, by the pair that asks.
    pub service: Box<Service>,
    pub session: Duration,
    /// How long the service takes.
    pub latency: Duration,
    pub opened: usize,
    /// When a session was asked for.
    pub asked: Vec<Duration>,
    pub events: Vec<String>,
}

#[derive(Clone)]
pub struct Shore(Arc<Mutex<World>>);

impl Shore {
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl World {
    /// The right time.
    fn time(&self) -> UnixTime {
        START.offset_by(self.since_boot.as_secs().cast_signed())
    }
}

impl Clocks for Shore {
    fn now(&self) -> Now {
        let world = self.lock();
        Now {
            since_boot: world.since_boot,
            wall: world
                .stands_at
                .unwrap_or_else(|| world.time().offset_by(world.set_by)),
        }
    }

    fn is_wall_wrong(&self) -> bool {
        self.lock().stands_at.is_some()
    }
}

fn failure(kind: FailureKind, what: &str) -> Failure {
    Failure {
        kind,
        what: what.into(),
        remedy: String::new(),
    }
}

impl Source for Shore {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        let mut world = self.lock();
        world.opened += 1;
        match &world.pair {
            Ok(pair) => Ok(Box::new(OpenedPair {
                shore: self.clone(),
                pair: pair.clone(),
            })),
            Err(kind) => Err(failure(*kind, "this is no pair")),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.lock().files.clone()
    }

    fn has_device(&self) -> bool {
        self.lock().has_device
    }
}

struct OpenedPair {
    shore: Shore,
    pair: String,
}

impl Opened for OpenedPair {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let mut world = self.shore.lock();
        let at = world.since_boot;
        world.asked.push(at);
        let number = world.asked.len();
        let latency = world.latency;
        let outcome = (world.service)(&self.pair);
        world.since_boot += latency;
        outcome
            .map_err(|kind| failure(kind, &format!("the service does not like {}", self.pair)))?;
        let now = world.time();
        let seconds = world.session.as_secs().cast_signed();
        Ok(Fresh {
            credentials: Credentials {
                access_key_id: format!("{} {number}", self.pair),
                secret_access_key: Zeroizing::new("secret".into()),
                session_token: Zeroizing::new("token".into()),
                expiration: now.offset_by(seconds),
                role_arn: "role".into(),
            },
            date: Some(now),
        })
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        None
    }

    fn certificate(&self) -> Option<&[u8]> {
        Some(self.pair.as_bytes())
    }

    fn session(&self) -> Option<Duration> {
        Some(self.shore.lock().session)
    }
}

impl Observer for Shore {
    fn event(&mut self, event: &Event<'_>) {
        let text = match event {
            Event::Begun { .. } => "begun".into(),
            Event::Failed(failure) => format!("failed: {:?}", failure.kind),
            Event::Expired => "expired".into(),
            Event::Unused => "unused".into(),
            Event::ClockSet { seconds } => format!("clock {seconds}"),
            Event::Reloaded => "reloaded".into(),
            Event::ReloadRefused(failure) => format!("refused: {}", failure.what),
        };
        self.lock().events.push(text);
    }
}

/// A refresher whose thread is turned by hand.
pub struct Sim {
    pub shore: Shore,
    pub shared: Arc<Shared>,
    worker: Worker,
}

impl Sim {
    pub fn new(session: Duration) -> Self {
        Self::with(session, |_| {})
    }

    /// A refresher whose sessions are begun on demand.
    pub fn on_demand(session: Duration) -> Self {
        Self::started(session, true, |_| {})
    }

    pub fn with(session: Duration, change: impl FnOnce(&mut World)) -> Self {
        Self::started(session, false, change)
    }

    fn started(session: Duration, on_demand: bool, change: impl FnOnce(&mut World)) -> Self {
        let mut world = World {
            since_boot: minutes(60),
            set_by: 0,
            stands_at: None,
            pair: Ok("first".into()),
            files: vec![],
            has_device: false,
            service: Box::new(|_| Ok(())),
            session,
            latency: Duration::ZERO,
            opened: 0,
            asked: vec![],
            events: vec![],
        };
        change(&mut world);
        let shore = Shore(Arc::new(Mutex::new(world)));
        let options = Options {
            clocks: Arc::new(shore.clone()),
            seed: 7,
            on_demand,
        };
        let shared = Arc::new(Shared::new("hub", &options, None));
        let (source, observer) = (Box::new(shore.clone()), Box::new(shore.clone()));
        let worker = Worker::new(shared.clone(), source, &options, observer);
        Self {
            shore,
            shared,
            worker,
        }
    }

    /// A refresher that has credentials, which somebody uses.
    pub fn in_use(session: Duration) -> Self {
        let mut sim = Self::new(session);
        sim.using(Duration::ZERO);
        assert!(sim.key().is_some());
        sim
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.shore.lock().since_boot + time;
        loop {
            let pause = self.worker.turn().unwrap();
            let mut world = self.shore.lock();
            if world.since_boot + pause >= end {
                world.since_boot = world.since_boot.max(end);
                break;
            }
            world.since_boot += pause;
        }
        // What is due at the end belongs to it.
        self.worker.turn().unwrap();
    }

    /// Lets time pass in which somebody asks each minute; gives how often there was nothing.
    pub fn using(&mut self, time: Duration) -> usize {
        let mut without = 0;
        let mut left = time;
        loop {
            let had = self.key().is_some();
            let step = left.min(minutes(1));
            self.pass(step);
            without += usize::from(!had && self.key().is_none());
            left -= step;
            if left.is_zero() {
                return without;
            }
        }
    }

    /// The time stands still for the thread, and goes on for everybody else: the machine sleeps.
    pub fn suspend(&mut self, time: Duration) {
        self.shore.lock().since_boot += time;
    }

    pub fn turn(&mut self) {
        self.worker.turn().unwrap();
    }

    /// The access key that somebody gets who asks.
    pub fn key(&self) -> Option<String> {
        let live = self.shared.credentials()?;
        Some(live.access_key_id.clone())
    }

    pub fn service(&self, service: impl FnMut(&str) -> Result<(), FailureKind> + Send + 'static) {
        self.shore.lock().service = Box::new(service);
    }

    pub fn asked(&self) -> usize {
        self.shore.lock().asked.len()
    }

    pub fn opened(&self) -> usize {
        self.shore.lock().opened
    }

    /// What the observer was told since the last time.
    pub fn events(&self) -> Vec<String> {
        core::mem::take(&mut self.shore.lock().events)
    }

    pub fn reload(&self) {
        self.shared.lock().is_reload_wanted = true;
    }
}
