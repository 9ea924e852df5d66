//! Files that commands write: new ones, whole, or none.

use std::format;
use std::path::Path;

use super::error::{CliError, Exit};
use crate::host::files::{Access, FileError, NewFiles};

/// Asserts that nothing is in the way of a new file.
///
/// # Errors
/// [`CliError`] if something is.
pub fn check(path: &Path) -> Result<(), CliError> {
    // A dangling link counts, too.
    match path.symlink_metadata() {
        Ok(_) => Err(error(FileError::Exists(path.into()))),
        Err(_) => Ok(()),
    }
}

/// Writes a new file.
///
/// # Errors
/// [`CliError`]; there is no file then.
pub fn write(path: &Path, contents: &[u8], access: Access) -> Result<(), CliError> {
    let mut files = NewFiles::default();
    files.file(path, contents, access).map_err(error)?;
    files.commit().map_err(error)
}

/// The error for a file that was not written.
pub fn error(error: FileError) -> CliError {
    let (exit, remedy) = match error {
        FileError::Exists(_) => (
            Exit::Usage,
            "nothing is ever overwritten: choose another name, or move it away",
        ),
        FileError::Io { .. } => (Exit::Internal, ""),
    };
    CliError::new(exit, format!("{error}"), remedy)
}
