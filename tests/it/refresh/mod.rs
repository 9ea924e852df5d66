//! The refresher with a real key, real HTTP and the sandbox, in simulated time: hours of outage take
//! seconds, and nothing sleeps.

mod outage;
mod renewal;

use core::cell::Cell;
use core::time::Duration;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use keystead::backend::Identity;
use keystead::backend::file::{self, FileIdentity};
use keystead::core::time::UnixTime;
use keystead::core::x509::Certificate;
use keystead::host::clock::{HostClock, system_time};
use keystead::host::refresh::{
    Clocks, Driver, Event, Failure, FailureKind, Fresh, Meter, Now, Observer, Opened, Options,
    Refresher, Source,
};
use keystead::host::requester::{Requester, SessionRequest};
use keystead::host::session::{CreateError, Credentials, Retry};
use keystead::host::transport::{HttpTransport, TransportOptions};
use keystead::sandbox::{Config, Fault, Running, Sandbox, SandboxClock, Scheme};

use crate::support::openssl::{CA, LEAF, P256, Workshop};

pub const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

thread_local! {
    /// Since the test began. The refresher is driven on the test's own thread.
    static PASSED: Cell<u64> = const { Cell::new(0) };
    /// How far the hub's wall clock is off.
    static SET_BY: Cell<i64> = const { Cell::new(0) };
    static BEGAN: Cell<UnixTime> = const { Cell::new(UnixTime::MAX) };
}

fn wall() -> UnixTime {
    BEGAN
        .get()
        .offset_by(PASSED.get().cast_signed() + SET_BY.get())
}

struct Simulated(Arc<HostClock>);

impl Clocks for Simulated {
    fn now(&self) -> Now {
        use keystead::core::time::Clock as _;
        Now {
            since_boot: Duration::from_secs(PASSED.get()),
            wall: self.0.now(),
        }
    }
}

/// What the refresher said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<String>>>);

impl Observer for Said {
    fn event(&mut self, event: &Event<'_>) {
        let text = match event {
            Event::Begun { .. } => "begun".into(),
            Event::Failed(failure) => format!("{:?}: {failure}", failure.kind),
            Event::Expired => "expired".into(),
            Event::Reloaded => "reloaded".into(),
            Event::ReloadRefused(failure) => format!("refused: {failure}"),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

/// `hub.pem` and `hub.key`.
struct Pair {
    certificate: PathBuf,
    key: PathBuf,
    request: SessionRequest,
    url: String,
    clock: Arc<HostClock>,
    meter: Meter,
}

struct OpenedPair(Requester);

impl Source for Pair {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        let files = FileIdentity {
            certificate: &self.certificate,
            private_key: Some(&self.key),
            intermediates: None,
        };
        let (identity, _) = file::open(&files, &mut || Ok(None)).map_err(|error| Failure {
            kind: FailureKind::Lasting,
            what: error.to_string(),
            remedy: String::new(),
        })?;
        let (chain, signer) = identity.into_parts();
        let options = TransportOptions::default();
        Ok(Box::new(OpenedPair(Requester {
            request: self.request.clone(),
            identity: Identity::new(chain, self.meter.count(signer)).expect("the same key"),
            transport: HttpTransport::new(&self.url, &options, self.clock.clone()).unwrap(),
            clock: self.clock.clone(),
            correct_clock: false,
            retry: Retry {
                when_throttled: false,
                ..Retry::default()
            },
        })))
    }

    fn files(&self) -> Vec<PathBuf> {
        vec![self.certificate.clone(), self.key.clone()]
    }

    fn meter(&self) -> Option<Meter> {
        Some(self.meter.clone())
    }
}

impl Opened for OpenedPair {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let kind = |error: &CreateError| match (error.is_throttling(), error.is_retryable()) {
            (true, _) => FailureKind::Throttled,
            (false, true) => FailureKind::Temporary,
            (false, false) => FailureKind::Lasting,
        };
        match self.0.create(&mut |_| (), &mut ()) {
            Ok(created) => Ok(Fresh {
                credentials: created.credentials,
                date: created.date,
            }),
            Err(error) => Err(Failure {
                kind: kind(&error),
                what: error.to_string(),
                remedy: String::new(),
            }),
        }
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        let leaf = Certificate::from_der(self.0.identity.leaf()).ok()?;
        Some(leaf.not_after)
    }

    fn session(&self) -> Option<Duration> {
        let seconds = self.0.request.duration_seconds;
        Some(Duration::from_secs(seconds.into()))
    }
}

/// A hub and its service.
pub struct Hub {
    pub workshop: Workshop,
    pub sandbox: Running,
    pub refresher: Refresher,
    driver: Driver,
    said: Said,
}

impl Hub {
    /// A hub with sessions of 30 minutes.
    pub fn new() -> Self {
        PASSED.set(0);
        SET_BY.set(0);
        let workshop = Workshop::new();
        for name in ["root", "hub"] {
            workshop.key(name, P256);
        }
        let root = workshop.certificate("root", "root", "-sha256", CA);
        workshop.certificate("hub", "root", "-sha256", LEAF);
        let root = file::read_certificates(&root).unwrap().swap_remove(0);
        // From here on time stands still unless it is moved; the certificates are valid by now.
        BEGAN.set(system_time());
        let sandbox = Sandbox::start(Config {
            scheme: Scheme::Http,
            clock: SandboxClock::fixed(BEGAN.get()),
            ..Config::ready_made(root, None).unwrap()
        })
        .unwrap();
        let account = &sandbox.config().account;
        let url = sandbox.url();
        let clock = Arc::new(HostClock::with_system(wall, None));
        let pair = Pair {
            certificate: workshop.path("hub.pem"),
            key: workshop.path("hub.key"),
            request: SessionRequest {
                host: url.trim_start_matches("http://").into(),
                region: "eu-west-1".into(),
                trust_anchor_arn: account.trust_anchors[0].arn.to_string(),
                profile_arn: account.profiles[0].arn.to_string(),
                role_arn: account.roles[0].arn.to_string(),
                duration_seconds: 3600,
                role_session_name: None,
            },
            url,
            clock: clock.clone(),
            meter: Meter::default(),
        };
        let said = Said::default();
        let options = Options::new(clock.clone()).with_clocks(Arc::new(Simulated(clock)));
        let observer = Box::new(said.clone());
        let (refresher, driver) = Refresher::driven("hub", Box::new(pair), options, observer);
        Self {
            workshop,
            sandbox,
            refresher,
            driver,
            said,
        }
    }

    /// Lets time pass, in which somebody asks each minute; gives for how many minutes there was nothing.
    /// What there was lived, each time.
    pub fn using(&mut self, time: Duration) -> usize {
        let mut without = 0;
        for _ in 0..time.as_secs().div_ceil(60) {
            let early = self.credentials();
            self.turn(60);
            without += usize::from(early.or_else(|| self.credentials()).is_none());
        }
        without
    }

    /// Drives the refresher for so many seconds.
    pub fn turn(&mut self, seconds: u64) {
        let end = PASSED.get() + seconds;
        loop {
            let pause = self.driver.turn().expect("a handle is there");
            let left = end - PASSED.get();
            let step = (pause.as_secs() + u64::from(pause.subsec_nanos() > 0)).min(left);
            PASSED.set(PASSED.get() + step);
            self.sandbox.config().clock.advance(step.cast_signed());
            if step == left {
                break;
            }
        }
        self.driver.turn();
    }

    pub fn credentials(&self) -> Option<Arc<Credentials>> {
        let credentials = self.refresher.credentials()?;
        let now = BEGAN.get().offset_by(PASSED.get().cast_signed());
        assert!(credentials.expiration > now, "these have expired");
        Some(credentials)
    }

    /// Sets the hub's wall clock.
    pub fn set_clock(&self, by: i64) {
        SET_BY.set(by);
    }

    pub fn fault(&self, fault: Fault) {
        self.sandbox.config().faults.add(fault.always());
    }

    pub fn mend(&self) {
        self.sandbox.config().faults.clear();
    }

    /// How many sessions were asked for.
    pub fn asked(&self) -> usize {
        self.sandbox.session_requests().len()
    }

    /// What the refresher said since the last time.
    pub fn said(&self) -> Vec<String> {
        core::mem::take(&mut self.said.0.lock().unwrap())
    }

    /// Puts a file in the place of another, as programs do that renew certificates.
    pub fn replace(&self, name: &str, by: &str) {
        let new = self.workshop.path("new");
        fs::copy(self.workshop.path(by), &new).unwrap();
        fs::rename(new, self.workshop.path(name)).unwrap();
    }
}
