//! `keystead exec`: runs a command with credentials in its environment.

mod endpoint;
mod program;
mod serve;
mod shadow;
mod supervise;

use std::ffi::OsString;
use std::process::{Command as Process, ExitCode};
use std::string::String;
use std::vec::Vec;

use clap::{Arg, ArgMatches, Command, value_parser};

use self::program::Program;
use super::context::Context;
use super::error::CliError;
use super::flags::Given as _;
use super::plan::{Plan, REQUIRED};
use super::sources::Sources;
use super::{flags, parse, session};
use crate::host::config::Setting;
use crate::output::environment::{self, BESIDE_KEYS};

/// One line about it.
pub const ABOUT: &str = "Run a command with credentials in its environment";

const DETAILS: &str = "\
    keystead exec --identity hub -- aws s3 cp report.json s3://sensor-logs/sensors/

    keystead exec --identity hub --serve -- ./runs-for-days

The command takes the place of keystead: signals, terminal and exit code are its own. With --serve keystead \
stays beside it, passes signals on, and ends as the command does. Variables that AWS's \
programs would go by instead are removed, and so are those that hold passwords and PINs of keystead's. The \
exit code is 127 if there is no such command, and 126 if it cannot be run.";

const COMMAND: &str = "command";
const SERVE: &str = "serve";

/// Runs the command.
///
/// # Errors
/// [`CliError`]; the command was not run then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let command = Command::new("exec").about(ABOUT).after_help(DETAILS);
    let command = flags::common(command, &Setting::ALL).args(own_flags());
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let program = named(&matches, context)?;
    if let Some(parent) = flags::value(&matches, serve::BESIDE) {
        return Err(serve::run_beside(&program, parent));
    }
    let sources = Sources::new(&matches, context).completed(&REQUIRED)?;
    let plan = Plan::new(&matches, &sources, context)?;
    let debug = flags::switch(&matches, "debug")?;
    // A session for a command that is not there would be for nothing.
    program.find(context.environment)?;
    if flags::switch(&matches, SERVE)? {
        return serve::run(&program, &matches, &plan, &sources, context);
    }
    let credentials = session::credentials(&plan, debug, context)?;
    let mut process = program.process();
    remove(&mut process, &BESIDE_KEYS);
    remove(&mut process, &secret_variables(&plan, &sources));
    for variable in environment::variables(&credentials) {
        process.env(variable.name, variable.value.as_str());
    }
    Err(program.replace_this(&mut process))
}

fn own_flags() -> [Arg; 3] {
    [
        Arg::new(SERVE)
            .long(SERVE)
            .value_name("BOOL")
            .value_parser(value_parser!(OsString))
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .help("Give the command an endpoint of its own, where it gets new credentials when they end")
            .help_heading("Output"),
        Arg::new(serve::BESIDE)
            .long(serve::BESIDE)
            .value_parser(value_parser!(OsString))
            .hide(true),
        Arg::new(COMMAND)
            .last(true)
            .num_args(1..)
            .value_name("COMMAND")
            .value_parser(value_parser!(OsString))
            .help("The command to run, and its arguments"),
    ]
}

/// The command that stands after `--`.
fn named(matches: &ArgMatches, context: &Context<'_>) -> Result<Program, CliError> {
    let words = matches.get_many::<OsString>(COMMAND).unwrap_or_default();
    let mut words = words.cloned();
    match words.next() {
        Some(name) if !matches.has_extra() => Ok(Program::new(name, words.collect())),
        _ => Err(CliError::usage(
            "the command to run has to come after `--`",
            if context.drop_in {
                ""
            } else {
                "keystead exec --identity hub -- aws s3 ls"
            },
        )),
    }
}

/// The variables that hold secrets of ours.
fn secret_variables(plan: &Plan, sources: &Sources<'_>) -> Vec<String> {
    let mut variables = plan.identity.secret_variables();
    variables.extend(sources.secret_variables());
    variables
}

fn remove(process: &mut Process, variables: &[impl AsRef<str>]) {
    for name in variables {
        process.env_remove(name.as_ref());
    }
}
