//! Telling a person what to do at the token, wherever that person is.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::string::String;
use std::{format, thread};

use crate::backend::pkcs11::Notice;
use crate::backend::secret;
use crate::cli::context::Console;

/// Says it on the terminal, else through the program, else on standard error: never on standard
/// output, which belongs to the credentials. The program does not inherit the variables `without`.
pub fn say(notice: &Notice, program: &[String], without: &[String], console: Console) {
    let text = text(notice);
    let on_terminal =
        secret::terminal().and_then(|mut terminal| writeln!(terminal, "keystead: {text}"));
    if on_terminal.is_ok() {
        return;
    }
    let Some((name, arguments)) = program.split_first() else {
        console.warn(&text, "");
        return;
    };
    let mut command = Command::new(name);
    command
        .args(arguments)
        .arg(&text)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Whoever reads our errors to their end does not wait for it.
        .stderr(Stdio::null());
    for name in without {
        command.env_remove(name);
    }
    match command.spawn() {
        // The token waits meanwhile: nothing waits for the program but what clears it away.
        Ok(mut child) => drop(thread::spawn(move || child.wait())),
        Err(error) => console.warn(
            &text,
            &format!("{name} (notify-cmd) cannot be run: {error}"),
        ),
    }
}

fn text(notice: &Notice) -> String {
    match notice {
        Notice::Touch(token) => format!("touch your token ({token})"),
        Notice::PinPad(token) => format!("type the PIN on the keys of your token ({token})"),
    }
}
