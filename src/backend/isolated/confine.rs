//! What a worker and a launcher do to their own process before anything else.

use core::fmt;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::{FileType, fstat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stderr, stdin, stdout};

use super::channel::{ChannelError, wait};

/// How much memory a worker may take for data. A module that leaks fails then, and is loaded anew.
#[cfg(target_os = "linux")]
const MEMORY: u64 = 512 << 20;

/// The pipes that a worker was started with.
#[derive(Debug)]
pub struct Pipes {
    /// What the client writes.
    pub input: OwnedFd,
    /// What the client reads.
    pub output: OwnedFd,
}

impl Pipes {
    /// Takes them from standard input and output, which modules write to and read from as they like:
    /// after that, standard input is empty, and what is written to standard output goes to standard
    /// error.
    ///
    /// # Errors
    /// [`NotStarted`] if they are none, because a person has started the program.
    pub fn take() -> Result<Self, NotStarted> {
        for end in [stdin(), stdout()] {
            expect(end, FileType::Fifo)?;
        }
        let input = fcntl_dupfd_cloexec(stdin(), 3)?;
        let output = fcntl_dupfd_cloexec(stdout(), 3)?;
        dup2_stdin(File::open("/dev/null")?)?;
        dup2_stdout(stderr())?;
        Ok(Self { input, output })
    }

    /// What tells when the client is gone.
    ///
    /// # Errors
    /// [`io::Error`] if the system refuses.
    pub fn watch(&self) -> io::Result<Watch> {
        Ok(Watch(self.output.try_clone()?))
    }
}

/// Tells when the client is gone, also while a module hangs.
#[derive(Debug)]
pub struct Watch(OwnedFd);

impl Watch {
    /// Waits until nobody can read any more what the worker writes.
    pub fn wait(&self) {
        // Without a request for it, a pipe still reports that its other end is gone. What else might
        // be wrong with it is no better.
        let _: Result<(), ChannelError> = wait(self.0.as_fd(), PollFlags::empty(), None);
    }
}

/// Takes the socket that a launcher was started with from standard input.
///
/// # Errors
/// [`NotStarted`] if it is none, because a person has started the program.
pub fn take_socket() -> Result<OwnedFd, NotStarted> {
    expect(stdin(), FileType::Socket)?;
    let socket = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

fn expect(end: BorrowedFd<'_>, kind: FileType) -> Result<(), NotStarted> {
    match fstat(end) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == kind => Ok(()),
        _ => Err(NotStarted::ByHand),
    }
}

/// Keeps the memory of this process out of core dumps and away from debuggers.
///
/// # Errors
/// [`io::Error`] if the system refuses.
pub fn protect_memory() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Sets the bounds of a worker: it is what the kernel ends first when memory runs out, and gets only
/// so much of it.
///
/// # Errors
/// [`io::Error`] if the system refuses.
pub fn bound_memory() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        // A kernel without it, or a sandbox, leaves the other bound.
        let _ = fs::write("/proc/self/oom_score_adj", "1000");
        let now = getrlimit(Resource::Data);
        let bound = Rlimit {
            current: Some(now.current.map_or(MEMORY, |now| now.min(MEMORY))),
            ..now
        };
        setrlimit(Resource::Data, bound)?;
    }
    Ok(())
}

/// Ends with the process that started this one, whatever it is doing. 0 is none.
///
/// # Errors
/// [`NotStarted::Orphan`] if that process is gone already.
pub fn end_with(parent: u32) -> Result<(), NotStarted> {
    #[cfg(target_os = "linux")]
    if parent != 0 {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before it was asked for.
        let now = getppid().map(|now| now.as_raw_pid().unsigned_abs());
        if now != Some(parent) {
            return Err(NotStarted::Orphan);
        }
    }
    Ok(())
}

/// Takes [`end_with`] back: what its device holds for a client that was killed has to be taken back
/// first, and the pipes tell that the client is gone.
///
/// # Errors
/// [`io::Error`] if the system refuses.
pub fn outlive_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(None)?;
    Ok(())
}

/// Why a worker or a launcher does not begin.
#[derive(Debug)]
pub enum NotStarted {
    /// It was not started by `keystead`.
    ByHand,
    /// Who started it has ended.
    Orphan,
    /// The system refuses.
    Io(io::Error),
}

impl From<io::Error> for NotStarted {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for NotStarted {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByHand => f.write_str(
                "this program speaks to tokens and TPMs for `keystead`, which starts it by itself; \
                 it is of no use by hand",
            ),
            Self::Orphan => f.write_str("the program that started it has ended"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for NotStarted {}
