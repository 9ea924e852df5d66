//! `keystead serve` and `keystead update`, while a test runs.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hsm_tests::processes::await_that;
use hsm_tests::program;

use crate::rig::{IDENTITY, Rig};

/// A program that runs until this value is dropped.
pub struct Daemon {
    child: Child,
    exports: Vec<(String, String)>,
}

impl Daemon {
    /// Serves the identity, and reads what it prints up to the export of the variable `last`.
    pub fn serve(rig: &Rig, flags: &[&str], last: &str) -> Self {
        let (mut command, errors) = command(rig, "serve");
        command.args(flags).stdout(Stdio::piped());
        let mut daemon = Self::start(command);
        let stdout = daemon
            .child
            .stdout
            .take()
            .expect("standard output is a pipe");
        let lines = BufReader::new(stdout).lines();
        for line in lines.map_while(Result::ok) {
            let export = line.strip_prefix("export ");
            if let Some((name, value)) = export.and_then(|export| export.split_once('=')) {
                daemon.exports.push((name.to_owned(), value.to_owned()));
                if name == last {
                    return daemon;
                }
            }
        }
        let errors = fs::read_to_string(errors).unwrap_or_default();
        panic!("keystead serve says nothing of {last}: {errors}");
    }

    /// Keeps the default profile of the credentials file fresh, and waits until it is there.
    pub fn update(rig: &Rig) -> Self {
        let (command, _) = command(rig, "update");
        let daemon = Self::start(command);
        let file = rig.lab.folder().join(".aws/credentials");
        await_that("the credentials file", || file.exists());
        daemon
    }

    fn start(mut command: Command) -> Self {
        let child = command.spawn().expect("keystead starts");
        Self {
            child,
            exports: Vec::new(),
        }
    }

    /// The variables that clients need.
    pub fn exports(&self) -> impl Iterator<Item = (&str, &str)> {
        let exports = self.exports.iter();
        exports.map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A subcommand for the identity, and the file with what it says.
fn command(rig: &Rig, subcommand: &str) -> (Command, PathBuf) {
    let errors = rig.lab.folder().join(format!("{subcommand}.stderr"));
    let file = File::create(&errors).expect("the rig's folder can be written to");
    let mut command = program::command(program::keystead());
    rig.surround(&mut command);
    command
        .args([subcommand, "--identity", IDENTITY])
        .stdout(Stdio::null())
        .stderr(file);
    (command, errors)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
