//! The thread that looks for new entries, for the network and at the upload window.

use core::mem;
use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::string::ToString as _;
use std::time::Instant;
use std::vec::Vec;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::between::Window;
use super::deliverer::{Shared, State};
use super::event::{About, Event};
#[cfg(target_os = "linux")]
use super::network::Network;
use crate::host::spool::{News, SpoolError};

/// How often the spool is looked at, where the kernel does not tell of new entries: a look costs one system
/// call while nothing has changed.
const LOOK: Duration = Duration::from_secs(1);

/// The same where it does; what it may have missed is found then.
const LOOK_SELDOM: Duration = Duration::from_secs(30);

/// Has the lookout look.
#[derive(Debug)]
pub(super) struct Bell {
    out: UnixStream,
    in_: UnixStream,
}

impl Bell {
    pub fn new() -> io::Result<Self> {
        let (out, in_) = UnixStream::pair()?;
        out.set_nonblocking(true)?;
        in_.set_nonblocking(true)?;
        Ok(Self { out, in_ })
    }

    pub fn ring(&self) {
        // A bell that rings already is heard.
        let _ = (&self.out).write(&[0]);
    }

    fn heard(&self) {
        let mut buffer = [0; 64];
        while matches!((&self.in_).read(&mut buffer), Ok(1..)) {}
    }
}

/// The thread's work.
pub(super) fn run(shared: &Shared) {
    let mut news = News::new();
    let mut window = None;
    let eyes = Eyes::new(shared);
    loop {
        let window_changes = look_at_window(shared, &mut window);
        look_at_spool(shared, &mut news);
        {
            let mut state = shared.lock();
            state.pulse = Instant::now();
            if state.is_stopping {
                return;
            }
        }
        let seldom = match eyes.are_told() {
            true => LOOK_SELDOM,
            false => LOOK,
        };
        let is_network_news = eyes.wait(shared, shared.clocks.lasts(seldom.min(window_changes)));
        if is_network_news {
            let now = shared.now();
            shared.lock().schedule.network_changed(now);
            shared.sessions.network_changed();
            shared.tell();
        }
    }
}

/// Finds new entries, and has the schedule know the oldest.
fn look_at_spool(shared: &Shared, news: &mut News) {
    news.forget(&mut mem::take(&mut shared.lock().gone));
    let mut places = mem::take(&mut shared.lock().unopened);
    match news.look(&shared.spool) {
        Ok(new) => places.extend(new.iter().map(|queued| (queued.sequence, queued.id))),
        Err(error) => trouble(shared, About::Disk, &error),
    }
    shared.lock().backlog.extend(places);
    feed(shared);
    match news.unreadable() {
        Some(error) => trouble(shared, About::Entries, error),
        None => {
            let mut state = shared.lock();
            if state.unopened.is_empty() {
                state.told.is_over(About::Entries);
            }
        }
    }
    let now = shared.now();
    if let Ok(usage) = shared.spool.usage() {
        let mut state = shared.lock();
        let gone = state.counts.delivered_bytes;
        state.rates.look(now, usage.bytes, gone);
    }
}

/// Has the schedule know as many of the oldest entries as it should.
pub(super) fn feed(shared: &Shared) {
    let mut is_news = false;
    loop {
        let place = {
            let mut state = shared.lock();
            if state.is_stopping {
                break;
            }
            // There may be very many, for buckets that take nothing.
            state.pulse = Instant::now();
            let State {
                schedule, backlog, ..
            } = &mut *state;
            match backlog.next(schedule) {
                Some(place) => place,
                None => break,
            }
        };
        match shared.spool.open_entry(place.1) {
            Ok(Some(entry)) => {
                let head = &entry.head;
                // As it is now: dropped and added again meanwhile, it follows what was accepted in between.
                let place = (head.sequence, place.1);
                let now = shared.now();
                let mut state = shared.lock();
                let State {
                    schedule, backlog, ..
                } = &mut *state;
                let lane = schedule.lane(&head.bucket);
                if !backlog.admits(schedule, lane, place) {
                    continue;
                }
                let length = head.digests.length;
                schedule.added(now, place, length, &head.bucket, Some(&head.key));
            }
            Ok(None) => {
                shared.lock().gone.push(place.1);
                continue;
            }
            // Whoever sends it sets it aside.
            Err(SpoolError::Damaged { .. }) => {
                let now = shared.now();
                shared.lock().schedule.added(now, place, 0, "", None);
            }
            // The next look tries it again; it holds up no others.
            Err(error) => {
                trouble(shared, About::Entries, &error);
                shared.lock().unopened.push(place);
                continue;
            }
        }
        is_news = true;
    }
    if is_news {
        shared.tell();
    }
}

fn trouble(shared: &Shared, about: About, error: &SpoolError) {
    let what = error.to_string();
    let reason = match error {
        // That it is another entry is no news.
        SpoolError::Io { source, .. } if about == About::Entries => source.kind().to_string(),
        _ => what.clone(),
    };
    let mut state = shared.lock();
    state.failed_with(what.clone(), error.remedy().into(), shared.wall());
    if state.told.is_news(about, &reason) {
        state.observer.event(&Event::Disk(&what));
    }
}

/// Closes or opens the upload window; gives when that is next to be looked at.
fn look_at_window(shared: &Shared, before: &mut Option<bool>) -> Duration {
    let Some(between) = &shared.options.between else {
        return Duration::MAX;
    };
    let now = shared.clocks.now();
    let share = shared.options.seed as f64 / u64::MAX as f64;
    let mut state: std::sync::MutexGuard<'_, State> = shared.lock();
    let (is_open, changes) = match between.at(now.wall, share) {
        Window::Open(until) => (true, until),
        Window::Closed(until) => (false, until),
    };
    let is_news = before.replace(is_open) != Some(is_open);
    match is_open {
        true => state.schedule.open(),
        false => state.schedule.shut(now.since_boot + changes),
    }
    if is_news {
        match is_open {
            true => {
                shared.pace.resume();
                state.observer.event(&Event::WindowOpened);
            }
            false => {
                shared.pace.stop();
                state.observer.event(&Event::WindowClosed(changes));
            }
        }
        drop(state);
        shared.tell();
    }
    // A clock that is set meanwhile is noticed.
    changes.min(Duration::from_secs(60))
}

/// What the kernel tells.
struct Eyes {
    #[cfg(target_os = "linux")]
    entries: Option<rustix::fd::OwnedFd>,
    #[cfg(target_os = "linux")]
    network: Option<Network>,
}

#[cfg(target_os = "linux")]
impl Eyes {
    fn new(shared: &Shared) -> Self {
        use rustix::fs::inotify;
        let entries = || {
            let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
            let watch = inotify::init(flags)?;
            let wanted = inotify::WatchFlags::MOVED_TO | inotify::WatchFlags::CREATE;
            inotify::add_watch(&watch, shared.spool.path().join("entries"), wanted)?;
            Ok::<_, rustix::io::Errno>(watch)
        };
        Self {
            // Without them it takes a little longer.
            entries: entries().ok(),
            network: Network::listen().ok(),
        }
    }

    fn are_told(&self) -> bool {
        self.entries.is_some()
    }

    /// Waits for something to happen; whether it may be the network.
    fn wait(&self, shared: &Shared, limit: Duration) -> bool {
        let mut buffer = [0; 4096];
        let mut polled = Vec::from([PollFd::new(&shared.bell.in_, PollFlags::IN)]);
        let fds = [
            self.entries.as_ref().map(|watch| watch.as_fd()),
            self.network.as_ref().map(|network| network.as_fd()),
        ];
        polled.extend(
            fds.iter()
                .flatten()
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)),
        );
        wait(&mut polled, limit);
        shared.bell.heard();
        if let Some(watch) = &self.entries {
            while matches!(rustix::io::read(watch, &mut buffer), Ok(1..)) {}
        }
        self.network.as_ref().is_some_and(Network::look)
    }
}

#[cfg(not(target_os = "linux"))]
impl Eyes {
    fn new(_shared: &Shared) -> Self {
        Self {}
    }

    fn are_told(&self) -> bool {
        false
    }

    fn wait(&self, shared: &Shared, limit: Duration) -> bool {
        wait(&mut [PollFd::new(&shared.bell.in_, PollFlags::IN)], limit);
        shared.bell.heard();
        false
    }
}

fn wait(polled: &mut [PollFd<'_>], limit: Duration) {
    let limit = Timespec::try_from(limit).ok();
    // Whatever wakes it, it looks.
    let _ = rustix::event::poll(polled, limit.as_ref());
}

#[cfg(all(test, target_os = "linux"))]
#[path = "tests/lookout.rs"]
mod tests;
