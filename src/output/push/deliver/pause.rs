//! How long to wait after a failure.

use core::time::Duration;

use crate::host::random::Random;
use crate::host::refresh::FailureKind;
use crate::host::s3::FaultKind;

/// The longest delay after the first failure: it doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_secs(5);

/// The longest after failures of network or service: so long a hub is late at most after an outage of which
/// nobody says that it is over.
pub const LONGEST_DELAY: Duration = Duration::from_secs(5 * 60);

/// The same, where a person has to do something: refused, no such bucket, a clock that nobody can set.
pub const LONGEST_LASTING_DELAY: Duration = Duration::from_secs(15 * 60);

/// A server that asks for more patience than this is asked again all the same.
const LONGEST_ASKED_FOR: Duration = Duration::from_secs(60 * 60);

/// Since something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// What it is about.
    kind: Kind,
    /// Failures in a row.
    count: u32,
    /// When the last of them was noticed.
    since: Duration,
    /// No attempt before this.
    pub until: Duration,
}

/// What delays follow from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Network or service: time helps.
    Weather,
    /// Asking less often helps.
    Throttled,
    /// A person helps.
    Lasting,
}

impl Pause {
    /// After a failure of an upload that began at `began`.
    pub fn of_upload(
        before: Option<Self>,
        now: Duration,
        began: Duration,
        kind: FaultKind,
        retry_after: Option<Duration>,
        random: &mut Random,
    ) -> Self {
        let (kind, free) = match kind {
            FaultKind::Throttled => (Kind::Throttled, 0),
            // The clock's error is known by now, and other credentials are to be had: once that is all.
            FaultKind::Clock | FaultKind::Credentials => (Kind::Lasting, 1),
            FaultKind::Refused | FaultKind::Unclear | FaultKind::Place => (Kind::Lasting, 0),
            FaultKind::Network
            | FaultKind::Server
            | FaultKind::Object
            | FaultKind::Restart
            | FaultKind::Exists
            | FaultKind::Content => (Kind::Weather, 0),
        };
        Self::new(before, now, began, kind, free, retry_after, random)
    }

    /// After no session could be had.
    pub fn of_session(
        before: Option<Self>,
        now: Duration,
        began: Duration,
        kind: FailureKind,
        random: &mut Random,
    ) -> Self {
        // Whoever asks for sessions has delays of its own; these are for looking at what has come of it.
        let kind = match kind {
            FailureKind::Temporary => Kind::Weather,
            FailureKind::Throttled => Kind::Throttled,
            FailureKind::Lasting => Kind::Lasting,
        };
        Self::new(before, now, began, kind, 0, None, random)
    }

    fn new(
        before: Option<Self>,
        now: Duration,
        began: Duration,
        kind: Kind,
        free: u32,
        retry_after: Option<Duration>,
        random: &mut Random,
    ) -> Self {
        // Those that were on their way together have failed together.
        if let Some(before) = before
            && began < before.since
        {
            return before;
        }
        let count = before.map_or(1, |before| before.count.saturating_add(1));
        let longest = match kind {
            Kind::Weather | Kind::Throttled => LONGEST_DELAY,
            Kind::Lasting => LONGEST_LASTING_DELAY,
        };
        let mut delay = match count <= free {
            true => Duration::ZERO,
            false => random.delay(count, FIRST_DELAY, longest),
        };
        if let Some(asked) = retry_after {
            let asked = asked.min(LONGEST_ASKED_FOR);
            delay = delay.max(asked + random.below(asked / 4));
        }
        Self {
            kind,
            count,
            since: now,
            until: now + delay,
        }
    }

    /// What was delayed because of network or service is tried at `soon`.
    pub fn forgive(&mut self, soon: Duration) {
        if self.kind == Kind::Weather {
            self.count = 0;
            self.until = self.until.min(soon);
        }
    }
}
