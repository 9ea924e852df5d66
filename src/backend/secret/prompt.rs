//! A secret from a person at the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::vec::Vec;

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use zeroize::Zeroizing;

use super::{Reason, Secret};

/// Asks on the controlling terminal, whatever standard input and output are. What is typed does not
/// show.
pub fn read(what: &str) -> Result<Secret, Reason> {
    let terminal = terminal().map_err(Reason::NoTerminal)?;
    ask(&terminal, what)
}

/// The controlling terminal of the process.
///
/// # Errors
/// [`io::Error`] if it has none.
pub fn terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

fn ask(mut terminal: &File, what: &str) -> Result<Secret, Reason> {
    // Silent first: what is typed as soon as the question shows must not.
    let silent = Silent::new(terminal).map_err(Reason::NoTerminal)?;
    write!(terminal, "{what}: ")?;
    let answer = read_line(terminal);
    drop(silent);
    writeln!(terminal)?;
    answer
}

/// A terminal that shows nothing, and gives every key at once: Ctrl-C must come as a character, since
/// as a signal it would end the process and leave the terminal silent. Dropping it puts the terminal
/// back.
struct Silent<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silent<'a> {
    fn new(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Nobody could be told that it failed, and nothing better could be done.
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const CTRL_U: u8 = 0x15;
const CTRL_Z: u8 = 0x1a;
const CTRL_BACKSLASH: u8 = 0x1c;
const DELETE: u8 = 0x7f;

fn read_line(terminal: impl io::Read) -> Result<Secret, Reason> {
    let mut line = Zeroizing::new(Vec::with_capacity(Secret::MAX_LEN));
    #[expect(
        clippy::unbuffered_bytes,
        reason = "a buffer would keep what was typed, uncleared"
    )]
    for byte in terminal.bytes() {
        match byte? {
            b'\r' | b'\n' => return Ok(Secret(line)),
            CTRL_C | CTRL_D | CTRL_Z | CTRL_BACKSLASH => return Err(Reason::Cancelled),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => {
                // The whole of a UTF-8 character: its continuation bytes, then its first.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if line.len() < Secret::MAX_LEN => line.push(byte),
            _ => return Err(io::ErrorKind::FileTooLarge.into()),
        }
    }
    // The terminal hung up.
    Err(Reason::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::io::Read as _;

    /// A terminal, and the side on which the keys are pressed and the screen is seen.
    fn terminal() -> (File, File) {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let terminal =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        (terminal.into(), keyboard.into())
    }

    /// What shows, and what comes of it, when these keys are pressed at the question.
    fn pressed(keys: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let (terminal, mut keyboard) = terminal();
        let before = tcgetattr(&terminal).unwrap().local_modes;
        assert!(before.contains(LocalModes::ECHO));
        let question = b"PIN: ";
        let mut screen = std::vec![0; question.len()];
        let answer = std::thread::scope(|scope| {
            let answer = scope.spawn(|| ask(&terminal, "PIN"));
            keyboard.read_exact(&mut screen).unwrap();
            assert_eq!(screen, question);
            keyboard.write_all(keys.as_bytes()).unwrap();
            answer.join().unwrap()
        });
        assert_eq!(tcgetattr(&terminal).unwrap().local_modes, before);
        // The line end that follows the answer.
        let mut rest = [0; 64];
        let len = keyboard.read(&mut rest).unwrap();
        screen = rest[..len].to_vec();
        (screen, answer.ok().map(|secret| secret.expose().to_vec()))
    }

    #[test]
    fn what_is_typed_does_not_show() {
        assert_eq!(
            pressed("1234\r"),
            (b"\r\n".to_vec(), Some(b"1234".to_vec()))
        );
    }

    #[test]
    fn a_cancelled_question_leaves_the_terminal_as_it_was() {
        assert_eq!(pressed("12\u{3}"), (b"\r\n".to_vec(), None));
    }

    fn typed(keys: &str) -> Option<Vec<u8>> {
        read_line(keys.as_bytes())
            .ok()
            .map(|secret| secret.expose().to_vec())
    }

    #[test]
    fn keys_of_a_line_editor() {
        assert_eq!(typed("1234\rx").as_deref(), Some(&b"1234"[..]));
        assert_eq!(typed("\n").as_deref(), Some(&b""[..]));
        assert_eq!(typed("125\u{7f}34\n").as_deref(), Some(&b"1234"[..]));
        assert_eq!(typed("a\u{e9}\u{8}b\n").as_deref(), Some(&b"ab"[..]));
        assert_eq!(typed("wrong\u{15}right\n").as_deref(), Some(&b"right"[..]));
        assert_eq!(typed("12\u{3}"), None);
        assert_eq!(typed("12\u{4}"), None);
        assert_eq!(typed("12"), None);
    }
}
