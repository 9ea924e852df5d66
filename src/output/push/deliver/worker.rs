//! What the uploading threads do: one entry after the other, as the schedule says.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString as _};
use std::sync::Arc;

use super::deliverer::{Settled, Shared, State};
use super::disk::OnDisk;
use super::event::{About, Event};
use super::schedule::{End, Next, Place, Ticket};
use super::tally::LastError;
use crate::core::time::UnixTime;
use crate::host::refresh::Failure;
use crate::host::s3::{FaultKind, ObjectStore, S3Error};
use crate::host::session::Credentials;
use crate::host::spool::{Entry, Reason, SpoolError};
use crate::output::push::{Confirm, Halt, Object, Outcome, Progress, Sessions, Uploader};

/// How long connections are kept when there is nothing to send: S3 closes them after a few seconds itself.
const KEEP: Duration = Duration::from_secs(15);

/// Where there is nothing to do, a thread sleeps until somebody wakes it.
const LONG: Duration = Duration::from_secs(86_400);

/// The thread's work.
pub(super) fn run(shared: &Shared) {
    let mut stores = BTreeMap::new();
    while let Some(ticket) = next(shared, &mut stores) {
        let end = attempt(shared, &ticket, &mut stores);
        ended(shared, ticket, end);
    }
}

/// Does with an entry what is to be done.
pub(super) fn attempt(shared: &Shared, ticket: &Ticket, stores: &mut OwnStores) -> End {
    let sessions = Numbered {
        shared,
        number: AtomicU64::new(0),
    };
    let settled = shared.lock().settled.remove(&ticket.place);
    match settled {
        Some(settled) => settle(shared, ticket.place, settled),
        None => deliver(shared, ticket, &sessions, stores),
    }
}

type OwnStores = BTreeMap<String, Box<dyn ObjectStore>>;

/// Waits for something to send; `None` at the end.
fn next(shared: &Shared, stores: &mut OwnStores) -> Option<Ticket> {
    let mut state = shared.lock();
    loop {
        if state.is_stopping {
            return None;
        }
        let now = shared.now();
        let limit = match state.schedule.next(now) {
            Next::Send(ticket) => return Some(ticket),
            Next::At(at) => at.saturating_sub(now),
            Next::Idle => LONG,
        };
        if stores.is_empty() {
            state = shared.wait(state, shared.clocks.lasts(limit));
            continue;
        }
        let began = now;
        state = shared.wait(state, shared.clocks.lasts(limit.min(KEEP)));
        if shared.now() >= began + KEEP {
            drop(state);
            stores.clear();
            state = shared.lock();
        }
    }
}

/// Sends an entry, and does with it what follows from the answer.
fn deliver(
    shared: &Shared,
    ticket: &Ticket,
    sessions: &Numbered<'_>,
    stores: &mut OwnStores,
) -> End {
    let id = ticket.place.1;
    let entry = match shared.disk.call(|| shared.spool.open_entry(id)) {
        // Dropped and added again meanwhile, it is another one, whose turn comes after what was accepted in between.
        Ok(Some(entry)) if entry.head.sequence != ticket.place.0 => return End::Gone,
        Ok(Some(entry)) => entry,
        Ok(None) => return End::Gone,
        Err(error @ SpoolError::Damaged { .. }) => {
            let reason = reason(shared, "Damaged", error.to_string());
            return settle(shared, ticket.place, Settled::SetAside(reason));
        }
        Err(error) => return disk(shared, &error),
    };
    let mut journal = shared.spool.journal(id);
    let head = &entry.head;
    let store = match store(shared, stores, &head.bucket) {
        Ok(store) => store,
        Err(what) => {
            let error = no_bucket(what);
            return failed(shared, ticket, &entry, &error, 0);
        }
    };
    let object = Object {
        key: &head.key,
        attributes: &head.attributes,
        length: head.digests.length,
        digests: Some(head.digests),
        content: &OnDisk {
            content: &entry,
            disk: &shared.disk,
        },
    };
    let mut uploader = Uploader {
        store,
        helpers: &mut [],
        sessions,
        options: &shared.options.upload,
        pace: &shared.pace,
        allowed: &shared.allowed,
    };
    let result = uploader.upload(&object, &mut journal, &mut Counter(shared));
    drop(journal);
    let session = sessions.number.load(Ordering::Relaxed);
    match result {
        Ok(outcome) => settled(shared, ticket, &entry, outcome, session),
        Err(Halt::Stopped) => End::Stopped,
        Err(Halt::Session(failure)) => no_session(shared, &failure),
        Err(Halt::Store(error)) => failed(shared, ticket, &entry, &error, session),
    }
}

fn store<'a>(
    shared: &Shared,
    stores: &'a mut OwnStores,
    bucket: &str,
) -> Result<&'a mut dyn ObjectStore, String> {
    if !stores.contains_key(bucket) {
        stores.insert(bucket.into(), shared.stores.open(bucket)?);
    }
    match stores.get_mut(bucket) {
        Some(store) => Ok(&mut **store),
        None => Err(String::new()),
    }
}

fn no_bucket(what: String) -> S3Error {
    S3Error {
        kind: FaultKind::Place,
        status: None,
        code: String::new(),
        what,
        remedy: String::new(),
        retry_after: None,
        date: None,
    }
}

/// S3 has said something about the entry that is final.
fn settled(shared: &Shared, ticket: &Ticket, entry: &Entry, outcome: Outcome, session: u64) -> End {
    let is_status_enough = shared.options.upload.confirm == Confirm::Status;
    let aside = |code: &str, what| Settled::SetAside(reason(shared, code, what));
    let what = match outcome {
        Outcome::Confirmed(_) | Outcome::WasThere(_) => Settled::Removed,
        Outcome::Unconfirmed(_) if is_status_enough => Settled::Removed,
        Outcome::Unconfirmed(_) => aside(
            "Unconfirmed",
            "the server has taken it, but tells neither a checksum nor an ETag that says what it has: with \
             --confirm status that is enough"
                .into(),
        ),
        Outcome::Unsettled(what) => aside("PreconditionFailed", what),
        Outcome::Poison(error) => aside(&error.code, error.what),
    };
    if !matches!(what, Settled::Removed) {
        let end = settle(shared, ticket.place, what);
        return end;
    }
    {
        let head = &entry.head;
        let length = head.digests.length;
        let mut state = shared.lock();
        state.counts.delivered += 1;
        state.counts.delivered_bytes += length;
        state.last_delivery = Some(shared.wall());
        state.passing(ticket.lane);
        state.observer.event(&Event::Delivered {
            bucket: &head.bucket,
            key: &head.key,
            length,
        });
    }
    match settle(shared, ticket.place, what) {
        End::SetAside => End::Delivered { session },
        other => other,
    }
}

/// Does what is to become of an entry. If the disk does not let it, that is kept in mind.
fn settle(shared: &Shared, place: Place, what: Settled) -> End {
    let id = place.1;
    let done = match &what {
        Settled::Removed => shared.disk.call(|| shared.spool.remove(id)),
        Settled::SetAside(reason) => {
            let head = shared.spool.open_entry(id).ok().flatten();
            let done = shared.disk.call(|| shared.spool.set_aside(id, reason));
            if matches!(done, Ok(true)) {
                let mut state = shared.lock();
                state.counts.set_aside += 1;
                let head = head.as_ref().map(|entry| &entry.head);
                let name = id.to_string();
                state.observer.event(&Event::SetAside {
                    bucket: head.map_or("", |head| &head.bucket),
                    key: head.map_or(&name, |head| &head.key),
                    reason,
                });
            }
            done
        }
    };
    match done {
        Ok(_) => {
            let mut state = shared.lock();
            state.gone.push(id);
            state.told.is_over(About::Disk);
            End::SetAside
        }
        Err(error) => {
            let end = disk(shared, &error);
            shared.lock().settled.insert(place, what);
            end
        }
    }
}

/// It did not end, and is tried again.
fn failed(shared: &Shared, ticket: &Ticket, entry: &Entry, error: &S3Error, session: u64) -> End {
    let mut state = shared.lock();
    *match error.kind {
        FaultKind::Network | FaultKind::Server => &mut state.counts.network,
        FaultKind::Throttled => &mut state.counts.throttled,
        FaultKind::Content | FaultKind::Restart | FaultKind::Object | FaultKind::Exists => {
            &mut state.counts.local
        }
        FaultKind::Credentials
        | FaultKind::Refused
        | FaultKind::Unclear
        | FaultKind::Clock
        | FaultKind::Place => &mut state.counts.refused,
    } += 1;
    if matches!(error.kind, FaultKind::Refused | FaultKind::Unclear) {
        let code = match error.code.as_str() {
            "" => "Refused",
            code => code,
        };
        let reason = reason(shared, code, error.what.clone());
        state.refusals.insert(ticket.place, reason);
    }
    // Of the entry's key says something only what is about the entry.
    let what = match error.kind {
        FaultKind::Refused | FaultKind::Unclear | FaultKind::Content | FaultKind::Restart => {
            format!("{}: {}", entry.head.key, error.what)
        }
        _ => error.what.clone(),
    };
    state.failed_with(what, error.remedy.clone(), shared.wall());
    End::Failed {
        kind: error.kind,
        retry_after: error.retry_after,
        session,
    }
}

fn no_session(shared: &Shared, failure: &Failure) -> End {
    let mut state = shared.lock();
    state.counts.no_session += 1;
    let (what, remedy) = (failure.what.clone(), failure.remedy.clone());
    state.failed_with(what, remedy, shared.wall());
    if state
        .told
        .is_news(About::Session, &format!("{:?}", failure.kind))
    {
        state.observer.event(&Event::NoSession(failure));
    }
    End::NoSession(failure.kind)
}

/// The disk does not do what it is asked for.
fn disk(shared: &Shared, error: &SpoolError) -> End {
    let what = error.to_string();
    let mut state = shared.lock();
    state.counts.local += 1;
    state.failed_with(what.clone(), error.remedy().into(), shared.wall());
    if state.told.is_news(About::Disk, &what) {
        state.observer.event(&Event::Disk(&what));
    }
    End::Stuck
}

/// Tells the schedule, and does what follows.
pub(super) fn ended(shared: &Shared, ticket: Ticket, end: End) {
    let now = shared.now();
    let poison = {
        let mut state = shared.lock();
        // Should it come again, it is new.
        if end == End::Gone {
            state.gone.push(ticket.place.1);
        }
        let poison = state.schedule.ended(now, ticket, end);
        if let End::Failed { kind, .. } = end {
            state.failing(now, ticket.lane, kind);
        }
        if !matches!(end, End::Failed { .. } | End::Stuck) {
            state.refusals.remove(&ticket.place);
        }
        let reasons = poison.into_iter().map(|place| {
            let found = state.refusals.remove(&place);
            let reason = found.unwrap_or_else(|| reason(shared, "AccessDenied", String::new()));
            (place, reason)
        });
        reasons.collect::<std::vec::Vec<_>>()
    };
    for (place, mut reason) in poison {
        reason.what += " (others pass with the same session)";
        if settle(shared, place, Settled::SetAside(reason)) == End::Stuck {
            // It is asked for again like one that has just come.
            let mut state = shared.lock();
            state.backlog.extend([place]);
            drop(state);
            shared.bell.ring();
        }
    }
    let (is_hungry, is_news) = {
        let state = shared.lock();
        for wake in &state.wakes {
            wake();
        }
        let is_hungry = state.backlog.is_wanted(&state.schedule);
        (
            is_hungry,
            state.schedule.in_flight() < shared.options.concurrency,
        )
    };
    if is_hungry {
        shared.bell.ring();
    }
    if is_news {
        shared.tell();
    }
}

fn reason(shared: &Shared, code: &str, what: String) -> Reason {
    Reason {
        code: code.into(),
        what,
        at: shared.wall(),
    }
}

impl State {
    /// Keeps the last error in mind.
    pub(super) fn failed_with(&mut self, what: String, remedy: String, at: UnixTime) {
        self.last_error = Some(LastError { what, remedy, at });
    }

    fn passing(&mut self, lane: usize) {
        let has_failed = self.told.is_over(About::Session);
        if self.told.is_over(About::Lane(lane)) | has_failed {
            self.observer.event(&Event::Passing);
        }
    }

    /// An upload has failed. What concerns an entry alone is no news about the way.
    fn failing(&mut self, now: Duration, lane: usize, kind: FaultKind) {
        let Some(until) = self.schedule.pauses_until(lane) else {
            return;
        };
        if self.told.is_news(About::Lane(lane), &format!("{kind:?}"))
            && let Some(error) = self.last_error.clone()
        {
            let again = until.saturating_sub(now);
            self.observer.event(&Event::Failing {
                error: &error,
                kind,
                again,
            });
        }
    }
}

/// Sessions whose number is told: what is refused with one of them says nothing about another.
struct Numbered<'a> {
    shared: &'a Shared,
    number: AtomicU64,
}

impl Sessions for Numbered<'_> {
    fn credentials(&self) -> Result<Arc<Credentials>, Failure> {
        let credentials = self.shared.sessions.credentials()?;
        let mut state = self.shared.lock();
        let session = &mut state.session;
        let is_same = |last: &Arc<Credentials>| Arc::ptr_eq(last, &credentials);
        if !session.credentials.as_ref().is_some_and(is_same) {
            session.number += 1;
            session.credentials = Some(credentials.clone());
        }
        self.number.store(session.number, Ordering::Relaxed);
        Ok(credentials)
    }

    fn refused(&self, used: &Arc<Credentials>) {
        self.shared.sessions.refused(used);
    }
}

/// Counts what is sent.
struct Counter<'a>(&'a Shared);

impl Progress for Counter<'_> {
    fn sent(&mut self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn again(&mut self, _bytes: u64) {}

    fn resumed(&mut self, _bytes: u64) {}
}
