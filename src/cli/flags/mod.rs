//! The flags of the commands that sign: one for each [`Setting`], the general ones, and those of
//! AWS's helper that keystead only takes for compatibility.
//!
//! Their syntax is that of AWS's helper: a switch can be given as `--debug` or `--debug=true`, and a
//! flag that is given twice counts as it was given last.

mod compatibility;
mod describe;
mod plain;

use std::ffi::{OsStr, OsString};
use std::format;

use clap::{Arg, Command, value_parser};

use self::describe::{IDENTITY, OUTPUT, describe};
use super::error::CliError;
use crate::host::config::Setting;

#[cfg(feature = "tpm-direct")]
pub use compatibility::{NO_TPM_KEY_PASSWORD, TPM_KEY_PASSWORD};
pub use compatibility::{PKCS8_PASSWORD, refuse_unsupported};
pub use plain::{Given, read};

/// The flags that every signing command has, whatever it does with the signature. Arguments without a flag are
/// taken as AWS's helper takes them.
pub fn common(command: Command, settings: &[Setting]) -> Command {
    signing(command, settings).arg(extra())
}

/// The same for a command with arguments of its own.
pub fn signing(command: Command, settings: &[Setting]) -> Command {
    command
        .args(GENERAL.iter().map(General::arg))
        .args(settings.iter().copied().map(setting_flag))
        .arg(error_format())
        .args(compatibility::flags(settings))
}

/// A flag that is no setting.
struct General {
    name: &'static str,
    short: Option<char>,
    /// What its value is called; switches have none.
    value: Option<&'static str>,
    heading: &'static str,
    help: &'static str,
}

const GENERAL: [General; 3] = [
    General {
        name: "identity",
        short: Some('i'),
        value: Some("NAME"),
        heading: IDENTITY,
        help: "Use [identity.NAME] of keystead.toml",
    },
    General {
        name: "config",
        short: None,
        value: Some("FILE"),
        heading: IDENTITY,
        help: "Read this file instead of the usual keystead.toml",
    },
    General {
        name: "debug",
        short: None,
        value: None,
        heading: OUTPUT,
        help: "Show on standard error what is signed, sent and answered, without secrets",
    },
];

impl General {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.name)
            .help(self.help)
            .help_heading(self.heading);
        let arg = match self.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        with_value(arg, self.value)
    }
}

/// AWS's helper takes arguments without a flag, and ignores them.
fn extra() -> Arg {
    Arg::new(EXTRA)
        .num_args(0..)
        .value_parser(value_parser!(OsString))
        .hide(true)
}

const EXTRA: &str = "extra";

fn setting_flag(setting: Setting) -> Arg {
    let description = describe(setting);
    let arg = Arg::new(setting.name())
        .long(setting.name())
        .help(description.help)
        .help_heading(description.heading);
    let arg = match alias(setting) {
        Some(alias) => arg.visible_alias(alias),
        None => arg,
    };
    with_value(arg, description.value)
}

/// The other name of a setting's flag.
const fn alias(setting: Setting) -> Option<&'static str> {
    match setting {
        Setting::Key => Some("private-key"),
        Setting::PasswordSource => Some("pin-source"),
        _ => None,
    }
}

/// A flag with the syntax of AWS's helper: a switch, if it has no value.
pub fn with_value(arg: Arg, value: Option<&'static str>) -> Arg {
    let arg = arg.value_parser(value_parser!(OsString));
    match value {
        // As with AWS's helper, whatever follows is the value.
        Some(name) => arg.value_name(name).allow_hyphen_values(true),
        None => arg
            .value_name("BOOL")
            .hide_possible_values(true)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
    }
}

/// `--error-format`. Its value is looked up before clap reads the arguments.
pub fn error_format() -> Arg {
    Arg::new("error-format")
        .long("error-format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .help("How errors are written to standard error")
        .help_heading(OUTPUT)
        .global(true)
}

/// What a flag was given as. An empty value counts as none, as with AWS's helper.
pub fn value<'g>(given: &'g dyn Given, name: &str) -> Option<&'g OsStr> {
    given.value(name)
}

/// Whether a general switch such as `--debug` is on.
///
/// # Errors
/// [`CliError`] if its value is neither true nor false.
pub fn switch(given: &dyn Given, name: &str) -> Result<bool, CliError> {
    let Some(value) = given.value(name) else {
        return Ok(false);
    };
    parse_switch(value)
        .ok_or_else(|| CliError::usage(format!("--{name} is neither true nor false"), ""))
}

/// Reads a truth value in any of the forms that Go's `strconv.ParseBool` takes.
pub fn parse_switch(value: &OsStr) -> Option<bool> {
    match value.to_str()? {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use clap::ArgMatches;
    use proptest::prelude::*;
    use std::borrow::ToOwned as _;
    use std::format;
    use std::os::unix::ffi::OsStringExt as _;
    use std::string::ToString as _;
    use std::vec::Vec;

    fn matches(arguments: &[&str]) -> ArgMatches {
        let command = common(Command::new("test"), &Setting::ALL);
        let arguments: Vec<OsString> = ["test"].iter().chain(arguments).map(Into::into).collect();
        parse::matches(command, &arguments).unwrap().unwrap()
    }

    #[test]
    fn switches_as_go_writes_them() {
        for (argument, on) in [
            ("--debug", true),
            ("--debug=true", true),
            ("--debug=T", true),
            ("--debug=1", true),
            ("--debug=false", false),
            ("--debug=0", false),
        ] {
            assert_eq!(switch(&matches(&[argument]), "debug").unwrap(), on);
        }
        assert!(!switch(&matches(&[]), "debug").unwrap());
        assert!(!switch(&matches(&["--debug", "--debug=false"]), "debug").unwrap());
        let error = switch(&matches(&["--debug=yes"]), "debug").unwrap_err();
        assert_eq!(error.to_string(), "--debug is neither true nor false");
    }

    #[test]
    fn values_as_go_takes_them() {
        let given = |arguments: &[&str]| {
            let matches = matches(arguments);
            matches.value("role-session-name").map(OsStr::to_owned)
        };
        assert_eq!(given(&["--role-session-name=a=b"]), Some("a=b".into()));
        assert_eq!(
            given(&["--role-session-name", "--debug"]),
            Some("--debug".into())
        );
        assert_eq!(
            given(&["--role-session-name=a", "--role-session-name", "b"]),
            Some("b".into())
        );
        assert_eq!(given(&["--role-session-name="]), None);
        let key = matches(&["--private-key", "x"]);
        assert_eq!(key.value("key"), Some(OsStr::new("x")));
    }

    #[test]
    fn what_is_for_later_can_be_switched_off() {
        let flag = "--use-latest-expiring-certificate";
        assert!(refuse_unsupported(&matches(&[&format!("{flag}=false")])).is_ok());
        assert!(refuse_unsupported(&matches(&[flag])).is_err());
        assert!(refuse_unsupported(&matches(&["--system-store-name=x"])).is_err());
    }

    proptest! {
        #[test]
        fn any_arguments_are_taken_or_refused(
            arguments in proptest::collection::vec(
                prop_oneof![
                    "--(debug|key|fips|strict|proxy|config|cert-selector)(=[a-z]{0,3})?",
                    "-[a-z-]{0,3}",
                    "\\PC{0,8}",
                ].prop_map(OsString::from).boxed()
                .prop_union(
                    proptest::collection::vec(any::<u8>(), 0..8).prop_map(OsString::from_vec).boxed()
                ),
                0..6,
            ),
        ) {
            // Help would be printed.
            let asks_help = |argument: &OsString| {
                argument == "--help" || argument.to_string_lossy().starts_with("-h")
            };
            prop_assume!(!arguments.iter().any(asks_help));
            let all: Vec<OsString> = [OsString::from("test")].into_iter().chain(arguments).collect();
            let command = common(Command::new("test"), &Setting::ALL);
            if let Ok(Some(matches)) = parse::matches(command, &all) {
                let _ = (refuse_unsupported(&matches), matches.has_extra(), switch(&matches, "debug"));
            }
        }
    }
}
