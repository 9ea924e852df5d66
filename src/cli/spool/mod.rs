//! `keystead spool`: data on disk that is on its way to S3.

mod add;
mod aside;
pub mod failure;
pub mod intake;
pub mod place;
mod records;
mod report;
mod run;
mod status;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::context::Context;
use super::error::CliError;
use super::parse;

/// One line about it.
pub const ABOUT: &str = "Keep data on disk until it is in S3 (spool add, run, status, retry, drop)";

/// A command below `spool`.
struct Subcommand {
    name: &'static str,
    command: fn() -> Command,
    run: fn(&ArgMatches, &Context<'_>) -> Result<ExitCode, CliError>,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: add::NAME,
        command: add::command,
        run: add::run,
    },
    Subcommand {
        name: run::NAME,
        command: run::command,
        run: run::run,
    },
    Subcommand {
        name: status::NAME,
        command: status::command,
        run: status::run,
    },
    Subcommand {
        name: aside::RETRY,
        command: aside::retry_command,
        run: aside::retry,
    },
    Subcommand {
        name: aside::DROP,
        command: aside::drop_command,
        run: aside::drop,
    },
];

/// Runs the command.
///
/// # Errors
/// [`CliError`], those of the command below it.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("spool")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommands(SUBCOMMANDS.iter().map(|below| (below.command)()));
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let chosen = matches.subcommand().and_then(|(name, matches)| {
        let below = SUBCOMMANDS.iter().find(|below| below.name == name)?;
        Some((below, matches))
    });
    match chosen {
        Some((below, matches)) => (below.run)(matches, context),
        None => Ok(ExitCode::SUCCESS),
    }
}
