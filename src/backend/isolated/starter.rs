//! How a worker comes into being, and how it ends.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::exit;
use super::launcher::{Launcher, Launching};

/// The program's name, beside `keystead`.
const PROGRAM: &str = "keystead-signer";

/// The first argument of a worker.
pub const WORKER: &str = "worker";

/// How the environment of a `keystead-signer` differs from that of who starts it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The variables that it does not inherit, since they hold secrets.
    pub without: Vec<String>,
    /// Whether libtss2, if it is used there, keeps its log to itself. It writes warnings to standard
    /// error about what is handled here and said in other words. For all but those who have set
    /// `TSS2_LOG` to see it.
    pub quiet: bool,
}

/// What keeps libtss2 from logging (its logging(7)).
const QUIET: (&str, &str) = ("TSS2_LOG", "all+none");

/// Starts `keystead-signer`, once for each key that is opened, and again when one has ended.
#[derive(Clone)]
pub struct Starter(Arc<dyn Start + Send + Sync>);

impl Starter {
    /// Starts it as a child of this process. It ends when its pipes close; if it was started by the
    /// main thread, also with this process.
    pub fn direct(program: PathBuf, environment: Environment) -> Self {
        Self(Arc::new(Direct::new(program, environment)))
    }

    /// Has it started by a launcher, with the launcher's environment.
    pub fn launcher(launcher: Launcher) -> Self {
        Self::launcher_with(launcher, Environment::default())
    }

    /// Has it started by a launcher, with what is left then of the launcher's environment.
    pub fn launcher_with(launcher: Launcher, environment: Environment) -> Self {
        Self(Arc::new(Launching {
            launcher,
            environment,
        }))
    }

    /// Calls a function for the two ends: what the worker writes, and what it reads. For workers that
    /// are no process, as in tests.
    pub fn from_fn(
        start: impl Fn() -> io::Result<(OwnedFd, OwnedFd)> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(start))
    }

    /// Where the program is if it was installed together with `program`, which is `keystead`.
    pub fn beside(program: &Path) -> PathBuf {
        program.with_file_name(PROGRAM)
    }

    pub(super) fn start(&self) -> io::Result<Started> {
        self.0.start()
    }
}

impl fmt::Debug for Starter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Starter(…)")
    }
}

/// One way to start workers.
pub(super) trait Start {
    fn start(&self) -> io::Result<Started>;
}

/// A worker that runs.
pub(super) struct Started {
    /// What it writes.
    pub input: OwnedFd,
    /// What it reads.
    pub output: OwnedFd,
    pub process: Box<dyn Process>,
}

/// The process of a worker.
pub(super) trait Process: fmt::Debug + Send {
    /// Ends it, unless it ends by itself before `patience` is over, and says how it ended; `None` if
    /// there is nothing to be said.
    fn end(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>>;
}

/// What is no process ends by the end of its pipes.
#[derive(Debug)]
struct Unknown;

impl Process for Unknown {
    fn end(&mut self, _: Duration) -> io::Result<Option<ExitStatus>> {
        Ok(None)
    }
}

impl<F: Fn() -> io::Result<(OwnedFd, OwnedFd)>> Start for F {
    fn start(&self) -> io::Result<Started> {
        let (input, output) = self()?;
        Ok(Started {
            input,
            output,
            process: Box::new(Unknown),
        })
    }
}

/// Workers that are children of this process.
pub(super) struct Direct {
    program: PathBuf,
    environment: Environment,
    /// Those that a kill did not end: they hang in the kernel. Looked after whenever there is time.
    lingering: Arc<Mutex<Vec<Child>>>,
}

impl Direct {
    pub fn new(program: PathBuf, environment: Environment) -> Self {
        Self {
            program,
            environment,
            lingering: Arc::default(),
        }
    }

    /// Starts a worker; its process is the caller's to end.
    pub fn spawn(&self, environment: &Environment) -> io::Result<(OwnedFd, OwnedFd, Child)> {
        reap(&self.lingering);
        let (their_input, output) = io::pipe()?;
        let (input, their_output) = io::pipe()?;
        let child = command(&self.program, environment)
            .args([OsString::from(WORKER), parent().into()])
            .stdin(Stdio::from(their_input))
            .stdout(Stdio::from(their_output))
            .spawn()
            .map_err(|error| not_started(&self.program, &error))?;
        Ok((input.into(), output.into(), child))
    }
}

impl Start for Direct {
    fn start(&self) -> io::Result<Started> {
        let (input, output, child) = self.spawn(&self.environment)?;
        Ok(Started {
            input,
            output,
            process: Box::new(Owned {
                child: Some(child),
                lingering: self.lingering.clone(),
            }),
        })
    }
}

/// The program, ready to get its arguments. It is in a process group of its own: what is typed at the
/// terminal is for the program that it serves.
pub(super) fn command(program: &Path, environment: &Environment) -> Command {
    let mut command = Command::new(program);
    command.arg0(PROGRAM).process_group(0);
    for name in &environment.without {
        command.env_remove(name);
    }
    if environment.quiet {
        command.env(QUIET.0, QUIET.1);
    }
    command
}

pub(super) fn not_started(program: &Path, error: &io::Error) -> io::Error {
    let what = std::format!(
        "{} cannot be started: {error}; it comes with keystead, and belongs beside it",
        program.display()
    );
    io::Error::new(error.kind(), what)
}

/// With whom the worker ends: the process that starts it, or 0 for none. The system takes the thread
/// for the process: only the main thread can be relied on to last as long.
fn parent() -> String {
    #[cfg(target_os = "linux")]
    if rustix::thread::gettid() == rustix::process::getpid() {
        return rustix::process::getpid().as_raw_pid().to_string();
    }
    0.to_string()
}

#[derive(Debug)]
struct Owned {
    child: Option<Child>,
    lingering: Arc<Mutex<Vec<Child>>>,
}

impl Process for Owned {
    fn end(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        reap(&self.lingering);
        let Some(mut child) = self.child.take() else {
            return Ok(None);
        };
        let status = exit::end(&mut child, patience)?;
        if status.is_none() {
            lock(&self.lingering).push(child);
        }
        Ok(status)
    }
}

fn reap(lingering: &Mutex<Vec<Child>>) {
    lock(lingering).retain_mut(|child| matches!(child.try_wait(), Ok(None)));
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
