//! Updating for as long as the program runs.

use std::boxed::Box;
use std::format;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::vec::Vec;

use clap::ArgMatches;

use super::keep::Keeper;
use super::plan::UpdatePlan;
use crate::cli::context::Context;
use crate::cli::daemon::{Configured, Footprint, Log, Service};
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
    let service = Service::begin(context)?;
    let source = Configured::new(matches, None, context)?;
    // Before a key is opened and somebody asked for its PIN.
    plan.file.check().map_err(|error| super::refused(&error))?;
    service.confine(&footprint(plan, &source)?, context)?;
    let source = source.opened()?;
    let clock = source.clock().clone();
    let name = plan.file.profile().as_str();
    let log = Log::new(name, context.console);
    let options = Options::new(clock.clone());
    let refresher = Refresher::start(name, Box::new(source), options, Box::new(log))
        .map_err(|error| failed(&error))?;
    let (wake, woken) = mpsc::channel();
    let drain = wake.clone();
    // Who ends does not listen any more.
    refresher.on_change(Box::new(move || drop(wake.send(Woken::Changed))));
    let drain = Box::new(move || drop(drain.send(Woken::Drain)));
    let mut reporter = service.watch(Vec::from([refresher.clone()]), drain)?;
    let mut is_ready = false;
    let mut keeper = Keeper::new(plan.file.clone(), context.console);
    loop {
        let pause = keeper.step(refresher.credentials(), clock.now());
        // Who waits for this service wants credentials, but does not wait for an outage to end.
        if !is_ready && (keeper.has_written() || refresher.failure().is_some()) {
            service.ready();
            is_ready = true;
        }
        reporter.changed();
        let pause = reporter.beat().map_or(pause, |beat| beat.min(pause));
        match woken.recv_timeout(pause) {
            Ok(Woken::Changed) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Woken::Drain) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    if plan.remove_at_exit {
        keeper.leave();
    }
    Ok(())
}

/// Why the loop goes on.
enum Woken {
    /// The refresher has done something.
    Changed,
    /// The program is to end.
    Drain,
}

/// What the daemon needs from here on: its identity, and the folder in which the file is.
fn footprint(plan: &UpdatePlan, source: &Configured) -> Result<Footprint, CliError> {
    let mut all = Footprint::default();
    all.add(source.footprint());
    let folder = plan.file.folder().map_err(|error| super::refused(&error))?;
    all.write(&folder);
    Ok(all)
}

fn failed(error: &io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}
