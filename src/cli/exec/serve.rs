//! `exec --serve`: the command finds its credentials at an endpoint, and new ones when they end.

use std::format;
use std::io;
use std::process::{Command as Process, ExitCode};

use std::boxed::Box;
use std::ffi::OsStr;

use clap::ArgMatches;

use super::endpoint::Endpoint;
use super::program::Program;
use super::shadow;
use super::{remove, secret_variables, supervise};
use crate::cli::context::Context;
use crate::cli::daemon::{Configured, Log};
use crate::cli::error::{CliError, Exit};
use crate::cli::plan::Plan;
use crate::cli::sources::Sources;
use crate::host::refresh::{Event, Failure, FailureKind, Observer, Options, Refresher};
use crate::output::environment::{BESIDE_ENDPOINT, BESIDE_KEYS};

/// The hidden flag by which this program, run once more, knows whom not to outlive.
pub const BESIDE: &str = "beside";

/// What the identity is called where it has no name of its own.
const NAME: &str = "exec";

/// Runs the command with an endpoint.
///
/// # Errors
/// [`CliError`]; the command was not run then.
pub fn run(
    program: &Program,
    matches: &ArgMatches,
    plan: &Plan,
    sources: &Sources<'_>,
    context: &Context<'_>,
) -> Result<ExitCode, CliError> {
    let source = Configured::new(matches, None, context)?.opened()?;
    let clock = source.clock().clone();
    let observer = Warnings(Log::new(NAME, context.console));
    let refresher = Refresher::start(
        NAME,
        Box::new(source),
        Options::new(clock.clone()),
        Box::new(observer),
    );
    let refresher = refresher.map_err(internal)?;
    // The command does not start before it can have credentials.
    let patience = plan.network.retry.within + plan.network.retry.longest;
    refresher.wait(patience).map_err(refusal)?;
    let endpoint = Endpoint::start(NAME, &refresher, clock, plan, context)?;
    let mut process = beside(program);
    remove(&mut process, &BESIDE_KEYS);
    remove(&mut process, &BESIDE_ENDPOINT);
    remove(&mut process, &secret_variables(plan, sources));
    process.envs(endpoint.variables());
    shadow::remove(&mut process, context);
    let status = supervise::run(&mut process).map_err(|error| program.error(&error))?;
    // Before this process may end of a signal.
    drop(endpoint);
    drop(refresher);
    Ok(supervise::end(status))
}

/// The command, to be started in such a way that it ends with this process: the kernel sends SIGTERM to
/// a process that asked for it (PR_SET_PDEATHSIG), which outlives execve(2). So this program is run once
/// more, asks, and has the command take its place.
fn beside(program: &Program) -> Process {
    const THIS: &str = "/proc/self/exe";
    let mut process = match std::fs::exists(THIS) {
        Ok(true) => Process::new(THIS),
        // Without /proc, the command is started as it is.
        _ => return program.process(),
    };
    process
        .args(["exec", &format!("--{BESIDE}={}", std::process::id()), "--"])
        .args(program.words());
    process
}

/// Has the command take the place of this process, which is to end with the process `parent`.
///
/// # Errors
/// [`CliError`] if the command cannot be run.
pub fn run_beside(program: &Program, parent: &OsStr) -> CliError {
    match tie_to(parent) {
        Ok(()) => program.replace_this(&mut program.process()),
        Err(error) => internal(error),
    }
}

#[cfg(target_os = "linux")]
fn tie_to(parent: &OsStr) -> io::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    let parent = parent.to_str().and_then(|text| text.parse().ok());
    let parent = parent.and_then(Pid::from_raw);
    set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before the kernel knew.
    if parent.is_none() || getppid() != parent {
        return Err(io::Error::other("the process that started it has ended"));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn tie_to(_: &OsStr) -> io::Result<()> {
    Ok(())
}

/// Tells what is wrong: that everything is well is not what a command's standard error is for.
struct Warnings(Log);

impl Observer for Warnings {
    fn event(&mut self, event: &Event<'_>) {
        if !matches!(event, Event::Begun { .. } | Event::Reloaded) {
            self.0.event(event);
        }
    }
}

fn refusal(failure: Failure) -> CliError {
    let exit = match failure.kind {
        FailureKind::Temporary | FailureKind::Throttled => Exit::Network,
        FailureKind::Lasting => Exit::Refused,
    };
    CliError::new(exit, failure.what, failure.remedy)
}

fn internal(error: io::Error) -> CliError {
    CliError::new(Exit::Internal, format!("the system refuses: {error}"), "")
}
