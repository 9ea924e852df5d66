//! What keeps the spool from doing something, for people.

use std::format;

use crate::cli::error::{CliError, Exit};
use crate::host::spool::SpoolError;

/// The error; `subject` is what it was done with, empty for the spool as a whole.
pub fn of(error: &SpoolError, subject: &str) -> CliError {
    let exit = match error {
        error if error.is_full() => Exit::Full,
        SpoolError::NotASpool { .. } => Exit::Usage,
        _ => Exit::Internal,
    };
    let what = match subject {
        "" => format!("{error}"),
        subject => format!("{subject}: {error}"),
    };
    CliError::new(exit, what, error.remedy())
}
