//! Clients that upload on and on, all at once, while sessions end and new ones begin, and through an outage
//! of `CreateSession`. None may notice: no round may fail, and S3 may refuse no request.

use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, Running};
use crate::output::Output;
use crate::rig::Rig;

/// Between two rounds of a client: the sandbox remembers the last 10,000 requests.
const PAUSE: Duration = Duration::from_millis(100);

/// How long to wait for anything that has to come.
const PATIENCE: Duration = Duration::from_secs(120);

/// One client's way.
struct Way<'a> {
    client: Client,
    output: Output,
    rig: &'a Rig,
    rounds: AtomicUsize,
}

impl Way<'_> {
    /// Makes rounds until it is told to stop, or one fails.
    fn go(&self, stop: &AtomicBool) -> Result<(), String> {
        let mut running: Option<Running> = None;
        while !stop.load(Ordering::Relaxed) {
            let mut current = running
                .take()
                .unwrap_or_else(|| self.rig.start(self.client, self.output));
            let number = self.rounds.load(Ordering::Relaxed);
            current.round(&format!("{}/{number}", self.client))?;
            self.rounds.fetch_add(1, Ordering::Relaxed);
            if self.output.renews() {
                running = Some(current);
            } else {
                current.finish()?;
            }
            thread::sleep(PAUSE);
        }
        running.map_or(Ok(()), Running::finish)
    }
}

/// All clients on their ways.
struct Journey<'a> {
    rig: &'a Rig,
    ways: Vec<Way<'a>>,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl<'a> Journey<'a> {
    fn new(rig: &'a Rig, output: Output) -> Self {
        let clients = Client::ALL.into_iter();
        let clients = clients.filter(|client| output.not_for(*client).is_none());
        let ways = clients.map(|client| Way {
            client,
            output,
            rig,
            rounds: AtomicUsize::new(0),
        });
        Self {
            rig,
            ways: ways.collect(),
            failures: Mutex::default(),
            stop: AtomicBool::new(false),
        }
    }

    /// Runs them all while `story` goes on.
    fn run(&self, story: impl FnOnce(&Self)) {
        thread::scope(|scope| {
            for way in &self.ways {
                scope.spawn(|| {
                    if let Err(error) = way.go(&self.stop) {
                        self.failures.lock().unwrap().push(error);
                    }
                });
            }
            let told = panic::catch_unwind(panic::AssertUnwindSafe(|| story(self)));
            self.stop.store(true, Ordering::Relaxed);
            if let Err(reason) = told {
                panic::resume_unwind(reason);
            }
        });
        self.check();
    }

    #[track_caller]
    fn check(&self) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{failures:#?}");
    }

    /// Waits until something is so of each client; `count` may only grow.
    #[track_caller]
    fn each_reaches(&self, what: &str, count: impl Fn(&Way<'_>) -> usize, goal: usize) {
        let before: Vec<_> = self.ways.iter().map(&count).collect();
        let deadline = Instant::now() + PATIENCE;
        for (way, before) in self.ways.iter().zip(before) {
            while count(way) < before + goal {
                self.check();
                let client = way.client;
                assert!(Instant::now() < deadline, "{client}: {what} does not come");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Waits until each client has made so many rounds more.
    #[track_caller]
    fn each_goes_on(&self, rounds: usize) {
        let count = |way: &Way<'_>| way.rounds.load(Ordering::Relaxed);
        self.each_reaches("another round", count, rounds);
    }

    /// Waits until each client has uploaded with so many more access keys.
    #[track_caller]
    fn each_has_new_sessions(&self, sessions: usize) {
        let count = |way: &Way<'_>| self.rig.access_keys(way.client).len();
        self.each_reaches("another session", count, sessions);
    }

    /// Waits until so many more requests for a session have failed.
    #[track_caller]
    fn sessions_fail(&self, count: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.rig.failed_sessions() < count {
            self.check();
            assert!(Instant::now() < deadline, "nobody asks for a session");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn endures(output: Output) {
    let rig = Rig::new();
    rig.sessions_of(output.life());
    Journey::new(&rig, output).run(|journey| {
        journey.each_has_new_sessions(2);

        rig.begin_outage();
        journey.sessions_fail(1);
        journey.each_goes_on(2);

        rig.sessions_of(output.life());
        journey.each_has_new_sessions(1);
    });
    rig.assert_nothing_refused();
}

#[test]
fn credential_process() {
    endures(Output::CredentialProcess);
}
