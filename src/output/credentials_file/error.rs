//! Why a credentials file was not changed.

use core::fmt;
use std::borrow::ToOwned as _;
use std::io;
use std::path::{Path, PathBuf};

use super::edit::EditError;

/// Why a credentials file was not changed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// Something else than a file has that name.
    NotRegular(PathBuf),
    /// The file has several names. Replacing it would part them.
    HardLinks(PathBuf),
    /// It is longer than any credentials file.
    TooLong(PathBuf),
    /// Other programs do not let go of it.
    Busy(PathBuf),
    /// What is in it cannot be changed.
    Edit(PathBuf, EditError),
    /// The system refused.
    Io {
        /// What was tried, before the path: `cannot write`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    /// For `map_err`: `what` failed at `path`.
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }

    /// What to do about it; may be empty.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotRegular(_) | Self::TooLong(_) => "name the credentials file itself",
            Self::HardLinks(_) => {
                "make one of its names a symbolic link to the other: those are followed"
            }
            Self::Busy(_) => "find out which program holds it, or keeps changing it",
            Self::Edit(_, EditError::NoText) => {
                "convert it to UTF-8, or restore it from a copy; nothing was changed"
            }
            Self::Edit(_, EditError::Disputed { .. }) => {
                "take away the blanks at the start of that line, or move it; nothing was changed"
            }
            Self::Edit(_, EditError::Values) => "nothing was changed",
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    "the file is replaced whole: whoever runs keystead has to be able to write to its \
                     folder; --credentials-file names another one"
                }
                _ => "",
            },
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegular(path) => write!(f, "{} is not a file", path.display()),
            Self::HardLinks(path) => {
                write!(f, "{} has more names than one (hard links)", path.display())
            }
            Self::TooLong(path) => write!(f, "{} is longer than 8 MiB", path.display()),
            Self::Busy(path) => write!(f, "{} is in use by other programs", path.display()),
            Self::Edit(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Io { what, path, source } => write!(f, "{what} {}: {source}", path.display()),
        }
    }
}

impl core::error::Error for FileError {}
