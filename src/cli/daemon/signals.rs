//! Signals: what stops a daemon, and what has it read everything again.

use core::sync::atomic::AtomicBool;
use std::boxed::Box;
use std::io::{self, IsTerminal as _, stderr};
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing new is begun; what is under way is finished.
    Drain,
    /// What is configured is read again.
    Reload,
}

/// Calls `act`, on a thread of its own, for each SIGTERM, SIGINT and SIGHUP. A second SIGTERM or SIGINT ends
/// the program at once.
///
/// # Errors
/// [`io::Error`] if the system refuses.
pub fn watch(act: Box<dyn Fn(Asked) + Send>) -> io::Result<()> {
    let draining = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // In this order: the first one passes by, and prepares the second one's way.
        flag::register_conditional_default(signal, draining.clone())?;
        flag::register(signal, draining.clone())?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let on_terminal = stderr().is_terminal();
    let run = move || {
        for signal in signals.forever() {
            // A terminal that goes says so by SIGHUP as well. Who sat at it wants the program to end.
            let hung_up = on_terminal && !stderr().is_terminal();
            act(match signal {
                SIGHUP if !hung_up => Asked::Reload,
                _ => Asked::Drain,
            });
        }
    };
    thread::Builder::new().name("signals".into()).spawn(run)?;
    Ok(())
}
