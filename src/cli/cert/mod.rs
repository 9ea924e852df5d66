//! `keystead cert`: requests for certificates, and certificates beside their keys.

mod import;
mod request;
mod show;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Command;

use super::context::Context;
use super::error::CliError;
use super::parse;

/// One line about it.
pub const ABOUT: &str = "Certificates of keys (cert request, cert import, cert show)";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed or written then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("cert")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommand(request::command())
        .subcommand(show::command())
        .subcommand(import::command());
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    match matches.subcommand() {
        Some(("request", matches)) => request::run(matches, context)?,
        Some(("show", matches)) => show::run(matches, context)?,
        Some(("import", matches)) => import::run(matches, context)?,
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}
