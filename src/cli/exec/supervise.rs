//! A command that runs beside keystead: it gets the signals that are for it, and keystead ends as it does.

use core::ffi::c_int;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::vec::Vec;

use rustix::process::{Pid, Signal, getpgid, getpgrp, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::{Cause, Origin};

/// The signals that are passed on. Those that stop and continue are not among them: the kernel stops
/// keystead and the command alike, and a process that stops itself by its own handler in a group without
/// a shell would never go on.
const PASSED_ON: [c_int; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

/// Runs a command until it ends.
///
/// # Errors
/// [`io::Error`] if it cannot be started, or not be waited for.
pub fn run(command: &mut Command) -> io::Result<ExitStatus> {
    // What was ignored when we were started (nohup) is to be ignored by the command, too.
    let ignored = ignored();
    let is_heard = |signal: &c_int| ignored >> (signal - 1) & 1 == 0;
    let heard: Vec<_> = PASSED_ON.into_iter().filter(is_heard).collect();
    // Before the command starts, so that no signal ends this process and leaves the command alone.
    let mut signals = SignalsInfo::<WithOrigin>::new(heard.iter().chain([&SIGCHLD]))?;
    let mut child = command.spawn()?;
    for origin in signals.forever() {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if origin.signal != SIGCHLD && !has_got(&child, &origin) {
            pass_on(&child, origin.signal);
        }
    }
    child.wait()
}

/// Whether the command has got the signal by itself: what the terminal sends goes to its whole group.
fn has_got(child: &Child, origin: &Origin) -> bool {
    let group = getpgid(Some(Pid::from_child(child))).ok();
    origin.cause == Cause::Kernel && group == Some(getpgrp())
}

fn pass_on(child: &Child, signal: c_int) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        // It is ours until it is waited for: the number is nobody else's.
        let _ = kill_process(Pid::from_child(child), signal);
    }
}

/// The signals that this process ignores, a bit each (proc_pid_status(5)).
fn ignored() -> u64 {
    let status = fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

/// Ends as the command did: of the same signal if one ended it, so that a shell sees that it was one.
/// Otherwise, this is the exit code.
pub fn end(status: ExitStatus) -> ExitCode {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => {
            // It comes back if there is nothing to emulate, as for real-time signals.
            let _ = emulate_default_handler(signal);
            128 + signal
        }
        (None, None) => 1,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
