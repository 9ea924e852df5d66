//! A daemon that holds a key open: the program `key-holder`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::processes::children;

/// The daemon, with an open key.
pub struct Holder {
    child: Child,
    /// None when it has been closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts it, by a command that has its arguments, and waits until the key is open.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let output = child.stdout.take().expect("standard output is a pipe");
        let mut holder = Self {
            input: child.stdin.take(),
            output: BufReader::new(output),
            child,
        };
        assert_eq!(holder.says(), "open");
        holder
    }

    /// What it has started itself.
    pub fn children(&self) -> Vec<u32> {
        children(self.child.id())
    }

    /// What it says next.
    pub fn says(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.expect("it writes lines");
        line.trim_end().to_owned()
    }

    /// Has it sign something, without waiting for that.
    pub fn ask(&mut self) {
        let input = self.input.as_mut().expect("it was not told to end");
        let asked = input.write_all(b"message\n");
        asked.expect("it reads its input");
    }

    /// Has it sign something: `signed`, or why not.
    pub fn sign(&mut self) -> String {
        self.ask();
        self.says()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child can be waited for");
    }

    /// Has it end by itself.
    pub fn end(&mut self) {
        self.input = None;
        let status = self.child.wait();
        assert!(status.expect("a child can be waited for").success());
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
