//! Programs on a terminal of their own, and someone at its keyboard.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::program::Finished;

/// A program in a session of its own, which has no terminal, or with `--ctty` its standard input.
pub fn in_session(program: &Command, how: &[&str]) -> Command {
    let mut command = Command::new("setsid");
    command.args(how).arg(program.get_program());
    command.args(program.get_args()).env_clear();
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.current_dir(program.get_current_dir().expect("it is at home"));
    command
}

/// Runs a program on a terminal of its own, standard output and standard error elsewhere. After each
/// of `dialogue`'s texts has appeared on the screen its keys are pressed. Gives the screen, and what it
/// left behind.
#[track_caller]
pub fn on_a_terminal(program: &Command, dialogue: &[(&str, &str)]) -> (String, Finished) {
    let mut dialogue = dialogue.iter().peekable();
    let seen = watch(program, |shown| {
        let (_, keys) = dialogue.next_if(|(text, _)| shown.contains(text))?;
        Some((*keys).to_owned())
    });
    assert!(dialogue.peek().is_none(), "{}", seen.0);
    seen
}

/// The same with someone who sees what appeared on the screen since the last answer, and answers or
/// waits for more.
pub fn watch(
    program: &Command,
    mut answer: impl FnMut(&str) -> Option<String>,
) -> (String, Finished) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&keyboard).expect("the terminal is ours");
    unlockpt(&keyboard).expect("the terminal is ours");
    let name = ptsname(&keyboard, Vec::new()).expect("the terminal has a name");
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name, flags, Mode::empty()).expect("the terminal is ours");
    let mut keyboard = File::from(keyboard);

    let mut command = in_session(program, &["--ctty", "--wait"]);
    let child = command
        .stdin(File::from(terminal))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("setsid is part of every Linux system");
    drop(command);
    let finished = thread::spawn(move || child.wait_with_output());
    let mut screen = Vec::new();
    let mut seen = 0;
    let mut piece = [0; 1024];
    // When the last process leaves the terminal, reading it fails.
    while let Ok(len @ 1..) = keyboard.read(&mut piece) {
        screen.extend_from_slice(&piece[..len]);
        if let Some(keys) = answer(&String::from_utf8_lossy(&screen[seen..])) {
            seen = screen.len();
            // Whoever has left the terminal meanwhile needs no answer.
            let _ = keyboard.write_all(keys.as_bytes());
        }
    }
    let output = finished.join().expect("it does not panic");
    let output = output.expect("the program is our child");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let finished = Finished {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    };
    (text(&screen), finished)
}
