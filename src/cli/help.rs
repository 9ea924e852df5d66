//! The overview of all commands. Each command's own help is clap's.

use core::fmt::Write as _;
use std::process::ExitCode;
use std::string::String;

use super::error::CliError;
use super::{SUBCOMMANDS, context};

const HEAD: &str = "\
keystead: short-lived AWS credentials from an X.509 certificate

Usage: keystead COMMAND [FLAGS]

Commands:
";

const TAIL: &str = "
`keystead COMMAND --help` shows a command's flags. Each flag of credential-process can also be set
as a variable (--role-arn: KEYSTEAD_ROLE_ARN) or as a key of [identity.NAME] in keystead.toml
(role-arn = \"…\"). Flags count before variables, variables before the file.

Exit codes: 0 success, 1 internal failure, 2 arguments or configuration, 3 key or certificate,
4 PIN or password, 5 no usable answer from the service, 6 refused by the service; exec: 126 and 127
as shells have them.
";

/// Prints the overview.
///
/// # Errors
/// [`CliError`] if standard output cannot be written.
pub fn overview() -> Result<ExitCode, CliError> {
    let mut text = String::from(HEAD);
    for command in SUBCOMMANDS {
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {:23}{}", command.name, command.about);
    }
    text.push_str(TAIL);
    context::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
