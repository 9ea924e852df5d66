//! Files and folders that are this user's alone: never reached through a link that somebody may have put
//! there, never another user's, and locks on them that end with their process.

use core::time::Duration;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Instant;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// The bits of a mode that let others in.
pub(crate) const OTHERS: u32 = 0o077;

/// Nothing is followed or overwritten that may have been put there for that.
const FOREIGN: &str = "it is a link, or something else than keystead made there";

/// Opens a file, or with [`OFlags::DIRECTORY`] a folder, that is ours. What it makes is readable by its
/// owner alone; of what it finds the mode is left to the caller.
///
/// # Errors
/// [`io::Error`], also for a link, for anything but a file or folder, and for what is another user's.
pub(crate) fn open(folder: impl AsFd, name: &Path, flags: OFlags) -> io::Result<File> {
    // Without O_NONBLOCK, opening a FIFO would wait for ever.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR);
    let file = File::from(opened.map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => io::Error::other(FOREIGN),
        error => error.into(),
    })?);
    let metadata = file.metadata()?;
    let is_kind = match flags.contains(OFlags::DIRECTORY) {
        true => metadata.is_dir(),
        false => metadata.is_file() && metadata.nlink() <= 1,
    };
    if !is_kind {
        return Err(io::Error::other(FOREIGN));
    }
    if !is_ours(metadata.uid()) {
        let reason = "it belongs to another user";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, reason));
    }
    Ok(file)
}

/// Whether that user is the one that this process acts for.
pub(crate) fn is_ours(uid: u32) -> bool {
    uid == rustix::process::geteuid().as_raw()
}

/// Whether `name` still stands for the file that was opened by it: a person, or a clean-up, may have
/// removed it since.
///
/// # Errors
/// [`io::Error`] if that cannot be seen.
pub(crate) fn is_named(file: &File, folder: impl AsFd, name: &Path) -> io::Result<bool> {
    let opened = rustix::fs::fstat(file)?;
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(named) => Ok((named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Locks a file against all other processes and threads that open it. The lock ends with [`unlock`], and
/// with the process, however that ends.
///
/// # Errors
/// [`io::Error`] if the file system has no locks.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a lock. Closing the file alone would leave it with a process that a module forked.
pub(crate) fn unlock(file: &File) {
    // It is closed next at any rate, and that unlocks it.
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// The pauses between two looks at something that others are about to change, up to a deadline.
pub(crate) struct Pauses {
    deadline: Instant,
    next: Duration,
}

impl Pauses {
    /// The first pause is a millisecond, the longest fifty.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self {
            deadline,
            next: Duration::from_millis(1),
        }
    }

    /// Waits; `false` if the time is over.
    pub(crate) fn pause(&mut self) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(self.next.min(left));
        self.next = (self.next * 2).min(Duration::from_millis(50));
        true
    }
}
