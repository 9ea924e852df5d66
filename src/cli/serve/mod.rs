//! `keystead serve`: credentials where programs look for them on this machine.

mod doors;
mod exports;
mod flags;
mod handed;
mod plan;
mod run;
mod tls;
mod token_file;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Command;

use self::handed::Handed;
use self::plan::ServePlan;
use super::context::Context;
use super::daemon::Service;
use super::error::CliError;
use super::parse;
use crate::host::config::Setting;

/// One line about it.
pub const ABOUT: &str = "Serve fresh credentials at a local endpoint that SDKs ask";

const DETAILS: &str = "\
Prints the variables that programs want, and serves until it is stopped:

    $ keystead serve --identity hub >hub.env &
    $ . ./hub.env
    $ aws s3 ls

The flags under Endpoints can also be set as variables (--token-file: KEYSTEAD_SERVE_TOKEN_FILE) or as \
keys of [serve] in keystead.toml, and the identities as `identities` there.";

/// Runs the command.
///
/// # Errors
/// [`CliError`] if something cannot be opened; nothing is served then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("serve").about(ABOUT).after_help(DETAILS);
    let command = flags::add(super::flags::common(command, &Setting::ALL));
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    // First of all: what the service manager hands over is taken before there is a second thread.
    let mut service = Service::begin(context)?;
    let handed = Handed::new(service.take_sockets())?;
    let plan = ServePlan::new(&matches, context, &handed)?;
    run::run(&plan, handed, &matches, &service, context)
}
