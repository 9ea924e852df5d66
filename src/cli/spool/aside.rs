//! `keystead spool retry` and `keystead spool drop`: what becomes of entries that are set aside.

use std::format;
use std::process::ExitCode;
use std::string::String;
use std::vec::Vec;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::failure;
use super::place::SpoolPlan;
use crate::cli::context::{self, Context};
use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::cli::{flags, push};
use crate::host::push_config::SpoolSetting;
use crate::host::spool::{EntryId, Selection, Spool, SpoolError};

/// The name of the command that has them sent again.
pub const RETRY: &str = "retry";

/// The name of the command that deletes them.
pub const DROP: &str = "drop";

const ID: &str = "ID";
const ALL: &str = "all";

/// So many digits tell an entry from others.
const DIGITS: usize = 6;

/// `keystead spool retry`.
pub fn retry_command() -> Command {
    command(
        RETRY,
        "Have entries sent again that were set aside",
        "\
    keystead spool retry 3f2a91c0
    keystead spool retry --all

`keystead spool status --aside` lists them. `keystead spool run` need not be started anew.",
    )
}

/// `keystead spool drop`.
pub fn drop_command() -> Command {
    command(
        DROP,
        "Delete entries that were set aside: they are not delivered",
        "\
    keystead spool drop 3f2a91c0
    keystead spool drop --all

`keystead spool status --aside` lists them. What waits to be sent is not deleted.",
    )
}

fn command(name: &'static str, about: &'static str, details: &'static str) -> Command {
    let command = Command::new(name).about(about).after_help(details);
    let command = flags::signing(command, &[]);
    push::flags::add_spool(command, &SpoolSetting::OF_FOLDER)
        .arg(
            Arg::new(ID)
                .num_args(0..)
                .help("The entries: their ids, or six and more of the first digits"),
        )
        .arg(
            Arg::new(ALL)
                .long(ALL)
                .action(ArgAction::SetTrue)
                .help("All that are set aside"),
        )
}

/// Runs `keystead spool retry`.
///
/// # Errors
/// [`CliError`] if there is no such entry.
pub fn retry(matches: &ArgMatches, context: &Context<'_>) -> Result<ExitCode, CliError> {
    run(matches, context, Spool::retry, "sent again")
}

/// Runs `keystead spool drop`.
///
/// # Errors
/// [`CliError`] if there is no such entry.
pub fn drop(matches: &ArgMatches, context: &Context<'_>) -> Result<ExitCode, CliError> {
    run(matches, context, Spool::discard, "deleted")
}

fn run(
    matches: &ArgMatches,
    context: &Context<'_>,
    act: fn(&Spool, &Selection) -> Result<usize, SpoolError>,
    done: &str,
) -> Result<ExitCode, CliError> {
    let settings = Settings::with_file(matches, context)?;
    let spool = SpoolPlan::new(&settings, context.environment)?.open_existing()?;
    let selection = selection(matches, &spool)?;
    let number = act(&spool, &selection).map_err(|error| failure::of(&error, ""))?;
    let entries = match number {
        1 => "1 entry is".into(),
        number => format!("{number} entries are"),
    };
    context::print(format!("{entries} {done}\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn selection(matches: &ArgMatches, spool: &Spool) -> Result<Selection, CliError> {
    let named: Vec<&String> = matches.get_many(ID).into_iter().flatten().collect();
    match (matches.get_flag(ALL), named.is_empty()) {
        (true, true) => return Ok(Selection::All),
        (true, false) => {
            return Err(CliError::usage(
                "--all and single entries are both given",
                "leave one of them out",
            ));
        }
        (false, true) => {
            return Err(CliError::usage(
                "nobody says which entries",
                "name them, or give --all; `keystead spool status --aside` lists them",
            ));
        }
        (false, false) => {}
    }
    let aside = spool.aside().map_err(|error| failure::of(&error, ""))?;
    let ids: Vec<EntryId> = aside.iter().map(|aside| aside.id).collect();
    let found = named.into_iter().map(|named| of_name(named, &ids));
    found.collect::<Result<_, _>>().map(Selection::Ids)
}

fn of_name(named: &str, ids: &[EntryId]) -> Result<EntryId, CliError> {
    let begins = |id: &&EntryId| format!("{id}").starts_with(&named.to_ascii_lowercase());
    let mut found = ids.iter().filter(begins);
    let known = "`keystead spool status --aside` lists those that are set aside";
    if named.len() < DIGITS {
        let what = format!("`{named}` is too short to tell an entry by");
        return Err(CliError::usage(what, known));
    }
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(*id),
        (Some(_), Some(_)) => Err(CliError::usage(
            format!("`{named}` is the beginning of several entries"),
            known,
        )),
        (None, _) => Err(CliError::usage(
            format!("no entry `{named}` is set aside"),
            known,
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_by_their_first_digits() {
        let ids = [EntryId([0xab; 16]), EntryId([0xac; 16])];
        assert_eq!(of_name("ababab", &ids).unwrap(), ids[0]);
        assert_eq!(of_name(&format!("{}", ids[1]), &ids).unwrap(), ids[1]);
        assert_eq!(of_name("ABABABAB", &ids).unwrap(), ids[0]);
        for (name, says) in [
            ("ab", "too short"),
            ("cdcdcd", "no entry `cdcdcd`"),
            ("", "too short"),
        ] {
            let error = of_name(name, &ids).unwrap_err();
            assert!(error.what.contains(says), "{}", error.what);
        }
        let twins = [EntryId([0xab; 16]), EntryId([0xab; 16])];
        assert!(
            of_name("ababab", &twins)
                .unwrap_err()
                .what
                .contains("several")
        );
    }
}
