//! An error for people: what is wrong, and what to do about it.

use core::fmt;
use std::process::ExitCode;
use std::string::String;

use crate::core::text::JsonString;

/// The exit codes, as the documentation lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A defect or a system failure that none of the others names.
    Internal = 1,
    /// Arguments, environment or configuration.
    Usage = 2,
    /// The key or the certificate.
    Key = 3,
    /// A PIN or password.
    Pin = 4,
    /// No answer from the service.
    Network = 5,
    /// The service refused.
    Refused = 6,
    /// There is no room for it.
    Full = 7,
    /// The command that was to be run is not one that can be, as shells say so.
    NotExecutable = 126,
    /// The command that was to be run is not there, as shells say so.
    NotFound = 127,
}

impl Exit {
    /// The word for it in `--error-format json`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::Key => "key",
            Self::Pin => "pin",
            Self::Network => "network",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::NotExecutable => "not-executable",
            Self::NotFound => "not-found",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}

/// What a command ends with when it fails.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, one sentence, naming the file, flag or header.
    pub what: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl CliError {
    /// An error with a remedy.
    pub fn new(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            exit,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    /// An error in arguments, environment or configuration.
    pub fn usage(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Exit::Usage, what, remedy)
    }

    /// The error as one JSON object.
    pub fn json(&self) -> impl fmt::Display + '_ {
        Json(self)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "\n  {}", self.remedy)?;
        }
        Ok(())
    }
}

impl core::error::Error for CliError {}

struct Json<'a>(&'a CliError);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0;
        write!(
            f,
            r#"{{"code":{},"kind":"{}","message":{},"remedy":{}}}"#,
            error.exit as u8,
            error.exit.kind(),
            JsonString(&error.what),
            JsonString(&error.remedy)
        )
    }
}
