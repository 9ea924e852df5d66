//! The loop that watches a folder.

use core::time::Duration;
use std::boxed::Box;
use std::collections::{BinaryHeap, VecDeque};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::time::Instant;
use std::vec::Vec;

use super::chooser::{Chooser, MOST_FILES};
use super::events::{Events, NoEvents, Notice};
use super::folder::{Folder, Found, is_candidate};
use super::refusal::Refusal;
use super::take::{Candidate, Names, Outcome, take_group};
use crate::host::spool::{Bell, Spool, SpoolError};

/// All names are looked at so often where there are events, in case one was lost.
const SCAN: Duration = Duration::from_secs(60);

/// The same while there are hard links: nobody tells that the other name is gone.
const SCAN_LINKS: Duration = Duration::from_secs(2);

/// After this, a full spool is tried again.
const FULL: Duration = Duration::from_secs(2);

/// After this, what fails is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// A folder that is gone is looked for so often.
const LOOK: Duration = Duration::from_secs(5);

/// How a folder is watched.
#[derive(Debug, Clone)]
pub struct Options {
    /// A file that was not renamed to its name is complete when nothing has happened to it for so long.
    pub quiet: Duration,
    /// Whether it is looked at again and again, even if the kernel could tell what changes.
    pub polls: bool,
}

impl Default for Options {
    /// Five seconds.
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(5),
            polls: false,
        }
    }
}

/// What happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A file was taken over.
    Taken {
        /// Its name.
        name: &'a OsStr,
        /// Its length.
        length: u64,
        /// Whether the spool had not had it before.
        is_new: bool,
    },
    /// Something in the folder is not taken. Once for each.
    Refused {
        /// Its name.
        name: &'a OsStr,
        /// Why.
        why: Refusal,
        /// What the system or the template says; may be empty.
        text: &'a str,
    },
    /// The spool is full: files stay where they are.
    Full(&'a SpoolError),
    /// The spool does not work: files stay where they are.
    Failed(&'a SpoolError),
    /// Files are taken again.
    Recovered,
    /// Nothing is told of changes: the folder is looked at again and again.
    Polling(&'a NoEvents),
    /// The folder cannot be read, or is not there.
    Lost(&'a io::Error),
    /// The folder is there again.
    Found,
}

/// Is told what happens, on the watching thread.
pub trait Observer: Send {
    /// Something has happened.
    fn event(&mut self, event: &Event<'_>);
}

/// Watches a folder.
pub struct Watcher {
    path: PathBuf,
    spool: Spool,
    names: Box<Names>,
    options: Options,
    observer: Box<dyn Observer>,
    start: Instant,
    chooser: Chooser,
    open: Option<Open>,
    queue: VecDeque<Candidate>,
    next_scan: Duration,
    not_before: Duration,
    /// What was told last of a trouble that goes on.
    trouble: Option<String>,
    is_lost: bool,
}

struct Open {
    folder: Folder,
    events: Option<Events>,
}

impl Watcher {
    /// Opens the folder `path`, whose files go into `spool` as `names` says.
    ///
    /// # Errors
    /// [`io::Error`] if it cannot be opened or written in.
    pub fn open(
        path: &Path,
        spool: Spool,
        names: Box<Names>,
        options: &Options,
        observer: Box<dyn Observer>,
    ) -> io::Result<Self> {
        let mut watcher = Self {
            path: path.into(),
            spool,
            names,
            options: options.clone(),
            observer,
            start: Instant::now(),
            chooser: Chooser::new(options.quiet),
            open: None,
            queue: VecDeque::new(),
            next_scan: Duration::ZERO,
            not_before: Duration::ZERO,
            trouble: None,
            is_lost: false,
        };
        watcher.open = Some(watcher.open_folder()?);
        Ok(watcher)
    }

    /// Takes files over until `bell` is rung.
    pub fn run(mut self, bell: &Bell) {
        while !bell.is_rung() {
            self.find_folder();
            self.read_events();
            self.scan();
            self.take(bell);
            let most = self.pause();
            let readable: Vec<_> = self
                .open
                .iter()
                .filter_map(|open| open.events.as_ref())
                .map(Events::descriptor)
                .collect();
            bell.wait(&readable, Some(most));
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn open_folder(&mut self) -> io::Result<Open> {
        let folder = Folder::open(&self.path)?;
        // Before the first scan: what comes in between is seen twice rather than never.
        let events = match self.options.polls {
            true => Err(NoEvents::Unwanted),
            false => Events::of(&self.path, folder.descriptor()),
        };
        let events = events.map_err(|why| self.observer.event(&Event::Polling(&why)));
        Ok(Open {
            folder,
            events: events.ok(),
        })
    }

    /// Sees to it that the folder that is watched is the one at the path.
    fn find_folder(&mut self) {
        let now = self.now();
        if self.open.is_some() || now < self.next_scan {
            return;
        }
        match self.open_folder() {
            Ok(open) => {
                self.open = Some(open);
                if core::mem::take(&mut self.is_lost) {
                    self.observer.event(&Event::Found);
                }
            }
            Err(error) => self.lose(&error),
        }
    }

    fn lose(&mut self, error: &io::Error) {
        self.open = None;
        self.queue.clear();
        self.chooser = Chooser::new(self.options.quiet);
        self.next_scan = self.now() + LOOK;
        if !core::mem::replace(&mut self.is_lost, true) {
            self.observer.event(&Event::Lost(error));
        }
    }

    fn read_events(&mut self) {
        let now = self.now();
        let Some(Open {
            events: Some(events),
            ..
        }) = &self.open
        else {
            return;
        };
        let chooser = &mut self.chooser;
        let (mut is_gone, mut has_lost) = (false, false);
        let read = events.read(&mut |notice| match notice {
            Notice::Sign(name, sign) if is_candidate(name) => chooser.sign(name, sign, now),
            Notice::Sign(..) => {}
            Notice::Overflow => has_lost = true,
            Notice::FolderGone => is_gone = true,
        });
        if is_gone {
            // It may have been replaced: that is found out at once.
            self.lose(&io::ErrorKind::NotFound.into());
            self.next_scan = Duration::ZERO;
        } else if has_lost || read.is_err() {
            self.chooser.doubt(now);
            self.next_scan = Duration::ZERO;
        }
    }

    /// Looks at all names, if it is time.
    fn scan(&mut self) {
        let now = self.now();
        if now < self.next_scan && !self.chooser.wants_scan() {
            return;
        }
        let Some(open) = &self.open else {
            return;
        };
        self.next_scan = now
            + match open.events {
                Some(_) if self.chooser.has_links() => SCAN_LINKS,
                Some(_) => SCAN,
                None => (self.options.quiet / 2)
                    .clamp(Duration::from_millis(100), Duration::from_secs(10)),
            };
        if !open.folder.is_there() {
            return self.lose(&io::ErrorKind::NotFound.into());
        }
        // The oldest ones, if there are too many.
        let mut oldest = BinaryHeap::new();
        let mut has_more = false;
        let read = open.folder.names(|name| {
            if let Ok(Found::File(look) | Found::Refused(_, look)) = open.folder.look(name) {
                let name = name.into();
                oldest.push(Candidate { look, name });
            }
            if oldest.len() > MOST_FILES {
                oldest.pop();
                has_more = true;
            }
        });
        if let Err(error) = read {
            return self.lose(&error);
        }
        self.chooser.begin_scan();
        for Candidate { look, name } in oldest {
            self.chooser.seen(&name, look, now);
        }
        self.chooser.end_scan(has_more);
    }

    /// Takes what is due, in groups, so that events are not lost meanwhile.
    fn take(&mut self, bell: &Bell) {
        let now = self.now();
        if now < self.not_before {
            return;
        }
        if self.queue.is_empty() {
            self.fill(now);
        }
        let chooser = &self.chooser;
        self.queue
            .retain(|candidate| chooser.is_due(&candidate.name, now));
        let Some(open) = &self.open else {
            return;
        };
        if self.queue.is_empty() {
            return;
        }
        let group = take_group(
            &open.folder,
            &self.spool,
            &*self.names,
            &mut self.queue,
            bell,
        );
        let is_progress = !group.outcomes.is_empty();
        let now = self.now();
        for (candidate, outcome) in group.outcomes {
            let name = &candidate.name;
            match outcome {
                Outcome::Taken { is_new } => {
                    self.chooser.forget(name);
                    let length = candidate.look.length;
                    self.observer.event(&Event::Taken {
                        name,
                        length,
                        is_new,
                    });
                }
                Outcome::Changed => self.chooser.put_off(name, now),
                Outcome::Gone => self.chooser.forget(name),
                Outcome::Refused(why, text) => self.refuse(&candidate, why, &text),
            }
        }
        match group.stopped {
            Some(error) => {
                self.trouble(&error);
                if is_progress {
                    // What is smaller goes on.
                    self.not_before = now;
                }
            }
            None if is_progress && self.trouble.take().is_some() => {
                self.observer.event(&Event::Recovered);
            }
            None => {}
        }
    }

    /// Looks at what is due, and puts it into its order.
    fn fill(&mut self, now: Duration) {
        let Some(open) = &self.open else {
            return;
        };
        let mut due = Vec::new();
        let mut refused = Vec::new();
        for name in self.chooser.due(now) {
            match open.folder.look(&name) {
                Ok(Found::File(look)) => {
                    if self.chooser.confirm(&name, look, now) {
                        due.push(Candidate { look, name });
                    }
                }
                Ok(Found::Refused(why, look)) => refused.push((Candidate { look, name }, why)),
                // Gone, or soon to be found out why not.
                Err(_) => self.chooser.forget(&name),
            }
        }
        for (candidate, why) in refused {
            self.refuse(&candidate, why, "");
        }
        due.sort_unstable();
        self.queue = due.into();
    }

    fn refuse(&mut self, candidate: &Candidate, why: Refusal, text: &str) {
        let name = &candidate.name;
        if why == Refusal::HardLink {
            self.next_scan = self.next_scan.min(self.now() + SCAN_LINKS);
        }
        if self.chooser.refuse(name, why, candidate.look) {
            self.observer.event(&Event::Refused { name, why, text });
        }
    }

    fn trouble(&mut self, error: &SpoolError) {
        let is_full = error.is_full();
        self.not_before = self.now() + if is_full { FULL } else { AGAIN };
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            self.trouble = Some(text);
            self.observer.event(&match is_full {
                true => Event::Full(error),
                false => Event::Failed(error),
            });
        }
    }

    /// How long nothing has to be done, if nothing happens.
    fn pause(&self) -> Duration {
        let now = self.now();
        let scan = self.next_scan.saturating_sub(now);
        if self.open.is_none() {
            return scan;
        }
        let due = match self.queue.is_empty() {
            false => Some(Duration::ZERO),
            true => self.chooser.next(now),
        };
        let due = due.map(|due| due.max(self.not_before.saturating_sub(now)));
        due.map_or(scan, |due| due.min(scan))
    }
}
