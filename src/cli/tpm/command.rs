//! `keystead tpm`: what a TPM is, and what is in it.

use std::ffi::OsString;
use std::format;
use std::process::ExitCode;
use std::string::String;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::{ek, error, report};
use crate::backend::tpm;
use crate::cli::context::{self, Context};
use crate::cli::error::CliError;
use crate::cli::identity_plan::IdentityPlan;
use crate::cli::place::Place;
use crate::cli::sources::Sources;
use crate::cli::{flags, parse};
use crate::host::config::Setting;

/// One line about it.
pub const ABOUT: &str = "Show what a TPM is, and what is in it (tpm status, tpm ek)";

const DETAILS: &str = "\
The TPM is that of --key (or of the identity's key), or of --tcti, else the usual one: /dev/tpmrm0, what TPM2TOOLS_TCTI or \
TCTI say, or /dev/tpm0. Nothing in it is changed.

For example:
    keystead tpm status
    keystead tpm status --tcti swtpm:host=127.0.0.1,port=2321 --json";

/// What has to be known: which TPM, and how it is reached.
const SETTINGS: [Setting; 4] = [
    Setting::Key,
    Setting::Tcti,
    Setting::TokenTimeout,
    Setting::StateDir,
];

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let status = Command::new("status")
        .about("Show manufacturer, firmware, algorithms, persistent handles and lockout")
        .after_help(DETAILS)
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("As JSON"),
        );
    let command = Command::new("tpm")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommand(flags::common(status, &SETTINGS))
        .subcommand(flags::common(ek::command(), &SETTINGS));
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let text = match matches.subcommand() {
        Some(("status", matches)) => status_text(matches, context)?,
        Some(("ek", matches)) => ek::text(matches, context)?,
        _ => String::new(),
    };
    context::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn status_text(matches: &ArgMatches, context: &Context<'_>) -> Result<String, CliError> {
    let sources = Sources::new(matches, context).completed(&[])?;
    let plan = IdentityPlan::new(matches, &sources, context)?;
    let place = match &plan.key {
        Some(Place::Tpm(place)) => Some(&**place),
        _ => None,
    };
    let tcti = plan.tpm.tcti(place, context.environment)?;
    let mut operator = plan.tpm.operator(place);
    let mut device = plan.tpm.device(place, context)?;
    let status = tpm::status(&mut *device, &mut operator).map_err(|failed| error(&failed))?;
    Ok(if matches.get_flag("json") {
        format!("{:#}\n", report::json(&status, &tcti))
    } else {
        report::text(&status, &tcti)
    })
}
