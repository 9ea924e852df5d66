//! `keystead credential-process`: a session's credentials for the AWS command line and SDKs.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::Command;

use super::cache::{self, Fresh};
use super::context::{self, Context};
use super::debug::Debug;
use super::error::CliError;
use super::plan::{Plan, REQUIRED};
use super::sources::Sources;
use super::{flags, parse, refusal, session};
use crate::host::clock::HostClock;
use crate::host::config::Setting;
use crate::host::session::Watcher;
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
    let command = Command::new("credential-process")
        .about(ABOUT)
        .after_help(DETAILS);
    let command = flags::common(command, &Setting::ALL);
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let sources = Sources::new(&matches, context).completed(&REQUIRED)?;
    let plan = Plan::new(&matches, &sources, context)?;
    let debug = flags::switch(&matches, "debug")?;
    let clock = session::clock(&plan, context);
    let credentials = cache::credentials(&plan, context, &clock, debug, || {
        if debug {
            begin(&plan, context, &clock, &mut Debug)
        } else {
            begin(&plan, context, &clock, &mut ())
        }
    })?;
    context::print(credential_process::document(&credentials).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Opens the identity and begins a session.
fn begin(
    plan: &Plan,
    context: &Context<'_>,
    clock: &Arc<HostClock>,
    watcher: &mut dyn Watcher,
) -> Result<Fresh, CliError> {
    let mut requester = session::open(plan, context, clock)?;
    let asked = cache::moment(clock);
    let created = requester
        .create(&mut thread::sleep, watcher)
        .map_err(|error| refusal::of(&error, plan))?;
    session::keep_confirmed(plan, created.confirmed);
    Ok(Fresh { created, asked })
}
