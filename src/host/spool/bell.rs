//! Ends those who wait for files or peers.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::vec::Vec;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

/// Rung once, by anybody, to end whatever waits for it.
#[derive(Debug)]
pub struct Bell {
    is_rung: AtomicBool,
    ringer: UnixStream,
    heard: UnixStream,
}

impl Bell {
    /// It has not been rung.
    ///
    /// # Errors
    /// [`io::Error`] if descriptors are short.
    pub fn new() -> io::Result<Self> {
        let (ringer, heard) = UnixStream::pair()?;
        ringer.set_nonblocking(true)?;
        Ok(Self {
            is_rung: AtomicBool::new(false),
            ringer,
            heard,
        })
    }

    /// Whoever waits, or will wait, returns.
    pub fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
        // It stays readable: nobody reads it. If it is full it has been rung before.
        let _ = (&self.ringer).write(&[0]);
    }

    /// Whether it has been rung.
    pub fn is_rung(&self) -> bool {
        self.is_rung.load(Ordering::Acquire)
    }

    /// Waits until it is rung, or one of these can be read, or the time is up. Whether one of them can be read.
    pub(super) fn wait(&self, readable: &[BorrowedFd<'_>], most: Option<Duration>) -> bool {
        let poll = |descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN);
        let mut all: Vec<PollFd<'_>> = readable.iter().map(|one| poll(*one)).collect();
        all.push(poll(self.heard.as_fd()));
        let most = most.map(|most| Timespec {
            tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: most.subsec_nanos().into(),
        });
        match rustix::event::poll(&mut all, most.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Rather late than never: who calls looks at everything once a minute.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
        all.iter()
            .take(readable.len())
            .any(|one| !one.revents().is_empty())
    }
}
