//! The command that is run: whether it is there, and how it takes this process's place.

use std::ffi::{OsStr, OsString};
use std::format;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::vec::Vec;

use super::super::error::{CliError, Exit};
use crate::backend::secret::Environment;
#[cfg(feature = "pkcs11")]
use crate::cli::context;

/// A command with its arguments.
#[derive(Debug)]
pub struct Program {
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// The command `name`, which is looked for as shells do.
    pub fn new(name: OsString, arguments: Vec<OsString>) -> Self {
        Self { name, arguments }
    }

    /// Looks for it.
    ///
    /// # Errors
    /// [`CliError`] if it is nowhere. Whether it can be run shows when it is.
    pub fn find(&self, environment: &dyn Environment) -> Result<(), CliError> {
        let name = self.name.as_bytes();
        if name.contains(&b'/') {
            return match Path::new(&self.name).symlink_metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.error(&error)),
                _ => Ok(()),
            };
        }
        // Where nothing is said, execvp(3) has a path of its own.
        let Some(path) = environment.var("PATH") else {
            return Ok(());
        };
        let is_there = |folder: &[u8]| {
            let folder = match folder {
                b"" => Path::new("."),
                folder => Path::new(OsStr::from_bytes(folder)),
            };
            folder.join(&self.name).exists()
        };
        let mut folders = path.as_bytes().split(|&byte| byte == b':');
        if !name.is_empty() && folders.any(is_there) {
            return Ok(());
        }
        Err(self.error(&io::ErrorKind::NotFound.into()))
    }

    /// The command, to be run with the environment of this process.
    pub fn process(&self) -> Command {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments);
        command
    }

    /// The command and its arguments.
    pub fn words(&self) -> impl Iterator<Item = &OsString> {
        [&self.name].into_iter().chain(&self.arguments)
    }

    /// Runs `command` in the place of this process. It comes back only if that cannot be.
    pub fn replace_this(&self, command: &mut Command) -> CliError {
        #[cfg(feature = "pkcs11")]
        if let Err(error) = context::release_stdout() {
            let what = format!("standard output cannot be given to the command: {error}");
            return CliError::new(Exit::Internal, what, "");
        }
        // execve(2) makes the process dumpable again: core dumps and debuggers are the command's own affair.
        self.error(&command.exec())
    }

    /// Why it cannot be run.
    pub fn error(&self, error: &io::Error) -> CliError {
        let name = PathBuf::from(&self.name);
        if error.kind() == io::ErrorKind::NotFound {
            return CliError::new(
                Exit::NotFound,
                format!("{}: there is no such command", name.display()),
                "the command comes after `--`; there is no shell: `-- sh -c '…'` runs one",
            );
        }
        let what = format!("{} cannot be run: {error}", name.display());
        CliError::new(Exit::NotExecutable, what, "")
    }
}
