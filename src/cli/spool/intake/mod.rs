//! What `spool run` takes over: files of watched folders, records at a socket.

mod log;
mod naming;
mod plan;

pub use log::Tally;
pub use naming::Namer;
pub use plan::{IntakePlan, RecordsPlan};

use std::boxed::Box;
use std::format;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::string::String;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::vec::Vec;

use self::log::{BatchLog, SocketLog, WatchLog};
use super::failure;
use crate::cli::context::Console;
use crate::cli::error::{CliError, Exit};
use crate::host::spool::record::{RecordSocket, Recorder};
use crate::host::spool::watch::Watcher;
use crate::host::spool::{Bell, Spool};

/// What takes over, on threads of its own. Dropped, it ends them, and makes an entry of the open batch.
pub struct Intake {
    bell: Arc<Bell>,
    threads: Vec<JoinHandle<()>>,
    recorder: Recorder,
    tally: Arc<Tally>,
    console: Console,
}

impl Intake {
    /// Opens everything that is planned, and begins. `handed` is a socket that the service manager has opened for
    /// records; `group` is whom a socket is for that is made here. What killed processes have left of records
    /// becomes entries.
    ///
    /// # Errors
    /// [`CliError`] if something cannot be opened.
    pub fn start(
        plan: &IntakePlan,
        spool: &Spool,
        namer: Option<Namer>,
        handed: Option<UnixListener>,
        group: Option<u32>,
        console: Console,
    ) -> Result<Self, CliError> {
        let tally = Arc::new(Tally::default());
        let names: Box<crate::host::spool::record::Names> = match namer.clone() {
            Some(namer) => Box::new(move |name, begun| namer.of_batch(name, begun)),
            None => Box::new(|_, _| Err("no socket for records was asked for".into())),
        };
        let log = BatchLog {
            console,
            tally: tally.clone(),
        };
        let options = plan.records.options.clone();
        let recorder = Recorder::new(spool.clone(), names, options, Box::new(log));
        recorder
            .recover()
            .map_err(|error| failure::of(&error, ""))?;
        let mut intake = Self {
            bell: Arc::new(Bell::new().map_err(|error| refused(&error))?),
            threads: Vec::new(),
            recorder,
            tally,
            console,
        };
        // Everything is opened before anything is taken.
        let mut watchers = Vec::new();
        if let Some(namer) = &namer {
            for path in &plan.watched {
                watchers.push(intake.watcher(path, plan, spool, namer.clone())?);
            }
        }
        let socket = intake.socket(plan, handed, group)?;
        for watcher in watchers {
            let bell = intake.bell.clone();
            intake.spawn("watch", move || watcher.run(&bell))?;
        }
        let (recorder, bell) = (intake.recorder.clone(), intake.bell.clone());
        // Also without a socket: `spool add --records` may be killed at any time.
        intake.spawn("batches", move || recorder.keep_time(&bell))?;
        if let Some((socket, log)) = socket {
            let (recorder, bell) = (intake.recorder.clone(), intake.bell.clone());
            let longest = plan.records.longest;
            intake.spawn("socket", move || {
                socket.run(&recorder, longest, &bell, &log);
            })?;
        }
        Ok(intake)
    }

    /// How much has come in.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    fn watcher(
        &self,
        path: &Path,
        plan: &IntakePlan,
        spool: &Spool,
        namer: Namer,
    ) -> Result<Watcher, CliError> {
        let log = WatchLog {
            path: path.into(),
            console: self.console,
            tally: self.tally.clone(),
        };
        let names = Box::new(move |name: &_, modified| namer.of_file(name, modified));
        let opened = Watcher::open(path, spool.clone(), names, &plan.watch, Box::new(log));
        opened.map_err(|error| {
            let path = path.display();
            CliError::new(
                Exit::Usage,
                format!("the folder {path} cannot be watched: {error}"),
                "--watch names a folder that is there, in which keystead may write, and which nobody else watches",
            )
        })
    }

    fn socket(
        &self,
        plan: &IntakePlan,
        handed: Option<UnixListener>,
        group: Option<u32>,
    ) -> Result<Option<(RecordSocket, SocketLog)>, CliError> {
        let (opened, name) = match (handed, &plan.socket) {
            (Some(handed), _) => (
                RecordSocket::from_listener(handed),
                String::from("the socket for records"),
            ),
            (None, Some(path)) => (
                RecordSocket::bind(path, group),
                format!("{}", path.display()),
            ),
            (None, None) => return Ok(None),
        };
        let socket = opened.map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program listens there, or something else is in the place"
                }
                _ => "--record-socket PATH names another place",
            };
            let what = format!("the socket {name} cannot be made: {error}");
            CliError::new(Exit::Internal, what, remedy)
        })?;
        let log = SocketLog {
            name,
            console: self.console,
            tally: self.tally.clone(),
        };
        Ok(Some((socket, log)))
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
        let spawned = thread::Builder::new().name(name.into()).spawn(work);
        self.threads.push(spawned.map_err(|error| refused(&error))?);
        Ok(())
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.bell.ring();
        for thread in self.threads.drain(..) {
            // One that has panicked has said so.
            let _ = thread.join();
        }
        if let Err(error) = self.recorder.close() {
            let what = format!("the last records wait on disk for the next start: {error}");
            self.console.warn(&what, error.remedy);
        }
    }
}

fn refused(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}
