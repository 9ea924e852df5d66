//! A secret from a program's output.

use std::io;
use std::process::{Command, Stdio};
use std::string::String;
use std::vec::Vec;

use super::{Reason, Secret};

/// Runs a command line, without a shell, and takes the first line that it prints. The program does
/// not inherit the variables `without`.
pub fn read(line: &str, without: &[String]) -> Result<Secret, Reason> {
    let mut words = words(line).ok_or(Reason::OpenQuote)?.into_iter();
    let program = words.next().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for name in without {
        command.env_remove(name);
    }
    let mut child = command.spawn()?;
    // The pipe is closed before the wait: a program that never stops writing ends by it.
    let secret = child.stdout.take().map(Secret::first_line);
    let status = child.wait()?;
    if !status.success() {
        return Err(Reason::Command(status));
    }
    Ok(secret.ok_or(io::ErrorKind::BrokenPipe)??)
}

/// Splits a command line at blanks; what stands in single or double quotes stays together. `None` if a
/// quote is not closed.
pub fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_ascii_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes() {
        let split = |line| words(line).unwrap();
        assert_eq!(split(" a  b\tc "), ["a", "b", "c"]);
        assert_eq!(split("a 'b c' \"d 'e'\""), ["a", "b c", "d 'e'"]);
        assert_eq!(split("a'b'\"c\" ''"), ["abc", ""]);
        assert_eq!(split(" "), [""; 0]);
        assert_eq!(words("a 'b"), None);
    }
}
