//! Runs the program as a person would, without the environment of whoever runs the tests.

use std::path::Path;
use std::process::{Command, Output};

/// The program with `arguments`, in a bare environment; `HOME` is an empty folder below `home`.
pub fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystead"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .current_dir(home);
    command
}

/// What the program printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the program starts");
    Ran {
        code: status.code().expect("it is not killed"),
        stdout: String::from_utf8(stdout).expect("UTF-8"),
        stderr: String::from_utf8(stderr).expect("UTF-8"),
    }
}

impl Ran {
    /// Asserts that it failed with this exit code, one error that contains `says`, and nothing on
    /// standard output.
    #[track_caller]
    pub fn failed(&self, code: i32, says: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert_eq!(self.stdout, "");
        let errors = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("keystead: "));
        assert_eq!(errors.count(), 1, "{}", self.stderr);
        assert!(self.stderr.contains(says), "{}", self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}
