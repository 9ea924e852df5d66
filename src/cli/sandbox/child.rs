//! The command that runs beside the sandbox: its environment, its signals, its exit code.

use std::borrow::ToOwned as _;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::{env, format};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::signal::unix::{self, SignalKind, signal};

use super::super::error::{CliError, Exit};
use crate::sandbox::ClientFiles;

/// Variables that would give AWS's programs other credentials than the sandbox's.
pub const CREDENTIAL_VARIABLES: [&str; 5] = [
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
];

/// Variables of AWS's programs that say nothing about where they go and as whom.
const HARMLESS: [&str; 3] = ["AWS_PAGER", "AWS_DEFAULT_OUTPUT", "AWS_CLI_AUTO_PROMPT"];

/// Runs a command until it ends, and gives its exit code: 128 and the signal's number if a signal
/// ended it, as shells have it.
///
/// # Errors
/// [`CliError`] if it cannot be started.
pub fn run(
    program: &OsStr,
    arguments: &[OsString],
    files: &ClientFiles,
) -> Result<ExitCode, CliError> {
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let concerns_aws = text.starts_with("AWS_") || text.starts_with("KEYSTEAD_");
        if concerns_aws && !HARMLESS.contains(&&*text) {
            command.env_remove(&name);
        }
    }
    for name in ["NO_PROXY", "no_proxy"] {
        command.env(name, without_proxy(env::var_os(name)));
    }
    let variables = files.variables().iter();
    command.envs(variables.map(|(name, value)| (name, value)));
    runtime()?.block_on(async {
        // Before the child starts, so that no signal ends this process and leaves the child alone.
        let signals = Signals::new().map_err(system_error)?;
        let child = command.spawn().map_err(|error| {
            let what = format!("{} cannot be run: {error}", program.display());
            CliError::usage(what, "the command comes after `--`")
        })?;
        let status = attend(child, signals).await.map_err(system_error)?;
        Ok(exit_code(status))
    })
}

/// Calls `announce`, and returns when a signal asks the program to end.
///
/// # Errors
/// [`CliError`] if they cannot be waited for, or what `announce` gives.
pub fn wait_for_the_end(announce: impl FnOnce() -> Result<(), CliError>) -> Result<(), CliError> {
    runtime()?.block_on(async {
        // Before anyone reads that the sandbox is there, and ends it.
        let mut signals = Signals::new().map_err(system_error)?;
        announce()?;
        signals.next().await;
        Ok(())
    })
}

/// The signals that end programs.
struct Signals {
    interrupt: unix::Signal,
    quit: unix::Signal,
    hangup: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.terminate.recv() => Signal::TERM,
        }
    }
}

/// Waits for the child, and passes on the signals that it did not get itself: what is typed at the
/// terminal goes to both.
async fn attend(mut child: Child, mut signals: Signals) -> io::Result<ExitStatus> {
    let pid = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
    let at_terminal = io::stdin().is_terminal();
    loop {
        let signal = tokio::select! {
            status = child.wait() => return status,
            signal = signals.next() => signal,
        };
        let typed = at_terminal && matches!(signal, Signal::INT | Signal::QUIT);
        if let Some(pid) = pid
            && !typed
        {
            // It may just have ended.
            let _ = kill_process(pid, signal);
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 1,
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// The list of what is reached directly, with this machine in it.
fn without_proxy(list: Option<OsString>) -> OsString {
    let mut list = list.unwrap_or_default();
    if !list.is_empty() {
        list.push(",");
    }
    list.push("127.0.0.1,::1,localhost");
    list
}

fn runtime() -> Result<Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system_error)
}

fn system_error(error: io::Error) -> CliError {
    CliError::new(
        Exit::Internal,
        format!("the system refuses: {error}"),
        "".to_owned(),
    )
}
