//! Command lines that name flags and values and nothing else, as those in `~/.aws/config` do, are read
//! without clap: to build fifty flags, of which six are given, costs more than all else that a hit in the
//! cache does. Whatever is not that plain, clap reads.

use std::ffi::{OsStr, OsString};
use std::vec::Vec;

use clap::{ArgMatches, Command};

use super::{EXTRA, GENERAL, alias, common, describe};
use crate::cli::error::CliError;
use crate::cli::parse;
use crate::host::config::Setting;

/// What was given on a command line.
pub trait Given {
    /// What a flag was given as. An empty value counts as none, as with AWS's helper.
    fn value(&self, name: &str) -> Option<&OsStr>;

    /// Whether an argument stands without a flag.
    fn has_extra(&self) -> bool;
}

impl Given for ArgMatches {
    fn value(&self, name: &str) -> Option<&OsStr> {
        // A flag that the command does not have was not given either.
        let value = self.try_get_one::<OsString>(name).ok().flatten()?;
        (!value.is_empty()).then_some(value)
    }

    fn has_extra(&self) -> bool {
        // A command with arguments of its own does not have it.
        self.try_contains_id(EXTRA).unwrap_or_default()
    }
}

/// Reads `arguments`, the name of the subcommand first, which has the flags of [`common`]. `None` if help
/// was asked for and shown.
///
/// # Errors
/// As [`parse::matches`].
pub fn read(
    command: impl FnOnce() -> Command,
    settings: &[Setting],
    arguments: &[OsString],
) -> Result<Option<Read>, CliError> {
    if let Some(plain) = Plain::read(settings, arguments) {
        return Ok(Some(Read::Plain(plain)));
    }
    let matches = parse::matches(common(command(), settings), arguments)?;
    Ok(matches.map(Read::Clap))
}

/// A command line, by whoever read it.
pub enum Read {
    /// We ourselves.
    Plain(Plain),
    /// Clap.
    Clap(ArgMatches),
}

impl Given for Read {
    fn value(&self, name: &str) -> Option<&OsStr> {
        match self {
            Self::Plain(plain) => plain.value(name),
            Self::Clap(matches) => matches.value(name),
        }
    }

    fn has_extra(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Clap(matches) => matches.has_extra(),
        }
    }
}

/// Flags with values, in the order in which they were given.
pub struct Plain(Vec<(&'static str, OsString)>);

impl Plain {
    /// `None` if there is anything that may not mean what it seems to.
    fn read(settings: &[Setting], arguments: &[OsString]) -> Option<Self> {
        let mut given = Vec::new();
        let mut arguments = arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let argument = argument.to_str()?.strip_prefix("--")?;
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument, None),
            };
            let (name, is_switch) = flag(settings, name)?;
            let value = match (value, is_switch) {
                (Some(""), true) => return None,
                (Some(value), _) => value.into(),
                (None, true) => "true".into(),
                (None, false) => arguments.next().filter(|next| is_value(next))?.clone(),
            };
            given.push((name, value));
        }
        Some(Self(given))
    }

    fn value(&self, name: &str) -> Option<&OsStr> {
        let mut flags = self.0.iter().rev();
        // As with AWS's helper, the last one counts.
        let (_, value) = flags.find(|(known, _)| *known == name)?;
        (!value.is_empty()).then_some(value)
    }
}

/// The name of a flag, without its alias, and whether it is a switch.
fn flag(settings: &[Setting], name: &str) -> Option<(&'static str, bool)> {
    if let Some(general) = GENERAL.iter().find(|general| general.name == name) {
        return Some((general.name, general.value.is_none()));
    }
    let mut settings = settings.iter().copied();
    let setting =
        settings.find(|&setting| setting.name() == name || alias(setting) == Some(name))?;
    Some((setting.name(), describe(setting).value.is_none()))
}

/// What begins with a dash may be another flag.
fn is_value(argument: &OsStr) -> bool {
    !argument.as_encoded_bytes().starts_with(b"-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(arguments: &[&str]) -> Option<Plain> {
        let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
        Plain::read(&Setting::ALL, &arguments)
    }

    #[test]
    fn plain_flags_need_no_clap() {
        let read = plain(&[
            "credential-process",
            "--certificate",
            "hub.pem",
            "--private-key=a=b",
            "--identity=",
            "--fips",
            "--fips=false",
        ]);
        let read = read.expect("plain flags");
        for (name, value) in [
            ("certificate", Some("hub.pem")),
            ("key", Some("a=b")),
            ("identity", None),
            ("fips", Some("false")),
            ("debug", None),
        ] {
            assert_eq!(read.value(name), value.map(OsStr::new), "{name}");
        }
    }

    #[test]
    fn all_else_is_left_to_clap() {
        for other in [
            "-i",
            "-ihub",
            "--help",
            "--",
            "-",
            "--pkcs8-password=x",
            "--kez=x",
            "--key",
            "word",
            "--fips=",
            "--error-format=json",
        ] {
            assert!(plain(&["x", "--debug", other]).is_none(), "{other}");
        }
        assert!(plain(&["x", "--key", "--debug"]).is_none());
    }

    proptest! {
        #[test]
        fn clap_reads_the_same(
            arguments in proptest::collection::vec(
                "--(debug|key|private-key|pin-source|fips|proxy|identity|region)(=(a|true|--x)?)?|-i|text",
                0..6,
            ),
        ) {
            let named = ["test"].into_iter().chain(arguments.iter().map(|text| text.as_str()));
            let named: Vec<_> = named.map(OsString::from).collect();
            if let Some(plain) = Plain::read(&Setting::ALL, &named) {
                let whole = common(Command::new("test"), &Setting::ALL);
                let whole = parse::matches(whole, &named).map_err(|error| error.what);
                let whole = whole.unwrap().unwrap();
                prop_assert!(!whole.has_extra());
                for name in ["debug", "key", "password-source", "fips", "proxy", "identity", "region"] {
                    prop_assert_eq!(plain.value(name), whole.value(name));
                }
            }
        }
    }
}
