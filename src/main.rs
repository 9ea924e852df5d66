//! The program `keystead`.

use std::process::ExitCode;

fn main() -> ExitCode {
    keystead::cli::main(std::env::args_os().collect())
}
