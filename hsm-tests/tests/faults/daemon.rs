//! A program under test that runs on.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// It is killed when this is dropped.
pub struct Daemon {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: PathBuf,
}

impl Daemon {
    /// What it says goes into the file `log`.
    pub fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).expect("a file");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("a pipe");
        Self {
            child,
            stdout: BufReader::new(stdout),
            log,
        }
    }

    /// A line that it printed.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let len = self.stdout.read_line(&mut line).expect("UTF-8");
        assert_ne!(len, 0, "it ended: {}", self.log());
        line
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("its log")
    }

    /// Whether it still runs: nothing may end it.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
