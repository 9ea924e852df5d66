//! When to ask for a session: what happens goes in, and what comes next comes out. It has no clock and no
//! network of its own, so that the tests can have ten thousand of it wait for hours in a second.
//!
//! Times are those since the machine was booted. The numbers follow from one quota: IAM Roles Anywhere
//! takes 10 `CreateSession` a second for an account and region ("rate of `CreateSession` requests"), what
//! comes above that is throttled, and a fleet of 10,000 hubs is meant to fit in. Even if each of them asks
//! but once, that takes 1000 seconds.

use core::time::Duration;

#[cfg(test)]
#[path = "tests/simulation.rs"]
mod simulation;
#[cfg(test)]
#[path = "tests/schedule.rs"]
mod tests;

use super::FailureKind;
use crate::host::random::Random;

/// Credentials are renewed while they live longer than this, if the session is long enough: SDKs ask again
/// for each request when IMDS credentials live for less than 10 to 20 minutes, botocore's
/// `credential_process` below 15.
const ENOUGH: Duration = minutes(20);

/// And so much earlier: the request, a second one if it fails, and the spread.
const AHEAD: Duration = minutes(6);

/// A session is used at least so long, if it is long enough. 10,000 hubs with 30-minute sessions that ask
/// again after 22½ to 26¼ minutes make 6.8 requests a second. [`ENOUGH`] would be 11 to 17, which the quota
/// has no room for. It is also longer than it takes a fleet to come back after an outage: those who were
/// first are not back in the way of those who are last.
const USED_AT_LEAST: Duration = Duration::from_secs(22 * 60 + 30);

/// When there is nobody who waits, the first session is asked for at any time within this. 10,000 hubs
/// that get their power back at once make 8.3 requests a second.
pub const START_SPREAD: Duration = minutes(20);

/// After a clock was set new credentials are asked for within this, and within half of the life that is left.
/// The clocks of a fleet are set at once when the network is back after an outage.
const JUMP_SPREAD: Duration = START_SPREAD;

/// The longest delay after the first failure: it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(10);

/// The longest delay after failures of network, service or token: within this a whole fleet has noticed
/// that an outage is over. Together with [`STAGES`] it stays below 30 minutes.
const LONGEST_DELAY: Duration = minutes(2);

/// The same, where trying again is not going to help: the service refuses, or the key is another one.
const LONGEST_LASTING_DELAY: Duration = minutes(15);

/// Where somebody waits: by when, after the first time that the service throttled, the next attempts are
/// made, at any time until then. Half a minute is enough for 300 hubs. For more it is 24 minutes at once,
/// 7 requests a second from 10,000: shorter steps in between would keep a service busy that counts what
/// it throttles. Those few that still meet too many others at once try again in what is left.
const STAGES: [Duration; 4] = [
    Duration::from_secs(30),
    minutes(24),
    minutes(26),
    Duration::from_secs(27 * 60 + 30),
];

/// What is throttled for longer than that has more to share with than this is made for.
const THROTTLED_DELAY: Duration = minutes(30);

/// Credentials that live no longer than this are as good as none.
const ENDING: Duration = Duration::from_secs(20);

/// No attempt follows sooner than this on one that failed.
const SHORTEST_DELAY: Duration = Duration::from_secs(1);

/// Where there are no valid credentials, attempts go on for so long after somebody last asked, or the start.
const QUIET: Duration = minutes(60);

/// The same, where nobody asks but who has something to send, and asks again and again.
const QUIET_ON_DEMAND: Duration = minutes(5);

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// To ask for a session now.
    Refresh,
    /// Nothing before this time.
    At(Duration),
    /// Nothing before something happens: nobody uses the credentials.
    Idle,
}

/// Of one identity: when a session is asked for.
#[derive(Debug)]
pub struct Schedule {
    random: Random,
    session: Option<Session>,
    last_use: Option<Duration>,
    /// The first session is asked for then, even if nobody waits.
    start: Option<Duration>,
    /// A new session is wanted by then, whatever the old one's life is.
    asked: Option<Duration>,
    failing: Option<Failing>,
    /// Sessions are begun for those who ask, never ahead of time.
    on_demand: bool,
}

#[derive(Debug, Clone, Copy)]
struct Session {
    begun: Duration,
    expires: Duration,
    refresh: Duration,
}

/// Since the last success.
#[derive(Debug, Clone, Copy)]
struct Failing {
    count: u32,
    not_before: Duration,
    throttled: Option<Throttled>,
}

#[derive(Debug, Clone, Copy)]
struct Throttled {
    since: Duration,
    count: usize,
}

impl Schedule {
    /// The schedule of an identity without credentials; `seed` tells it from all others.
    pub fn new(seed: u64, now: Duration) -> Self {
        let mut random = Random(seed);
        let start = now + random.below(START_SPREAD);
        Self {
            random,
            session: None,
            last_use: None,
            start: Some(start),
            asked: None,
            failing: None,
            on_demand: false,
        }
    }

    /// The schedule of one whose sessions are begun only when somebody asks who has a use for one, and used to
    /// their end.
    pub fn on_demand(seed: u64) -> Self {
        Self {
            start: None,
            on_demand: true,
            ..Self::new(seed, Duration::ZERO)
        }
    }

    /// What to do, if nothing happens meanwhile.
    pub fn next(&self, now: Duration) -> Next {
        let Some(due) = self.due(now) else {
            return Next::Idle;
        };
        let not_before = self.failing.map_or(Duration::ZERO, |f| f.not_before);
        match due.max(not_before) {
            due if due <= now => Next::Refresh,
            due => Next::At(due),
        }
    }

    fn due(&self, now: Duration) -> Option<Duration> {
        let start = self.start.filter(|start| now < *start + QUIET);
        let due = [start, self.asked, self.by_use(now)];
        due.into_iter().flatten().min()
    }

    /// By when those who use the credentials need new ones.
    fn by_use(&self, now: Duration) -> Option<Duration> {
        let last_use = self.last_use?;
        if self.on_demand {
            let ended = match self.session {
                Some(session) if now < session.expires => return None,
                Some(session) => session.expires,
                None => Duration::ZERO,
            };
            let is_wanted = last_use >= ended && last_use + QUIET_ON_DEMAND > now;
            return is_wanted.then_some(last_use);
        }
        match self.session.filter(|session| now < session.expires) {
            Some(session) => (last_use >= session.begun).then_some(session.refresh),
            // Somebody who comes back is there again.
            None => (last_use + QUIET > now).then_some(last_use),
        }
    }

    /// Whether anybody has asked since the last session began, or lately, if there is none.
    pub fn is_in_use(&self, now: Duration) -> bool {
        self.by_use(now).is_some()
    }

    /// Whether a session is due, if no failure stood in its way.
    pub fn is_due(&self, now: Duration) -> bool {
        self.due(now).is_some_and(|due| due <= now)
    }

    /// Whether one is due because somebody asked for a new one.
    pub fn is_asked(&self, now: Duration) -> bool {
        self.asked.is_some_and(|at| at <= now)
    }

    /// Whether sessions are begun only for those who ask.
    pub fn is_on_demand(&self) -> bool {
        self.on_demand
    }

    /// In how long the last session would be renewed, if anybody had used it.
    pub fn unused(&self, now: Duration) -> Option<Duration> {
        if self.on_demand {
            return None;
        }
        let session = self.session.filter(|session| now < session.expires)?;
        let is_used = self.last_use.is_some_and(|at| at >= session.begun);
        (!is_used).then(|| session.refresh.saturating_sub(now))
    }

    /// Until when no attempt is made, because the last one failed.
    pub fn backs_off(&self, now: Duration) -> Option<Duration> {
        let until = self.failing?.not_before;
        (until > now).then_some(until)
    }

    /// Somebody asked for credentials.
    pub fn used(&mut self, now: Duration) {
        self.last_use = Some(now);
    }

    /// A session has begun, whose credentials live for `life`.
    pub fn begun(&mut self, now: Duration, life: Duration) {
        let (earliest, latest) = window(life);
        let left = latest + self.random.below(earliest - latest);
        let expires = now + life;
        self.session = Some(Session {
            begun: now,
            expires,
            refresh: expires.saturating_sub(left),
        });
        self.start = None;
        self.asked = None;
        self.failing = None;
    }

    /// An attempt failed.
    pub fn failed(&mut self, now: Duration, kind: FailureKind) {
        let count = self
            .failing
            .map_or(1, |failing| failing.count.saturating_add(1));
        let mut throttled = self.failing.and_then(|failing| failing.throttled);
        let delay = match kind {
            FailureKind::Temporary => self.delay(count, LONGEST_DELAY),
            FailureKind::Lasting => self.delay(count, LONGEST_LASTING_DELAY),
            FailureKind::Throttled => {
                let series = throttled.get_or_insert(Throttled {
                    since: now,
                    count: 0,
                });
                series.count += 1;
                let series = *series;
                self.throttled_delay(series, now)
            }
        };
        self.failing = Some(Failing {
            count,
            not_before: now + delay.max(SHORTEST_DELAY),
            throttled,
        });
    }

    /// A delay between half of a limit that doubles, and that limit.
    fn delay(&mut self, count: u32, longest: Duration) -> Duration {
        self.random.delay(count, FIRST_DELAY, longest)
    }

    fn throttled_delay(&mut self, series: Throttled, now: Duration) -> Duration {
        let left = self
            .session
            .map_or(Duration::ZERO, |s| s.expires.saturating_sub(now));
        let within = if left > ENDING {
            // Nobody waits, and as long as that is so there is time.
            (left * 3 / 4).min(THROTTLED_DELAY)
        } else {
            let passed = now.saturating_sub(series.since);
            // The short one is for those who wait.
            let first = series.count - usize::from(self.is_in_use(now));
            let first = first.min(STAGES.len() - 1);
            let end = STAGES[first..].iter().find(|&&end| end > passed);
            end.map_or(THROTTLED_DELAY, |&end| end - passed)
        };
        self.random.below(within)
    }

    /// Somebody wants a new session now, because a file has changed or a person says so. A service that
    /// throttles is waited for all the same.
    pub fn asked(&mut self, now: Duration) {
        self.asked = Some(now);
        self.forgive(now, Duration::ZERO);
    }

    /// What was asked for cannot be had now, for the `count`th time: it is asked for later.
    pub fn asked_later(&mut self, now: Duration, count: u32) {
        self.asked = Some(now + self.delay(count, LONGEST_LASTING_DELAY));
    }

    /// What was asked for is not wanted any more.
    pub fn not_asked(&mut self) {
        self.asked = None;
    }

    /// The wall clock was set. What there is lives for `left`, by the clock that
    /// says less.
    pub fn jumped(&mut self, now: Duration, left: Duration) {
        let in_use = self.is_in_use(now);
        if let Some(session) = &mut self.session {
            session.expires = now + left;
        }
        if in_use {
            let spread = self.random.below(JUMP_SPREAD.min(left / 2));
            self.asked = Some(self.asked.map_or(now + spread, |at| at.min(now + spread)));
        }
        // The network may be back as well, in a moment.
        let moment = FIRST_DELAY / 5 + self.random.below(FIRST_DELAY);
        self.forgive(now, moment);
    }

    /// There were no credentials for somebody who asked then.
    pub fn lapsed(&mut self, at: Duration) {
        if self.on_demand
            && let Some(session) = &mut self.session
        {
            session.expires = session.expires.min(at);
        }
    }

    /// The machine has slept. Credentials that live for long enough still do; the network may be another one.
    pub fn woke(&mut self, now: Duration) {
        let moment = FIRST_DELAY / 5 + self.random.below(FIRST_DELAY);
        self.forgive(now, moment);
    }

    /// Failures count no more from `after` on, unless the service throttled.
    fn forgive(&mut self, now: Duration, after: Duration) {
        if let Some(failing) = &mut self.failing
            && failing.throttled.is_none()
        {
            failing.not_before = failing.not_before.min(now + after);
            failing.count = 0;
        }
    }
}

/// While how much life is left new credentials are asked for: at the earliest, and at the latest.
///
/// A quarter of the session; of one between 30 and 104 minutes more, up to 26 minutes, so that what is handed
/// out lives for more than 20. Of 30 minutes it is 7½ to 3¾, of 60 it is 26 to 20.8, of 12 hours 3 hours to
/// 2 hours 24 minutes. 15 minutes, 3¾ to 1.9, are too short for 10,000 hubs, however late they ask.
fn window(life: Duration) -> (Duration, Duration) {
    let wanted = ENOUGH + AHEAD;
    let earliest = (life / 4).max(wanted.min(life.saturating_sub(USED_AT_LEAST)));
    let spread = (earliest / 5).max(minutes(5)).min(earliest / 2);
    (earliest, earliest - spread)
}
