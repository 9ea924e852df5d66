//! The flags of the commands that sign: one for each [`Setting`], the general ones, and those of
//! AWS's helper that keystead only takes for compatibility.
//!
//! Their syntax is that of AWS's helper: a switch can be given as `--debug` or `--debug=true`, and a
//! flag that is given twice counts as it was given last.

use std::ffi::{OsStr, OsString};
use std::format;
use std::string::String;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::error::CliError;
use crate::host::config::Setting;

const IDENTITY: &str = "Identity";
const AWS: &str = "AWS";
const NETWORK: &str = "Network";
const OUTPUT: &str = "Output";
const COMPATIBILITY: &str = "For compatibility with aws_signing_helper";

/// How people see a flag: the heading that it stands under, what its value is called (switches have
/// none), and what it does.
struct Description {
    heading: &'static str,
    value: Option<&'static str>,
    help: &'static str,
}

fn describe(setting: Setting) -> Description {
    let flag = |heading, value, help| Description {
        heading,
        value: Some(value),
        help,
    };
    let switch = |heading, help| Description {
        heading,
        value: None,
        help,
    };
    match setting {
        Setting::Certificate => flag(
            IDENTITY,
            "FILE",
            "Certificate, chain of certificates, or PKCS#12 file",
        ),
        Setting::Key => flag(
            IDENTITY,
            "FILE",
            "Private key; not needed where the certificate's file holds it",
        ),
        Setting::Intermediates => flag(
            IDENTITY,
            "FILE",
            "Certificates between the certificate and the trust anchor",
        ),
        Setting::PasswordSource => flag(
            IDENTITY,
            "SOURCE",
            "Where the key's password comes from: file:PATH, env:NAME, fd:N, cred:NAME (systemd), \
             cmd:PROGRAM, or prompt",
        ),
        Setting::SkipCertificateRules => switch(
            IDENTITY,
            "Send the certificate even if Roles Anywhere is going to refuse it",
        ),
        Setting::Strict => switch(
            IDENTITY,
            "Refuse key files that others can read, and passwords on the command line",
        ),
        Setting::TrustAnchorArn => flag(AWS, "ARN", "Trust anchor that the certificate chains to"),
        Setting::ProfileArn => flag(AWS, "ARN", "Profile that lists the role"),
        Setting::RoleArn => flag(AWS, "ARN", "Role to assume"),
        Setting::SessionDuration => flag(
            AWS,
            "DURATION",
            "How long the credentials live, 15m to 12h, as 30m or in seconds [default: 1h]",
        ),
        Setting::RoleSessionName => flag(
            AWS,
            "NAME",
            "Name of the session; the profile has to allow it",
        ),
        Setting::Region => flag(
            AWS,
            "REGION",
            "Region to sign for and send to [default: the trust anchor's]",
        ),
        Setting::Endpoint => flag(
            AWS,
            "URL",
            "Another endpoint: a VPC endpoint, keystead sandbox",
        ),
        Setting::Fips => switch(AWS, "Use the region's FIPS endpoint"),
        Setting::DualStack => switch(AWS, "Use the region's dual-stack (IPv6) endpoint"),
        Setting::CaBundle => flag(
            NETWORK,
            "FILE",
            "Trust these root certificates instead of the system's [also: AWS_CA_BUNDLE]",
        ),
        Setting::WithProxy => switch(
            NETWORK,
            "Use the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name",
        ),
        Setting::Proxy => flag(NETWORK, "URL", "Use this proxy"),
        Setting::ConnectTimeout => flag(
            NETWORK,
            "DURATION",
            "How long a connection may take to be made [default: 10s]",
        ),
        Setting::Timeout => flag(
            NETWORK,
            "DURATION",
            "How long all attempts together may take [default: 60s]",
        ),
        Setting::MaxAttempts => flag(
            NETWORK,
            "COUNT",
            "How often a request is sent before it is given up [default: 3]",
        ),
        Setting::NoVerifySsl => switch(
            NETWORK,
            "Do not verify the service's certificate: whoever is in between can take the \
             credentials. --ca-bundle is the better way",
        ),
        Setting::AllowHttp => switch(
            NETWORK,
            "Allow an http:// endpoint on another machine: credentials cross the network in clear",
        ),
        Setting::CorrectClock => switch(
            NETWORK,
            "Where this machine's clock is wrong, sign with the service's",
        ),
        Setting::StateDir => flag(
            NETWORK,
            "DIRECTORY",
            "Where the last verified time is kept [also: STATE_DIRECTORY]",
        ),
    }
}

fn setting_flag(setting: Setting) -> Arg {
    let description = describe(setting);
    let arg = Arg::new(setting.name())
        .long(setting.name())
        .help(description.help)
        .help_heading(description.heading);
    let arg = if matches!(setting, Setting::Key) {
        arg.visible_alias("private-key")
    } else {
        arg
    };
    with_value(arg, description.value)
}

fn with_value(arg: Arg, value: Option<&'static str>) -> Arg {
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

/// The flags that every signing command has, whatever it does with the signature.
pub fn common(command: Command, settings: &[Setting]) -> Command {
    command
        .arg(with_value(
            Arg::new("identity")
                .long("identity")
                .short('i')
                .help("Use [identity.NAME] of keystead.toml")
                .help_heading(IDENTITY),
            Some("NAME"),
        ))
        .arg(with_value(
            Arg::new("config")
                .long("config")
                .help("Read this file instead of the usual keystead.toml")
                .help_heading(IDENTITY),
            Some("FILE"),
        ))
        .args(settings.iter().copied().map(setting_flag))
        .arg(with_value(
            Arg::new("debug")
                .long("debug")
                .help("Show on standard error what is signed, sent and answered, without secrets")
                .help_heading(OUTPUT),
            None,
        ))
        .arg(error_format())
        .args(compatibility_flags(settings))
        .arg(
            // AWS's helper takes arguments without a flag, and ignores them.
            Arg::new(EXTRA)
                .num_args(0..)
                .value_parser(value_parser!(OsString))
                .hide(true),
        )
}

const EXTRA: &str = "extra";

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

/// A flag of AWS's helper that keystead has a better way for, or that is for keys that it cannot use
/// yet.
struct CompatibilityFlag {
    name: &'static str,
    value: Option<&'static str>,
    /// What it is for, if keystead cannot do that yet.
    later: Option<&'static str>,
    help: &'static str,
}

impl CompatibilityFlag {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.name)
            .help(self.help)
            .help_heading(COMPATIBILITY)
            .hide(self.later.is_some());
        with_value(arg, self.value)
    }
}

/// The flag for a password on the command line.
pub const PKCS8_PASSWORD: &str = "pkcs8-password";

const STORES: Option<&str> = Some("certificate stores of the operating system");
const TOKENS: Option<&str> = Some("PKCS#11 tokens");
const TPM: Option<&str> = Some("TPM keys");

const fn later(
    name: &'static str,
    value: Option<&'static str>,
    later: Option<&'static str>,
) -> CompatibilityFlag {
    CompatibilityFlag {
        name,
        value,
        later,
        help: "",
    }
}

const COMPATIBILITY_FLAGS: [CompatibilityFlag; 9] = [
    CompatibilityFlag {
        name: PKCS8_PASSWORD,
        value: Some("PASSWORD"),
        later: None,
        help: "Password of the private key, where other users can see it. --password-source is the \
               better way",
    },
    later("cert-selector", Some("SELECTOR"), STORES),
    later("system-store-name", Some("NAME"), STORES),
    later("system-store-location", Some("LOCATION"), STORES),
    later("use-latest-expiring-certificate", None, STORES),
    later("pkcs11-lib", Some("FILE"), TOKENS),
    later("reuse-pin", None, TOKENS),
    later("tpm-key-password", Some("PASSWORD"), TPM),
    later("no-tpm-key-password", None, TPM),
];

/// Those that go together with `settings`: a command that opens no key takes no password.
fn compatibility_flags(settings: &[Setting]) -> impl Iterator<Item = Arg> {
    let opens_key = settings.contains(&Setting::PasswordSource);
    let flags = COMPATIBILITY_FLAGS.iter();
    flags
        .filter(move |flag| flag.later.is_some() || opens_key)
        .map(CompatibilityFlag::arg)
}

/// Refuses what was given of the flags that are for later, and arguments without a flag.
///
/// # Errors
/// [`CliError`], naming the first of them.
pub fn refuse_unsupported(matches: &ArgMatches) -> Result<(), CliError> {
    for flag in &COMPATIBILITY_FLAGS {
        let Some(what) = flag.later else { continue };
        let off = |value: &OsStr| parse_switch(value) == Some(false);
        match value(matches, flag.name) {
            Some(given) if flag.value.is_some() || !off(given) => {
                return Err(not_built_yet(what, &format!("--{}", flag.name)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The error for keys that keystead cannot use yet; `named` is the flag or the URI that asked for
/// them.
pub fn not_built_yet(what: &str, named: &str) -> CliError {
    CliError::usage(
        format!("not built yet: {what} ({named})"),
        "keys and certificates in files work: --certificate and --key",
    )
}

/// The first argument that stands without a flag.
pub fn extra(matches: &ArgMatches) -> Option<String> {
    let extra = matches.get_raw(EXTRA)?.next()?;
    Some(extra.to_string_lossy().into_owned())
}

/// What a flag was given as. An empty value counts as none, as with AWS's helper.
pub fn value<'m>(matches: &'m ArgMatches, name: &str) -> Option<&'m OsStr> {
    // A flag that the command does not have was not given either.
    let value = matches.try_get_one::<OsString>(name).ok().flatten()?;
    (!value.is_empty()).then_some(value)
}

/// Whether a general switch such as `--debug` is on.
///
/// # Errors
/// [`CliError`] if its value is neither true nor false.
pub fn switch(matches: &ArgMatches, name: &str) -> Result<bool, CliError> {
    let Some(value) = value(matches, name) else {
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
