//! `keystead update`: keeps the credentials of a profile in AWS's shared credentials file fresh.

mod keep;
mod plan;
mod run;

use std::ffi::OsString;
use std::format;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use self::plan::{FILE, ONCE, PROFILE, REMOVE_AT_EXIT, RETRY_ERRORS, UpdatePlan};
use super::context::{Console, Context};
use super::error::{CliError, Exit};
use super::plan::{Plan, REQUIRED};
use super::sources::Sources;
use super::{flags, parse, session};
use crate::host::config::Setting;
use crate::output::credentials_file::{CredentialsFile, FileError, Written};

/// One line about it.
pub const ABOUT: &str = "Keep credentials fresh in a profile of ~/.aws/credentials";

const DETAILS: &str = "\
Runs until it is stopped. Of the file nothing is changed but aws_access_key_id, aws_secret_access_key and \
aws_session_token of the profile. Programs that read the file only when they start do without new credentials: \
for them `keystead serve` or a credential_process is the better way.";

const HEADING: &str = "Credentials file";

/// Runs the command.
///
/// # Errors
/// [`CliError`] if it cannot begin, or once is enough and that failed.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let Some(matches) = parse::matches(command(), arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let plan = UpdatePlan::new(&matches, context)?;
    if plan.once {
        once(&plan, &matches, context)?;
    } else {
        run::forever(&plan, &matches, context)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn command() -> Command {
    let flag = |name, value, help| {
        let arg = Arg::new(name).long(name).help(help).help_heading(HEADING);
        flags::with_value(arg, value)
    };
    let command = Command::new("update").about(ABOUT).after_help(DETAILS);
    flags::common(command, &Setting::ALL)
        .arg(flag(
            PROFILE,
            Some("NAME"),
            "The profile to write [default: default]",
        ))
        .arg(flag(ONCE, None, "Write once, and end"))
        .arg(flag(
            FILE,
            Some("FILE"),
            "The file, instead of $AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials",
        ))
        .arg(flag(
            REMOVE_AT_EXIT,
            None,
            "Remove the credentials from the file when the program is stopped",
        ))
        .arg(
            flag(
                RETRY_ERRORS,
                None,
                "As always: go on after errors. A flag of aws_signing_helper",
            )
            .hide(true),
        )
}

/// Writes credentials once: those of the cache, if they live long enough.
fn once(plan: &UpdatePlan, matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let sources = Sources::new(matches, context).completed(&REQUIRED)?;
    let session = Plan::new(matches, &sources, context)?;
    let debug = flags::switch(matches, "debug")?;
    // A session that cannot be written would be for nothing.
    plan.file.check().map_err(|error| refused(&error))?;
    let credentials = session::credentials(&session, debug, context)?;
    let written = plan
        .file
        .write(&credentials)
        .map_err(|error| refused(&error))?;
    warn_of_others(&plan.file, written, context.console);
    Ok(())
}

fn refused(error: &FileError) -> CliError {
    CliError::new(Exit::Internal, format!("{error}"), error.remedy())
}

fn warn_of_others(file: &CredentialsFile, written: Written, console: Console) {
    if written.open_to_others {
        console.warn(
            &format!("{} is open to other users", file.path().display()),
            "chmod 600, unless they are meant to have the credentials",
        );
    }
}
