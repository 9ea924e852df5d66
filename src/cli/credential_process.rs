//! `keystead credential-process`: a session's credentials for the AWS command line and SDKs.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Command;

use super::context::{self, Context};
use super::error::CliError;
use super::plan::{Plan, REQUIRED};
use super::sources::Sources;
use super::{flags, session};
use crate::host::config::Setting;
use crate::output::credential_process;

/// One line about it.
pub const ABOUT: &str = "Print credentials in the form of AWS's credential_process";

const DETAILS: &str = "\
In ~/.aws/config:

    [profile hub]
    credential_process = keystead credential-process --identity hub

The flags for identity, AWS and network can also be set as variables (--role-arn: KEYSTEAD_ROLE_ARN) \
or as keys of [identity.NAME] in keystead.toml, which is looked for in $XDG_CONFIG_HOME/keystead/ \
(~/.config/keystead/) and /etc/keystead/. The file is read if --config or --identity ask for it, or if \
flags and variables leave open one of certificate, trust-anchor-arn, profile-arn and role-arn. \
`keystead config check` shows what each value is and where it comes from.";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = || {
        Command::new("credential-process")
            .about(ABOUT)
            .after_help(DETAILS)
    };
    let Some(given) = flags::read(command, &Setting::ALL, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let sources = Sources::new(&given, context).completed(&REQUIRED)?;
    let plan = Plan::new(&given, &sources, context)?;
    let debug = flags::switch(&given, "debug")?;
    let credentials = session::credentials(&plan, debug, context)?;
    context::print(credential_process::document(&credentials).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
