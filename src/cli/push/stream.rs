//! What is read once: standard input and pipes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How often somebody looks whether it is to be stopped.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// A pipe that is read until its end, or until a person stops it: whoever writes to it may have been stopped with
/// us, and what has come so far is not all then.
pub struct Stream<'a> {
    from: File,
    stopped: &'a dyn Fn() -> bool,
}

impl<'a> Stream<'a> {
    /// Standard input.
    ///
    /// # Errors
    /// It is closed, or descriptors are short.
    pub fn stdin(stopped: &'a dyn Fn() -> bool) -> io::Result<Self> {
        let from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self { from, stopped })
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn at(path: &Path, stopped: &'a dyn Fn() -> bool) -> io::Result<Self> {
        let from = File::open(path)?;
        Ok(Self { from, stopped })
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, piece: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut waiting = [PollFd::new(&self.from, PollFlags::IN)];
            let ready = match poll(&mut waiting, Some(&LOOK)) {
                Ok(ready) => ready > 0,
                Err(Errno::INTR) => false,
                Err(error) => return Err(error.into()),
            };
            if (self.stopped)() {
                return Err(io::Error::other("the upload was stopped"));
            }
            if ready {
                return self.from.read(piece);
            }
        }
    }
}
