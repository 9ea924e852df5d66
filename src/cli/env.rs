//! `keystead env`: credentials as variables, in the syntax of a shell or of a file.

use std::ffi::OsString;
use std::format;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::vec::Vec;

use clap::builder::PossibleValue;
use clap::{Arg, ArgMatches, Command, ValueEnum};

use super::context::{self, Context};
use super::error::{CliError, Exit};
use super::plan::{Plan, REQUIRED};
use super::sources::Sources;
use super::{flags, parse, session};
use crate::backend::secret::Environment;
use crate::host::config::Setting;
use crate::output::environment::{self, Append, BESIDE_KEYS, Format, Step};

/// One line about it.
pub const ABOUT: &str = "Print credentials as environment variables, for a shell or a file";

const DETAILS: &str = "\
    eval \"$(keystead env)\"                                       # bash, zsh, sh
    keystead env --shell fish | source
    keystead env --shell powershell | Out-String | Invoke-Expression
    keystead env --shell dotenv > .env
    keystead env --shell github                                  # a step of GitHub Actions

They are AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_CREDENTIAL_EXPIRATION. For \
shells, variables that are set here and that AWS's programs would go by instead are removed. \
`keystead exec` runs a command with them, and leaves your shell as it is.";

const SHELL: &str = "shell";

/// What `--shell` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    Script(Format),
    Github,
}

impl ValueEnum for Shell {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Script(Format::Bash),
            Self::Script(Format::Fish),
            Self::Script(Format::PowerShell),
            Self::Script(Format::Json),
            Self::Script(Format::Dotenv),
            Self::Github,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Script(Format::Bash) => PossibleValue::new("bash").aliases(["sh", "zsh"]),
            Self::Script(Format::Fish) => PossibleValue::new("fish"),
            Self::Script(Format::PowerShell) => PossibleValue::new("powershell").alias("pwsh"),
            Self::Script(Format::Json) => PossibleValue::new("json"),
            Self::Script(Format::Dotenv) => PossibleValue::new("dotenv"),
            Self::Github => PossibleValue::new("github"),
        })
    }
}

impl Shell {
    /// The shell that the user has: what is not known is taken for a POSIX shell.
    fn usual(environment: &dyn Environment) -> Self {
        let shell = environment.var("SHELL").unwrap_or_default();
        let name = Path::new(&shell).file_name().unwrap_or_default();
        Self::Script(match name.to_str() {
            Some("fish") => Format::Fish,
            Some("pwsh") => Format::PowerShell,
            _ => Format::Bash,
        })
    }
}

/// Runs the command.
///
/// # Errors
/// [`CliError`]; nothing has been printed then.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let shell = Arg::new(SHELL)
        .long(SHELL)
        .value_name("SHELL")
        .value_parser(clap::value_parser!(Shell))
        .help("Whose syntax to write [default: that of $SHELL]")
        .help_heading("Output");
    let command = Command::new("env").about(ABOUT).after_help(DETAILS);
    let command = flags::common(command, &Setting::ALL).arg(shell);
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let shell = matches.get_one(SHELL).copied();
    match shell.unwrap_or_else(|| Shell::usual(context.environment)) {
        Shell::Script(format) => print(format, &matches, context)?,
        Shell::Github => append(&matches, context)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(format: Format, matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let variables = variables(matches, context)?;
    let script = environment::script(format, &variables, &conflicting(context));
    let script = script.map_err(|error| {
        let remedy = "`--shell json` can write it";
        CliError::new(Exit::Internal, format!("{error}"), remedy)
    })?;
    context::print(script.as_bytes())
}

/// Masks the secrets, and appends the variables to the file that `GITHUB_ENV` names.
fn append(matches: &ArgMatches, context: &Context<'_>) -> Result<(), CliError> {
    let path = context.environment.var("GITHUB_ENV").unwrap_or_default();
    if path.is_empty() {
        return Err(CliError::usage(
            "GITHUB_ENV is not set: `--shell github` is for the steps of a GitHub Actions workflow",
            "elsewhere, `--shell dotenv` writes a file",
        ));
    }
    let path = PathBuf::from(path);
    let failed = |error: io::Error| {
        let what = format!("GITHUB_ENV: {}: {error}", path.display());
        CliError::new(Exit::Internal, what, "")
    };
    // Before a session is begun that nobody gets.
    let file = Append::open(&path).map_err(failed)?;
    let step = Step::new(&variables(matches, context)?).map_err(failed)?;
    let conflicting = conflicting(context);
    if !conflicting.is_empty() {
        let what = format!(
            "this step has {}, which AWS's programs may go by in place of these credentials",
            conflicting.join(", ")
        );
        let remedy =
            "a file cannot remove variables: take them out of the workflow, or use `keystead exec`";
        context.console.warn(&what, remedy);
    }
    // Nothing is in the file before the runner knows what to hide.
    context::print(step.masks.as_bytes())?;
    file.append(&step).map_err(failed)
}

fn variables(
    matches: &ArgMatches,
    context: &Context<'_>,
) -> Result<[environment::Variable; 4], CliError> {
    let sources = Sources::new(matches, context).completed(&REQUIRED)?;
    let plan = Plan::new(matches, &sources, context)?;
    let debug = flags::switch(matches, "debug")?;
    let credentials = session::credentials(&plan, debug, context)?;
    Ok(environment::variables(&credentials))
}

/// The variables that are set and get in the way.
fn conflicting(context: &Context<'_>) -> Vec<&'static str> {
    let is_set = |name: &&str| context.environment.var(name).is_some();
    BESIDE_KEYS.into_iter().filter(is_set).collect()
}
