//! The flags of AWS's helper that keystead only takes for compatibility.

use std::ffi::OsStr;
use std::format;

use clap::Arg;

use super::super::error::CliError;
#[cfg(not(feature = "tpm-direct"))]
use super::super::place;
use super::super::selector;
use super::{Given, parse_switch, with_value};
use crate::host::config::Setting;

const HEADING: &str = "For compatibility with aws_signing_helper";

/// A flag of AWS's helper that keystead has a better way for, or that is for keys that it cannot use
/// yet.
struct Flag {
    name: &'static str,
    value: Option<&'static str>,
    /// What it is for, if keystead cannot do that yet.
    later: Option<&'static str>,
    help: &'static str,
}

impl Flag {
    fn arg(&self) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.name)
            .help(self.help)
            .help_heading(HEADING)
            .hide(self.later.is_some());
        with_value(arg, self.value)
    }
}

/// The flag for a password on the command line.
pub const PKCS8_PASSWORD: &str = "pkcs8-password";

/// The flag for the auth value of a TPM's key on the command line.
pub const TPM_KEY_PASSWORD: &str = "tpm-key-password";

/// The switch that says that a TPM's key has no auth value.
pub const NO_TPM_KEY_PASSWORD: &str = "no-tpm-key-password";

const CERT_SELECTOR: &str = "cert-selector";

const STORES: Option<&str> = Some("certificate stores of the operating system");

const fn later(
    name: &'static str,
    value: Option<&'static str>,
    later: Option<&'static str>,
) -> Flag {
    Flag {
        name,
        value,
        later,
        help: "",
    }
}

const FLAGS: [Flag; 7] = [
    Flag {
        name: PKCS8_PASSWORD,
        value: Some("PASSWORD"),
        later: None,
        help: "Password of the private key, where other users can see it. --password-source is the \
               better way",
    },
    later(CERT_SELECTOR, Some("SELECTOR"), STORES),
    later("system-store-name", Some("NAME"), STORES),
    later("system-store-location", Some("LOCATION"), STORES),
    later("use-latest-expiring-certificate", None, STORES),
    Flag {
        name: TPM_KEY_PASSWORD,
        value: Some("PASSWORD"),
        later: None,
        help: "Auth value of the TPM's key, where other users can see it. --password-source, or auth-source= \
               in the key's URI, is the better way",
    },
    Flag {
        name: NO_TPM_KEY_PASSWORD,
        value: None,
        later: None,
        help: "The TPM's key has no auth value: nobody is asked for it",
    },
];

/// Those that go together with `settings`: a command that opens no key takes no password.
pub fn flags(settings: &[Setting]) -> impl Iterator<Item = Arg> {
    let opens_key = settings.contains(&Setting::PasswordSource);
    let flags = FLAGS.iter();
    flags
        .filter(move |flag| flag.later.is_some() || opens_key)
        .map(Flag::arg)
}

/// Refuses what was given of the flags that are for later.
///
/// # Errors
/// [`CliError`], naming the first of them.
pub fn refuse_unsupported(given: &dyn Given) -> Result<(), CliError> {
    #[cfg(not(feature = "tpm-direct"))]
    refuse_tpm(given)?;
    for flag in &FLAGS {
        let Some(what) = flag.later else { continue };
        let off = |value: &OsStr| parse_switch(value) == Some(false);
        match given.value(flag.name) {
            Some(value) if flag.value.is_some() || !off(value) => {
                if flag.name == CERT_SELECTOR {
                    selector::read(value)?;
                }
                return Err(CliError::usage(
                    format!("not built yet: {what} (--{})", flag.name),
                    "keys in files, PKCS#11 tokens and TPMs work: --certificate and --key",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Refuses what is said of TPM keys, where they cannot be used.
#[cfg(not(feature = "tpm-direct"))]
fn refuse_tpm(given: &dyn Given) -> Result<(), CliError> {
    let switch = super::switch(given, NO_TPM_KEY_PASSWORD)?;
    let name = match given.value(TPM_KEY_PASSWORD) {
        Some(_) => TPM_KEY_PASSWORD,
        None if switch => NO_TPM_KEY_PASSWORD,
        None => return Ok(()),
    };
    Err(place::without_tpm(format!("--{name} is for keys in a TPM")))
}
