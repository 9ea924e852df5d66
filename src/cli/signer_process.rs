//! The process that speaks to devices in place of this one.

use std::env;
use std::format;
use std::path::PathBuf;
use std::string::String;
use std::sync::OnceLock;
use std::vec::Vec;

use super::error::{CliError, Exit};
use crate::backend::isolated::{Environment, Launcher, Starter};

/// What starts `keystead-signer` for a daemon, which may start nothing itself.
static LAUNCHER: OnceLock<Launcher> = OnceLock::new();

/// Starts `keystead-signer`, which is beside this program, with this environment.
///
/// # Errors
/// [`CliError`] if this program does not know where it is.
pub fn starter(environment: Environment) -> Result<Starter, CliError> {
    match LAUNCHER.get() {
        Some(launcher) => Ok(Starter::launcher_with(launcher.clone(), environment)),
        None => Ok(Starter::direct(program()?, environment)),
    }
}

/// Whether this is a daemon that has its `keystead-signer` started by a launcher.
#[cfg(feature = "pkcs11")]
pub fn is_launched() -> bool {
    LAUNCHER.get().is_some()
}

/// Starts the launcher, before the daemon confines itself. It inherits none of the variables `without`.
///
/// # Errors
/// [`CliError`] if `keystead-signer` is not there.
pub fn launch(without: Vec<String>) -> Result<(), CliError> {
    let environment = Environment {
        without,
        ..Environment::default()
    };
    let launcher = Launcher::start(&program()?, &environment);
    let launcher = launcher.map_err(|error| CliError::new(Exit::Key, format!("{error}"), ""))?;
    LAUNCHER.get_or_init(|| launcher);
    Ok(())
}

/// Whether `keystead-signer` is beside this program.
#[cfg(feature = "tpm-direct")]
pub fn is_there() -> bool {
    program().is_ok_and(|program| program.is_file())
}

/// Ends the launcher, with time for what it started to take out of devices what is in them.
pub fn end() {
    if let Some(launcher) = LAUNCHER.get() {
        launcher.end();
    }
}

fn program() -> Result<PathBuf, CliError> {
    let this = env::current_exe().map_err(|error| {
        let what = format!("the program does not know its own file: {error}");
        CliError::new(Exit::Internal, what, "")
    })?;
    Ok(Starter::beside(&this))
}
