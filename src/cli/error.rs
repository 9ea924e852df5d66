//! An error for people: what is wrong, and what to do about it.

use core::fmt;
use std::process::ExitCode;
use std::string::String;

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
