//! Updating for as long as the program runs.

use std::boxed::Box;
use std::format;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};

use clap::ArgMatches;

use super::keep::Keeper;
use super::plan::UpdatePlan;
use crate::cli::context::Context;
use crate::cli::daemon::{Configured, Log};
use crate::cli::error::{CliError, Exit};
use crate::core::time::Clock as _;
use crate::host::refresh::{Options, Refresher};

/// Writes new credentials until the program is stopped.
///
/// # Errors
/// [`CliError`] if it cannot begin. From then on failures are told, and tried again.
pub fn forever(
    plan: &UpdatePlan,
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<(), CliError> {
    let source = Configured::new(matches, None, context)?;
    // Before a key is opened and somebody asked for its PIN.
    plan.file.check().map_err(|error| super::refused(&error))?;
    let source = source.opened()?;
    let clock = source.clock().clone();
    let name = plan.file.profile().as_str();
    let log = Log::new(name, context.console);
    let options = Options::new(clock.clone());
    let refresher = Refresher::start(name, Box::new(source), options, Box::new(log))
        .map_err(|error| failed(&error))?;
    let (wake, woken) = mpsc::channel();
    refresher.on_change(Box::new(move || {
        // Who ends does not listen any more.
        let _ = wake.send(());
    }));
    let mut keeper = Keeper::new(plan.file.clone(), context.console);
    loop {
        let pause = keeper.step(refresher.credentials(), clock.now());
        match woken.recv_timeout(pause) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if plan.remove_at_exit {
        keeper.leave();
    }
    Ok(())
}

fn failed(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}
