//! What a command has beside its arguments: how it was started, the environment, and the console.

use core::fmt;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::string::String;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::vec::Vec;
use std::{env, format, io};

use super::error::{CliError, Exit};
use crate::backend::secret::Environment;
use crate::core::text::JsonString;
use crate::core::time::UnixTime;

/// The name of AWS's helper, which keystead stands in for when it is started under it.
const REFERENCE_NAME: &str = "aws_signing_helper";

/// What every command is given beside its arguments.
pub struct Context<'a> {
    /// Whether the program was started under the name of AWS's helper.
    pub drop_in: bool,
    /// The environment variables.
    pub environment: &'a dyn Environment,
    /// Where people are told what happens.
    pub console: Console,
}

/// Whether `program`, the zeroth argument, names AWS's helper.
pub fn is_drop_in(program: &OsStr) -> bool {
    Path::new(program)
        .file_stem()
        .is_some_and(|stem| stem == REFERENCE_NAME)
}

/// Standard error. Standard output belongs to the commands' results alone.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    json: bool,
}

/// Writes a line to standard error. There is nobody to tell that it cannot be written.
pub fn tell(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

impl Console {
    /// A console as `--error-format` or `KEYSTEAD_ERROR_FORMAT` ask for it. They are looked up before
    /// the arguments are read, because an error in the arguments has to follow them too.
    pub fn new(arguments: &[OsString], environment: &dyn Environment) -> Self {
        let mut format = environment.var("KEYSTEAD_ERROR_FORMAT");
        let mut arguments = arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                break;
            } else if argument == "--error-format" {
                format = arguments.next().cloned();
            } else if let Some(value) = argument
                .to_str()
                .and_then(|text| text.strip_prefix("--error-format="))
            {
                format = Some(value.into());
            }
        }
        Self {
            json: format.is_some_and(|format| format == "json"),
        }
    }

    /// Warns; the second sentence says what to do.
    pub fn warn(&self, what: &str, remedy: &str) {
        if self.json {
            tell(format_args!(
                r#"{{"kind":"warning","message":{},"remedy":{}}}"#,
                JsonString(what),
                JsonString(remedy)
            ));
        } else if remedy.is_empty() {
            tell(format_args!("warning: {what}"));
        } else {
            tell(format_args!("warning: {what}\n  {remedy}"));
        }
    }

    /// Says something that nobody has to do anything about.
    pub fn note(&self, what: &str) {
        if self.json {
            tell(format_args!(
                r#"{{"kind":"note","message":{}}}"#,
                JsonString(what)
            ));
        } else {
            tell(format_args!("{what}"));
        }
    }

    /// Reports the error that a command ended with.
    pub fn report(&self, error: &CliError) {
        if self.json {
            tell(format_args!("{}", error.json()));
        } else {
            tell(format_args!("keystead: {error}"));
        }
    }
}

/// Standard output, where a module that is loaded into this process must not write to it.
static STDOUT: OnceLock<File> = OnceLock::new();

/// Keeps standard output for [`print`] alone: whatever else writes to it, as some PKCS#11 modules do,
/// comes out on standard error.
///
/// # Errors
/// [`io::Error`] if descriptors are short.
#[cfg(feature = "pkcs11")]
pub fn reserve_stdout() -> io::Result<()> {
    if STDOUT.get().is_none() {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        STDOUT.get_or_init(|| stdout.into());
    }
    Ok(())
}

/// Gives standard output back to whatever runs next in this process.
///
/// # Errors
/// [`io::Error`] if descriptors are short.
#[cfg(feature = "pkcs11")]
pub fn release_stdout() -> io::Result<()> {
    match STDOUT.get() {
        Some(stdout) => Ok(rustix::stdio::dup2_stdout(stdout)?),
        None => Ok(()),
    }
}

/// Writes a command's result to standard output, in one piece. It may be a secret: no buffer keeps a
/// copy.
///
/// # Errors
/// [`CliError`] if it cannot be written.
pub fn print(bytes: &[u8]) -> Result<(), CliError> {
    let stdout = match STDOUT.get() {
        Some(stdout) => stdout.try_clone(),
        None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
    };
    let written = stdout.and_then(|mut stdout| stdout.write_all(bytes));
    written.map_err(|error| {
        CliError::new(
            Exit::Internal,
            format!("standard output cannot be written: {error}"),
            "",
        )
    })
}

/// The time.
///
/// # Errors
/// [`CliError`] if it is before 1970.
pub fn now() -> Result<UnixTime, CliError> {
    let since_epoch = SystemTime::UNIX_EPOCH.elapsed().map_err(|_| {
        CliError::new(
            Exit::Internal,
            "this machine's clock stands before 1970",
            "set the clock",
        )
    })?;
    Ok(UnixTime::from_secs(since_epoch.as_secs()))
}

/// The environment of the process.
#[derive(Debug, Default)]
pub struct ProcessEnvironment {
    secret_variables: Vec<String>,
}

impl ProcessEnvironment {
    /// The same environment, of which `variables` are known to hold secrets.
    pub fn with_secrets<'a>(variables: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            secret_variables: variables.into_iter().map(Into::into).collect(),
        }
    }
}

impl Environment for ProcessEnvironment {
    fn var(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }

    fn secret_variables(&self) -> Vec<String> {
        self.secret_variables.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for name in [
            "aws_signing_helper",
            "/opt/aws_signing_helper",
            "aws_signing_helper.exe",
        ] {
            assert!(is_drop_in(OsStr::new(name)), "{name}");
        }
        for name in [
            "keystead",
            "",
            "aws_signing_helper_2",
            "aws_signing_helper/keystead",
        ] {
            assert!(!is_drop_in(OsStr::new(name)), "{name}");
        }
    }
}
