//! `keystead cache list` and `keystead cache clear`.

use core::fmt::Write as _;
use std::ffi::OsString;
use std::format;
use std::process::ExitCode;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};

use super::plan::CachePlan;
use crate::cli::context::{self, Context};
use crate::cli::error::{CliError, Exit};
use crate::cli::sources::Sources;
use crate::cli::{flags, parse};
use crate::host::cache::{Cache, Clocks as _, Listed, Moment, SystemClocks};
use crate::host::clock::HostClock;
use crate::host::config::Setting;

/// One line about it.
pub const ABOUT: &str = "List or remove the credentials that are kept (cache list, cache clear)";

/// Runs the command.
///
/// # Errors
/// [`CliError`] if the cache cannot be used.
pub fn run(arguments: &[OsString], context: &Context<'_>) -> Result<ExitCode, CliError> {
    let list = Command::new("list")
        .about("Show which credentials are kept, and how long they live; never a secret")
        .arg(
            Arg::new("json")
                .long("json")
                .action(ArgAction::SetTrue)
                .help("As JSON"),
        );
    let clear = Command::new("clear")
        .about("Remove all credentials that are kept. Their sessions live on until they expire");
    let command = Command::new("cache")
        .about(ABOUT)
        .subcommand_required(true)
        .subcommand(flags::common(list, &[Setting::CacheDir]))
        .subcommand(flags::common(clear, &[Setting::CacheDir]));
    let Some(matches) = parse::matches(command, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let text = match matches.subcommand() {
        Some(("list", matches)) => list_entries(matches, context)?,
        Some(("clear", matches)) => clear_entries(matches, context)?,
        _ => return Ok(ExitCode::SUCCESS),
    };
    context::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The cache that commands would use, if it is there.
fn open(matches: &ArgMatches, context: &Context<'_>) -> Result<Option<Cache>, CliError> {
    let sources = Sources::new(matches, context).completed(&[])?;
    let plan = CachePlan::new(&sources, context)?;
    let mut refused = None;
    for place in plan.places() {
        match Cache::existing(place) {
            Ok(None) => {}
            Ok(cache) => return Ok(cache),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        None => Ok(None),
        Some(error) => Err(CliError::new(
            Exit::Internal,
            error.to_string(),
            "--cache-dir names the folder, if it is not the usual one",
        )),
    }
}

fn failed(cache: &Cache) -> impl Fn(std::io::Error) -> CliError + '_ {
    |error| {
        let what = format!("{}: {error}", cache.path().display());
        CliError::new(Exit::Internal, what, "")
    }
}

fn clear_entries(matches: &ArgMatches, context: &Context<'_>) -> Result<String, CliError> {
    let count = match open(matches, context)? {
        Some(cache) => cache.clear().map_err(failed(&cache))?,
        None => 0,
    };
    Ok(format!("removed: {count}\n"))
}

fn list_entries(matches: &ArgMatches, context: &Context<'_>) -> Result<String, CliError> {
    let cache = open(matches, context)?;
    let entries = match &cache {
        Some(cache) => cache.entries().map_err(failed(cache))?,
        None => Vec::new(),
    };
    let now = SystemClocks::new(Arc::new(HostClock::new(None))).map(|clocks| clocks.now());
    if matches.get_flag("json") {
        let folder = cache.map(|cache| cache.path().display().to_string());
        let entries: Vec<_> = entries
            .iter()
            .map(|listed| as_json(listed, now.as_ref()))
            .collect();
        let document = json!({"folder": folder, "entries": entries});
        return Ok(format!("{document:#}\n"));
    }
    let mut text = match cache {
        Some(cache) => format!("{}\n", cache.path().display()),
        None => String::from("nothing is kept\n"),
    };
    for listed in &entries {
        text += &as_text(listed, now.as_ref());
    }
    Ok(text)
}

/// Whole seconds that the credentials live.
fn left(listed: &Listed, now: Option<&Moment>) -> u64 {
    let entry = listed.entry.as_ref().ok();
    let left = entry.zip(now).map(|(entry, now)| entry.left(now));
    left.unwrap_or_default().as_secs()
}

fn as_json(listed: &Listed, now: Option<&Moment>) -> Value {
    match &listed.entry {
        Err(miss) => json!({"name": listed.name, "problem": miss.to_string()}),
        Ok(entry) => json!({
            "name": listed.name,
            "identity": (!entry.identity.is_empty()).then_some(&entry.identity),
            "certificate": entry.certificate,
            "role": entry.credentials.role_arn,
            "expiration": entry.credentials.expiration.to_string(),
            "secondsLeft": left(listed, now),
            "problem": Value::Null,
        }),
    }
}

fn as_text(listed: &Listed, now: Option<&Moment>) -> String {
    let entry = match &listed.entry {
        Ok(entry) => entry,
        Err(miss) => return format!("\nname         {}\nproblem      {miss}\n", listed.name),
    };
    let mut text = String::from("\n");
    let mut row = |name: &str, value: &str| {
        // Writing into a string does not fail.
        let _ = writeln!(text, "{name:11}  {value}");
    };
    if !entry.identity.is_empty() {
        row("identity", &entry.identity);
    }
    row("role", &entry.credentials.role_arn);
    row("certificate", &entry.certificate);
    row("expires", &entry.credentials.expiration.to_string());
    match left(listed, now) {
        0 => row("lives", "no more"),
        left => row("lives", &format!("{} min {} s", left / 60, left % 60)),
    }
    text
}
