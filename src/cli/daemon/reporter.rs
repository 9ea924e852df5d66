//! What the service manager hears of a daemon that runs: a line for people, and signs of life.

use core::time::Duration;
use std::format;
use std::string::String;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

use super::notify::Notifier;
use crate::host::refresh::{Refresher, Status};

/// No attempt takes longer: a TPM that makes a key's parent anew, and a service that hangs in each of
/// several tries, are done before.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(900);

/// Belongs to the daemon's main loop: a loop that hangs gives no signs of life.
pub struct Reporter {
    notifier: Arc<Notifier>,
    interval: Option<Duration>,
    refreshers: Vec<Watched>,
    told: String,
    is_due: bool,
}

struct Watched {
    refresher: Refresher,
    stuck: Stuck,
}

impl Reporter {
    /// Tells of `refreshers`; signs of life are due within `watchdog`.
    pub fn new(
        notifier: Arc<Notifier>,
        watchdog: Option<Duration>,
        refreshers: Vec<Refresher>,
    ) -> Self {
        let watched = refreshers.into_iter().map(|refresher| Watched {
            refresher,
            stuck: Stuck::default(),
        });
        Self {
            notifier,
            interval: watchdog.map(|timeout| timeout / 2),
            refreshers: watched.collect(),
            told: String::new(),
            is_due: true,
        }
    }

    /// Says how things are, if that has changed. To be called when a refresher has done something.
    pub fn changed(&mut self) {
        self.changed_with("");
    }

    /// The same of a daemon that does more than to keep credentials: `more` says how that is.
    pub fn changed_with(&mut self, more: &str) {
        self.is_due = false;
        let all = self
            .refreshers
            .iter()
            .map(|one| line(&one.refresher.status()));
        let more = (!more.is_empty()).then(|| more.into());
        let text = more.into_iter().chain(all).collect::<Vec<_>>().join("; ");
        if text != self.told {
            self.notifier.status(&text);
            self.told = text;
        }
    }

    /// Something has changed; it may be told a little later.
    pub fn due(&mut self) {
        self.is_due = true;
    }

    /// Whether something has changed since it was last told.
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// Gives a sign of life, unless a refresher is stuck; in how long the next one is due, if anybody wants
    /// them.
    pub fn beat(&mut self) -> Option<Duration> {
        let interval = self.interval?;
        let now = Instant::now();
        let mut alive = true;
        for one in &mut self.refreshers {
            alive &= !one.stuck.look(&one.refresher.status(), now);
        }
        if alive {
            self.notifier.alive();
        }
        Some(interval)
    }
}

/// Since when an attempt is under way that does not end.
#[derive(Default)]
struct Stuck {
    ended: u64,
    since: Option<Instant>,
}

impl Stuck {
    fn look(&mut self, status: &Status, now: Instant) -> bool {
        let ended = status.successes + status.failures;
        let is_due = status.next_attempt.is_none_or(|after| after.is_zero());
        let is_waited_for = status.expiration.is_none() && status.is_in_use && is_due;
        if ended != self.ended || !is_waited_for {
            self.since = None;
            self.ended = ended;
        }
        if !is_waited_for {
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now.saturating_duration_since(since) > LONGEST_ATTEMPT
    }
}

fn line(status: &Status) -> String {
    let name = &status.name;
    match (status.expiration, &status.failure) {
        (Some(expiration), None) => format!("{name}: credentials until {expiration}"),
        (Some(expiration), Some(failure)) => {
            format!(
                "{name}: credentials until {expiration}, no new ones: {}",
                failure.what
            )
        }
        (None, Some(failure)) => format!("{name}: no credentials: {}", failure.what),
        (None, None) => format!("{name}: no credentials yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::UnixTime;
    use crate::host::refresh::{Failure, FailureKind};

    #[test]
    fn a_line_says_how_things_are() {
        let mut status = Status {
            name: "hub".into(),
            ..Status::default()
        };
        assert_eq!(line(&status), "hub: no credentials yet");
        status.expiration = Some(UnixTime::from_secs(1_800_000_000));
        assert_eq!(line(&status), "hub: credentials until 2027-01-15T08:00:00Z");
        status.failure = Some(Failure {
            kind: FailureKind::Temporary,
            what: "no route".into(),
            remedy: String::new(),
        });
        assert!(line(&status).ends_with("08:00:00Z, no new ones: no route"));
        status.expiration = None;
        assert_eq!(line(&status), "hub: no credentials: no route");
    }

    #[test]
    fn an_attempt_that_does_not_end_is_stuck() {
        let start = Instant::now();
        let after = |secs| start + Duration::from_secs(secs);
        let mut status = Status {
            is_in_use: true,
            ..Status::default()
        };
        let mut stuck = Stuck::default();
        assert!(!stuck.look(&status, start));
        assert!(!stuck.look(&status, after(899)));
        assert!(stuck.look(&status, after(901)));
        status.failures += 1;
        assert!(!stuck.look(&status, after(902)));
        status.next_attempt = Some(Duration::from_secs(300));
        assert!(!stuck.look(&status, after(9_000)));
        status.next_attempt = Some(Duration::ZERO);
        status.is_in_use = false;
        assert!(!stuck.look(&status, after(90_000)));
    }
}
