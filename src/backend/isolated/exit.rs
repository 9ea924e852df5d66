//! Waiting for the end of a process, but not forever.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::channel::{deadline_in, wait};

/// How long a process that was killed may take to be gone. Only the kernel can keep it.
const KILLED: Duration = Duration::from_secs(2);

/// How often it is looked after where the kernel cannot say (Linux before 5.3).
const INTERVAL: Duration = Duration::from_millis(2);

/// Ends a process, unless it ends by itself before `patience` is over. `None` if even that does not
/// end it.
pub fn end(child: &mut Child, patience: Duration) -> io::Result<Option<ExitStatus>> {
    if !patience.is_zero()
        && let Some(status) = wait_for(child, patience)?
    {
        return Ok(Some(status));
    }
    child.kill()?;
    wait_for(child, KILLED)
}

/// Something to poll for the end of a process, where the kernel has it.
pub fn handle(child: &Child) -> Option<OwnedFd> {
    let pid = Pid::from_raw(child.id().try_into().ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn wait_for(child: &mut Child, time: Duration) -> io::Result<Option<ExitStatus>> {
    let deadline = deadline_in(time);
    let handle = handle(child);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(None);
        }
        match &handle {
            // Whatever it says, the next look decides.
            Some(handle) => drop(wait(handle.as_fd(), PollFlags::IN, deadline)),
            None => std::thread::sleep(INTERVAL),
        }
    }
}
