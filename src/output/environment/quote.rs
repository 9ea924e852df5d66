//! A value as each syntax has it. No value can hold a NUL: no environment can either.

use core::fmt::{self, Write as _};

/// POSIX shells: nothing is special between single quotes but the quote itself (XCU 2.2.2).
pub struct Posix<'a>(pub &'a str);

impl fmt::Display for Posix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, |c| (c == '\'').then_some(r"'\''"))
    }
}

/// fish: between single quotes, the quote and the backslash are written with a backslash.
pub struct Fish<'a>(pub &'a str);

impl fmt::Display for Fish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, |c| match c {
            '\'' => Some(r"\'"),
            '\\' => Some(r"\\"),
            _ => None,
        })
    }
}

/// PowerShell: between single quotes, a quote is written twice. It takes typographic quotes for quotes
/// (`CharExtensions.IsSingleQuote`).
pub struct PowerShell<'a>(pub &'a str);

impl fmt::Display for PowerShell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.0, |c| match c {
            '\'' => Some("''"),
            '\u{2018}' => Some("\u{2018}\u{2018}"),
            '\u{2019}' => Some("\u{2019}\u{2019}"),
            '\u{201a}' => Some("\u{201a}\u{201a}"),
            '\u{201b}' => Some("\u{201b}\u{201b}"),
            _ => None,
        })
    }
}

fn write(
    f: &mut fmt::Formatter<'_>,
    value: &str,
    special: impl Fn(char) -> Option<&'static str>,
) -> fmt::Result {
    f.write_char('\'')?;
    for c in value.chars() {
        match special(c) {
            Some(written) => f.write_str(written)?,
            None => f.write_char(c)?,
        }
    }
    f.write_char('\'')
}

/// A value in a file of `NAME=VALUE` lines, which every program reads in its own way: Docker and systemd,
/// python-dotenv, Node's dotenv, shells. `None` if there is no way that all of them read alike.
pub fn dotenv(value: &str) -> Option<impl fmt::Display + '_> {
    // Base64, times and key ids have nothing else, and Docker wants no quotes.
    let plain = |c: char| c.is_ascii_alphanumeric() || "+/=_.,:@-".contains(c);
    // A backslash is an escape for some, a dollar sign the beginning of a variable.
    let quotable = |c: char| !c.is_control() && !"'\"\\$`".contains(c);
    if value.chars().all(plain) && !value.is_empty() {
        Some(Dotenv { value, quote: "" })
    } else if value.chars().all(quotable) {
        Some(Dotenv { value, quote: "'" })
    } else {
        None
    }
}

struct Dotenv<'a> {
    value: &'a str,
    quote: &'static str,
}

impl fmt::Display for Dotenv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}{1}{0}", self.quote, self.value)
    }
}
