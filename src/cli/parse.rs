//! From arguments to clap's matches, and from clap's errors to ours.

use std::borrow::{Cow, ToOwned as _};
use std::ffi::OsString;
use std::format;
use std::string::{String, ToString as _};

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use super::context;
use super::error::CliError;

/// Reads `arguments`, the name of the subcommand first. `None` if help was asked for and shown.
///
/// # Errors
/// [`CliError`] in clap's words, shortened to a sentence and a remedy.
pub fn matches(command: Command, arguments: &[OsString]) -> Result<Option<ArgMatches>, CliError> {
    let name = command.get_name().to_owned();
    let command = command
        .bin_name(format!("keystead {name}"))
        // As the flags of AWS's helper: the last one counts.
        .args_override_self(true)
        .disable_help_subcommand(true);
    match command.try_get_matches_from(arguments) {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if !error.use_stderr() => {
            context::print(error.render().to_string().as_bytes())?;
            Ok(None)
        }
        Err(error) => Err(usage_error(&name, &error)),
    }
}

/// Clap's error for the subcommand `name`, shortened.
pub fn usage_error(name: &str, error: &clap::Error) -> CliError {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n");
    let what = one_line(paragraphs.next().unwrap_or_default());
    let what = what.strip_prefix("error: ").unwrap_or(&what);
    let mut remedy = String::new();
    if matches!(
        error.kind(),
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::InvalidSubcommand
    ) {
        let tips = paragraphs.map(str::trim);
        for tip in tips.filter_map(|paragraph| paragraph.strip_prefix("tip: ")) {
            remedy += &one_line(tip);
            remedy += "; ";
        }
    }
    remedy += &format!("`keystead {name} --help` lists what there is");
    CliError::usage(what, remedy)
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in without_uri(text).split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// A URI in the wrong place, which clap quotes, may hold a PIN or an auth value, wherever in it.
fn without_uri(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let schemes = ["pkcs11:", "tpm:"].into_iter();
    let found = schemes.filter_map(|scheme| Some((lower.find(scheme)?, scheme)));
    let Some((start, scheme)) = found.min() else {
        return text.into();
    };
    let (before, rest) = text.split_at(start);
    let after = rest.rfind('\'').map_or("", |end| &rest[end..]);
    format!("{before}{scheme}…{after}").into()
}
