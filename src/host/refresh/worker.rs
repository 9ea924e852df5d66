//! What the refresher's thread does: it opens, asks for sessions when the schedule says so, and puts what
//! has proven itself in the place of what was there before.

use core::mem;
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::string::String;
use std::sync::Arc;

use super::refresher::{Live, Options, Shared};
use super::schedule::{Next, Schedule};
use super::source::{Event, Failure, FailureKind, Fresh, Observer, Opened, Source};
use super::time::Now;
use super::watch::{Seen, Stamps, Watch};
use crate::core::time::UnixTime;

/// How often files and clocks are looked at.
const LOOK: Duration = Duration::from_secs(60);

/// How often files are looked at when nobody uses the credentials.
const LOOK_UNUSED: Duration = Duration::from_secs(15 * 60);

/// Where there is nothing to look at, the thread sleeps until somebody rings.
const LONG: Duration = Duration::from_secs(86_400);

/// The wall clock was set if it moves by more than this beside the other one.
const JUMP: u64 = 5;

/// The machine slept if a wait took so much longer than it should.
const OVERSLEPT: Duration = Duration::from_secs(30);

/// Certificates in a device have no time of change: what is there is looked at again, before a refresh, when
/// it was looked at so long ago. Each look may be a login.
const LOOK_AT_DEVICE: Duration = Duration::from_secs(6 * 3600);

/// After so many failures of network or service somebody is told that a change cannot be proven.
const UNPROVEN: u32 = 3;

/// The thread's part.
pub struct Worker {
    shared: Arc<Shared>,
    source: Box<dyn Source>,
    observer: Box<dyn Observer>,
    schedule: Schedule,
    watch: Watch,
    opened: Option<Box<dyn Opened>>,
    /// When that was.
    opened_at: Duration,
    /// What is to replace it, once it has begun a session.
    candidate: Option<Candidate>,
    /// Why something has to be opened before the next session.
    reopen: Option<Reason>,
    /// The difference of the clocks, and by when this thread wanted to be back.
    before: Option<(i64, Duration)>,
    told: Told,
    is_started: bool,
}

struct Candidate {
    opened: Box<dyn Opened>,
    reason: Reason,
    failures: u32,
}

/// Why certificate and key are opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reason {
    /// Nothing is open.
    First,
    /// Those that are open cannot be used any more.
    Recovery,
    /// There may be another certificate in the device.
    Device,
    /// Files have changed; they may still be in the making.
    Files { is_final: bool },
    /// Somebody says so.
    Reload,
}

/// What the observer has been told.
#[derive(Default)]
struct Told {
    failure: Option<FailureKind>,
    has_begun: bool,
    is_expired: bool,
    is_unused: bool,
}

/// What became of an attempt.
enum Outcome {
    Begun(Fresh),
    Failed(Failure),
    /// What was there before is good enough.
    Kept,
}

impl Worker {
    /// The thread's part of `shared`.
    pub fn new(
        shared: Arc<Shared>,
        source: Box<dyn Source>,
        options: &Options,
        observer: Box<dyn Observer>,
    ) -> Self {
        let mut watch = Watch::default();
        watch.know(Stamps::of(source.files()));
        Self {
            source,
            observer,
            schedule: match options.on_demand {
                true => Schedule::on_demand(options.seed),
                false => Schedule::new(options.seed, shared.now().since_boot),
            },
            watch,
            opened: None,
            opened_at: Duration::ZERO,
            candidate: None,
            reopen: None,
            before: None,
            told: Told::default(),
            is_started: false,
            shared,
        }
    }

    /// What the handles see.
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Does what there is to do, and gives how long to wait for more, if nobody rings; `None` when nobody is
    /// left who wants credentials.
    pub fn turn(&mut self) -> Option<Duration> {
        loop {
            let now = self.shared.now();
            {
                let mut state = self.shared.lock();
                if state.is_stopped {
                    return None;
                }
                if let Some(at) = state.last_use.take() {
                    self.schedule.used(at);
                    // Whoever asks may see before the schedule that there are none, or have had them refused.
                    let last = self.shared.last();
                    if state
                        .live
                        .as_ref()
                        .is_none_or(|live| live.left(now) <= last)
                    {
                        self.schedule.lapsed(at);
                    }
                }
                if mem::take(&mut state.is_network_new) {
                    self.schedule.woke(now.since_boot);
                }
                if mem::take(&mut state.is_reload_wanted) {
                    self.reopen = Some(Reason::Reload);
                    self.source.reload();
                    self.candidate = None;
                    self.schedule.asked(now.since_boot);
                }
            }
            self.notice_jump(now);
            let files = self.look_at_files(now);
            let next = self.schedule.next(now.since_boot);
            if next == Next::Refresh {
                self.refresh(now);
                continue;
            }
            if !mem::replace(&mut self.is_started, true) {
                self.open_early(now);
                continue;
            }
            self.shared.lock().not_before = self.schedule.backs_off(now.since_boot);
            let limit = self.sleep(now, next).min(files);
            self.before = Some((now.offset(), now.since_boot + limit));
            return Some(limit);
        }
    }

    /// What cannot be opened is told at the start, and not when somebody needs it.
    fn open_early(&mut self, now: Now) {
        if self.opened.is_some() || self.candidate.is_some() {
            return;
        }
        match self.open(Reason::First, now) {
            Ok(opened) => self.candidate = opened,
            Err(failure) => self.failed(now, failure),
        }
    }

    /// How long there is nothing to do, beside looking at files.
    fn sleep(&mut self, now: Now, next: Next) -> Duration {
        let next = match next {
            Next::At(at) => at.saturating_sub(now.since_boot),
            Next::Refresh | Next::Idle => LONG,
        };
        let live = self.shared.lock().live.clone();
        let left = live.map_or(Duration::ZERO, |live| {
            live.left(now).saturating_sub(self.shared.last())
        });
        if left.is_zero() {
            self.notice_end(now);
            return next;
        }
        // Only what lives can suffer from a clock that is set.
        let look = if self.schedule.is_in_use(now.since_boot) {
            LOOK
        } else {
            LONG
        };
        let unused = match self.schedule.unused(now.since_boot) {
            Some(Duration::ZERO) => {
                self.notice_unused();
                LONG
            }
            Some(until) => until,
            None => LONG,
        };
        next.min(left).min(look).min(unused)
    }

    fn notice_end(&mut self, now: Now) {
        let is_missed = self.schedule.is_in_use(now.since_boot);
        if self.told.has_begun && is_missed && !self.told.is_expired {
            self.told.is_expired = true;
            self.observer.event(&Event::Expired);
        }
    }

    fn notice_unused(&mut self) {
        if !self.told.is_unused {
            self.told.is_unused = true;
            self.observer.event(&Event::Unused);
        }
    }

    fn notice_jump(&mut self, now: Now) {
        let Some((offset, back_by)) = self.before.take() else {
            return;
        };
        let set_by = now.offset() - offset;
        // A clock that stands still is not set again each minute.
        let is_set = set_by.unsigned_abs() > JUMP && !self.shared.is_wall_wrong();
        if !is_set {
            if now.since_boot >= back_by + OVERSLEPT {
                self.schedule.woke(now.since_boot);
            }
            return;
        }
        let Some(live) = self.shared.lock().live.clone() else {
            self.schedule.jumped(now.since_boot, Duration::ZERO);
            return;
        };
        self.observer.event(&Event::ClockSet { seconds: set_by });
        let left = live.left(now).saturating_sub(self.shared.last());
        self.schedule.jumped(now.since_boot, left);
    }

    /// Looks whether files have changed; gives when to look again.
    fn look_at_files(&mut self, now: Now) -> Duration {
        if self.watch.is_empty() {
            return LONG;
        }
        // Who comes back after a while looks anyhow.
        let again = if self.schedule.is_in_use(now.since_boot) {
            LOOK
        } else {
            LOOK_UNUSED
        };
        match self.watch.look(now.since_boot) {
            Seen::Same => return again,
            Seen::Changing(wait) => return wait.min(again),
            Seen::Changed => self.reopen = Some(Reason::Files { is_final: false }),
            Seen::Final => self.reopen = Some(Reason::Files { is_final: true }),
        }
        self.candidate = None;
        if !self.schedule.is_on_demand() {
            self.schedule.asked(now.since_boot);
        }
        again
    }

    /// One attempt, and what follows from it.
    fn refresh(&mut self, asked: Now) {
        self.shared.lock().is_busy = true;
        let outcome = self.attempt(asked);
        let now = self.shared.now();
        match outcome {
            Outcome::Begun(fresh) => self.begun(asked, now, fresh),
            Outcome::Failed(failure) => self.failed(now, failure),
            Outcome::Kept => {}
        }
        let wakes = {
            let mut state = self.shared.lock();
            state.is_busy = false;
            state.rounds += 1;
            state.not_before = self.schedule.backs_off(now.since_boot);
            state.status.pin_tries = self.source.pin_tries();
            state.wakes.clone()
        };
        self.shared.tell();
        for wake in wakes {
            wake();
        }
    }

    fn attempt(&mut self, now: Now) -> Outcome {
        if let Some(reason) = self.must_open(now) {
            match self.open(reason, now) {
                Ok(opened) => self.candidate = opened,
                Err(failure) if self.opened.is_none() => return Outcome::Failed(failure),
                Err(failure) => self.not_opened(reason, &failure),
            }
        }
        let may_wait = self.opened.is_some() && !self.schedule.is_asked(now.since_boot);
        if let Some(candidate) = self.candidate.take_if(|c| c.failures == 0 || !may_wait)
            && let Some(outcome) = self.prove(candidate, now)
        {
            return outcome;
        }
        if !self.schedule.is_due(now.since_boot) {
            return Outcome::Kept;
        }
        match self.opened.as_mut().map(|opened| opened.create()) {
            None => Outcome::Kept,
            Some(Ok(fresh)) => Outcome::Begun(fresh),
            Some(Err(failure)) => {
                if failure.kind == FailureKind::Lasting {
                    self.reopen = Some(Reason::Recovery);
                }
                Outcome::Failed(failure)
            }
        }
    }

    fn must_open(&mut self, now: Now) -> Option<Reason> {
        let reason = self.reopen.take();
        if reason.is_some() || self.candidate.is_some() {
            return reason;
        }
        if self.opened.is_none() {
            return Some(Reason::First);
        }
        // Somebody waits for what is going to come of it: it is looked at now, whatever it is.
        if self.watch.look(now.since_boot) != Seen::Same && self.watch.try_now() {
            self.schedule.asked(now.since_boot);
            return Some(Reason::Files { is_final: false });
        }
        let is_long_ago = now.since_boot >= self.opened_at + LOOK_AT_DEVICE;
        (is_long_ago && self.source.has_device()).then_some(Reason::Device)
    }

    /// Opens what is configured now; nothing, if that is the same certificate as before, and nobody said
    /// that anything has changed.
    fn open(&mut self, reason: Reason, now: Now) -> Result<Option<Candidate>, Failure> {
        let before = Stamps::of(self.source.files());
        let opened = self.source.open();
        let after = self.source.files();
        if opened.is_ok() || !matches!(reason, Reason::Files { is_final: false }) {
            // Of what changes meanwhile the next look sees that it is not the same any more.
            self.watch.know(before.of_these(after));
        }
        let opened = opened?;
        self.opened_at = now.since_boot;
        let certificate = self.opened.as_ref().and_then(|opened| opened.certificate());
        let is_same = certificate.is_some() && certificate == opened.certificate();
        if reason == Reason::Device && is_same {
            return Ok(None);
        }
        Ok(Some(Candidate {
            opened,
            reason,
            failures: 0,
        }))
    }

    /// What is configured now cannot be opened.
    fn not_opened(&mut self, reason: Reason, failure: &Failure) {
        match reason {
            // It may still be in the making.
            Reason::Files { is_final: false } => self.schedule.not_asked(),
            Reason::Files { is_final: true } | Reason::Reload => self.refuse(failure),
            Reason::First | Reason::Recovery | Reason::Device => {}
        }
    }

    fn refuse(&mut self, failure: &Failure) {
        self.schedule.not_asked();
        self.shared.lock().status.reloads_refused += 1;
        self.observer.event(&Event::ReloadRefused(failure));
    }

    /// Has a candidate begin a session. `None` if it did not, and what was there before is to go on.
    fn prove(&mut self, mut candidate: Candidate, now: Now) -> Option<Outcome> {
        let failure = match candidate.opened.create() {
            Ok(fresh) => {
                self.replace(candidate);
                return Some(Outcome::Begun(fresh));
            }
            Err(failure) => failure,
        };
        candidate.failures += 1;
        let is_first = self.opened.is_none();
        match failure.kind {
            // What is opened next time may be something else.
            FailureKind::Lasting if is_first => {}
            FailureKind::Lasting if candidate.reason == Reason::Recovery => {}
            FailureKind::Lasting => self.refuse(&failure),
            FailureKind::Temporary if !is_first => {
                // Without a network nothing can be proven; but it may be what has changed.
                if candidate.failures == UNPROVEN {
                    self.refuse(&failure);
                }
                self.schedule
                    .asked_later(now.since_boot, candidate.failures);
                self.candidate = Some(candidate);
            }
            FailureKind::Temporary | FailureKind::Throttled => {
                self.candidate = Some(candidate);
                return Some(Outcome::Failed(failure));
            }
        }
        is_first.then_some(Outcome::Failed(failure))
    }

    fn replace(&mut self, candidate: Candidate) {
        self.shared.lock().status.generation += 1;
        if self.opened.is_some() && candidate.reason != Reason::Recovery {
            self.observer.event(&Event::Reloaded);
        }
        self.opened = Some(candidate.opened);
    }

    fn begun(&mut self, asked: Now, now: Now, fresh: Fresh) {
        let Fresh { credentials, date } = fresh;
        let expiration = credentials.expiration;
        // By the service's own clock, where it says what that is.
        let life = expiration.since(date.unwrap_or(asked.wall));
        let life = Duration::from_secs(u64::try_from(life).unwrap_or_default());
        // Whatever clock a service has, it gives no session a longer life than it was asked for.
        let longest = self.opened.as_ref().and_then(|opened| opened.session());
        let live = Live {
            credentials: Arc::new(credentials),
            ends: asked.since_boot + longest.map_or(life, |longest| life.min(longest)),
        };
        let left = live.left(now).saturating_sub(self.shared.last());
        if left.is_zero() {
            return self.failed(now, expired(expiration));
        }
        self.schedule.begun(now.since_boot, left);
        if let Some(candidate) = &self.candidate {
            self.schedule
                .asked_later(now.since_boot, candidate.failures);
        }
        let opened = self.opened.as_ref();
        let certificate_expires = opened.and_then(|opened| opened.certificate_expires());
        let is_news = {
            let mut state = self.shared.lock();
            let is_news = state
                .live
                .as_ref()
                .is_none_or(|live| live.left(now) <= self.shared.last());
            state.live = Some(live);
            state.is_used = false;
            let status = &mut state.status;
            status.successes += 1;
            status.certificate_expires = certificate_expires;
            status.failure.take().is_some() || is_news
        };
        self.told = Told {
            has_begun: true,
            ..Told::default()
        };
        if is_news {
            self.observer.event(&Event::Begun { expiration });
        }
    }

    fn failed(&mut self, now: Now, failure: Failure) {
        self.schedule.failed(now.since_boot, failure.kind);
        // Another word for the same trouble is no news, another kind of trouble is.
        if self.told.failure.replace(failure.kind) != Some(failure.kind) {
            self.observer.event(&Event::Failed(&failure));
        }
        let mut state = self.shared.lock();
        let status = &mut state.status;
        status.failures += 1;
        *match failure.kind {
            FailureKind::Temporary => &mut status.temporary,
            FailureKind::Throttled => &mut status.throttled,
            FailureKind::Lasting => &mut status.lasting,
        } += 1;
        status.failure = Some(failure);
    }
}

fn expired(expiration: UnixTime) -> Failure {
    Failure {
        kind: FailureKind::Temporary,
        what: format!(
            "the service gave credentials until {expiration}, which is over by this machine's clock"
        ),
        remedy: String::from("set the clock"),
    }
}
