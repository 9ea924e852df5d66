//! The process that speaks to devices in place of this one.

use std::{env, format};

use super::error::{CliError, Exit};
use crate::backend::isolated::{Environment, Starter};

/// Starts `keystead-signer`, which is beside this program, with this environment.
///
/// # Errors
/// [`CliError`] if this program does not know where it is.
pub fn starter(environment: Environment) -> Result<Starter, CliError> {
    let this = env::current_exe().map_err(|error| {
        let what = format!("the program does not know its own file: {error}");
        CliError::new(Exit::Internal, what, "")
    })?;
    Ok(Starter::direct(Starter::beside(&this), environment))
}
