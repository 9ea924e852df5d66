//! The command line: arguments become one typed plan; errors become text and exit codes. Only this
//! layer prints and reads the environment.

pub mod error;

pub use error::{CliError, Exit};

use std::ffi::OsString;
use std::process::ExitCode;
use std::vec::Vec;

/// Runs the program: `arguments[0]` is the name it was started under.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let _ = arguments;
    ExitCode::SUCCESS
}
