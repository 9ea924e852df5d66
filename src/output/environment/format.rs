//! What a shell, or a program that reads files, is given to have the variables.

use core::fmt::{self, Write as _};
use std::string::String;

use zeroize::Zeroizing;

use super::Variable;
use super::quote::{Fish, Posix, PowerShell, dotenv};
use crate::core::text::JsonString;

/// A syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// bash, zsh, dash and every other POSIX shell.
    Bash,
    /// fish.
    Fish,
    /// PowerShell.
    PowerShell,
    /// One object: name to value.
    Json,
    /// Lines `NAME=VALUE`.
    Dotenv,
}

/// What sets `variables` and, where the syntax can say so, removes those in `conflicting`.
///
/// # Errors
/// [`Unwritable`] for a value that the syntax has no way to write.
pub fn script(
    format: Format,
    variables: &[Variable],
    conflicting: &[&str],
) -> Result<Zeroizing<String>, Unwritable> {
    let unwritable = |variable: &Variable| Unwritable {
        name: variable.name,
        format,
    };
    // With all its room from the start, no copy of a secret is left behind by growing. Six bytes are what
    // JSON makes of a control character.
    let lens = variables
        .iter()
        .map(|v| 64 + v.name.len() + 6 * v.value.len());
    let room = lens.sum::<usize>()
        + conflicting
            .iter()
            .map(|name| 64 + name.len())
            .sum::<usize>();
    let mut text = Zeroizing::new(String::with_capacity(room));
    // Writing into a string does not fail.
    for name in conflicting {
        let _ = match format {
            Format::Bash => writeln!(text, "unset {name}"),
            Format::Fish => writeln!(text, "set -e {name}"),
            Format::PowerShell => writeln!(text, "Remove-Item Env:{name}"),
            Format::Json | Format::Dotenv => Ok(()),
        };
    }
    if format == Format::Json {
        text.push('{');
    }
    for (index, variable) in variables.iter().enumerate() {
        let (name, value) = (variable.name, variable.value.as_str());
        if value.contains('\0') && format != Format::Json {
            return Err(unwritable(variable));
        }
        let _ = match format {
            Format::Bash => writeln!(text, "export {name}={}", Posix(value)),
            Format::Fish => writeln!(text, "set -gx {name} {}", Fish(value)),
            Format::PowerShell => writeln!(text, "$Env:{name} = {}", PowerShell(value)),
            Format::Json => {
                let separator = if index == 0 { "" } else { "," };
                write!(text, r#"{separator}"{name}":{}"#, JsonString(value))
            }
            Format::Dotenv => {
                let value = dotenv(value).ok_or_else(|| unwritable(variable))?;
                writeln!(text, "{name}={value}")
            }
        };
    }
    if format == Format::Json {
        text.push_str("}\n");
    }
    Ok(text)
}

/// A value that a syntax has no way to write. The value is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unwritable {
    /// The variable.
    pub name: &'static str,
    /// The syntax.
    pub format: Format,
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match self.format {
            Format::Dotenv => write!(
                f,
                "{name} has characters that programs which read .env files do not read alike"
            ),
            _ => write!(
                f,
                "{name} has a NUL character, which no environment can hold"
            ),
        }
    }
}

impl core::error::Error for Unwritable {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::process::Command;
    use std::string::ToString as _;
    use std::vec::Vec;

    fn secret(value: &str) -> [Variable; 1] {
        [Variable {
            name: "SECRET",
            value: Zeroizing::new(value.into()),
        }]
    }

    fn written(format: Format, value: &str) -> String {
        script(format, &secret(value), &[]).unwrap().to_string()
    }

    #[test]
    fn each_syntax() {
        for (format, says) in [
            (Format::Bash, "unset OLD\nexport SECRET='a/b+c='\n"),
            (Format::Fish, "set -e OLD\nset -gx SECRET 'a/b+c='\n"),
            (
                Format::PowerShell,
                "Remove-Item Env:OLD\n$Env:SECRET = 'a/b+c='\n",
            ),
            (Format::Json, "{\"SECRET\":\"a/b+c=\"}\n"),
            (Format::Dotenv, "SECRET=a/b+c=\n"),
        ] {
            let script = script(format, &secret("a/b+c="), &["OLD"]).unwrap();
            assert_eq!(script.as_str(), says);
        }
    }

    /// By `CharExtensions.IsSingleQuote` and `Tokenizer.ScanStringLiteral` of PowerShell: of two quotes of
    /// whichever kind in a row, the second one counts.
    #[test]
    fn powershell_doubles_whatever_it_takes_for_a_quote() {
        let quotes = ['\'', '\u{2018}', '\u{2019}', '\u{201a}', '\u{201b}'];
        let value: String = quotes.iter().flat_map(|quote| ['a', *quote]).collect();
        let written = written(Format::PowerShell, &value);
        let inner = written.strip_prefix("$Env:SECRET = '").unwrap();
        let mut read = String::new();
        let mut rest = inner.chars();
        loop {
            let c = rest.next().unwrap();
            if !quotes.contains(&c) {
                read.push(c);
                continue;
            }
            match rest.next() {
                Some(second) if quotes.contains(&second) => read.push(second),
                after => {
                    assert_eq!((c, after, rest.next()), ('\'', Some('\n'), None));
                    break;
                }
            }
        }
        assert_eq!(read, value);
        assert_eq!(
            super::super::quote::PowerShell("$(x) `n \"").to_string(),
            "'$(x) `n \"'"
        );
    }

    #[test]
    fn what_cannot_be_written_is_refused_by_name() {
        let why = |format, value: &str| {
            let error = script(format, &secret(value), &[]).unwrap_err();
            error.to_string()
        };
        for format in [
            Format::Bash,
            Format::Fish,
            Format::PowerShell,
            Format::Dotenv,
        ] {
            assert!(why(format, "s3\0cret").starts_with("SECRET has "));
            assert!(!why(format, "s3\0cret").contains("s3"));
        }
        for value in ["a\nb", "a'b", "a\\b", "${HOME}", "`x`", "\""] {
            assert!(why(Format::Dotenv, value).contains("do not read alike"));
        }
        assert_eq!(written(Format::Dotenv, "a b"), "SECRET='a b'\n");
        assert_eq!(written(Format::Dotenv, ""), "SECRET=''\n");
    }

    /// What a program makes of the value, given the script as its second argument.
    fn read_by(program: &str, arguments: &[&str], script: &str) -> Vec<u8> {
        let mut command = Command::new(program);
        let command = command.args(arguments).arg(script).env("OLD", "old");
        let output = command.output().expect(program);
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    }

    const REPORT: &str = "printf %s \"$SECRET\"; printf '|%s' \"$OLD\"";

    #[test]
    fn shells_read_what_was_written() {
        let every: String = (1u8..0x80)
            .map(char::from)
            .chain("ü€𝄞\u{2018}\u{2028}".chars())
            .collect();
        for value in [
            "",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY=",
            "'; exit 1; '",
            "\\'",
            "a\\",
            "-n\n\n",
            "$(exit 1)`exit 1`$HOME!!{a,b}*?~",
            &every,
        ] {
            let expected = format!("{value}|").into_bytes();
            let posix = script(Format::Bash, &secret(value), &["OLD"]).unwrap();
            let posix = format!("set -eu; OLD=; {}\nOLD=; {REPORT}", *posix);
            for shell in ["bash", "sh"] {
                assert_eq!(
                    read_by(shell, &["-c"], &posix),
                    expected,
                    "{shell}: {value:?}"
                );
            }
            // As people write it.
            let eval = format!("eval \"$(printf %s \"$1\")\"; OLD=${{OLD-}}; {REPORT}");
            let posix = script(Format::Bash, &secret(value), &["OLD"]).unwrap();
            assert_eq!(read_by("bash", &["-c", &eval, "bash"], &posix), expected);

            let fish = script(Format::Fish, &secret(value), &["OLD"]).unwrap();
            let fish = format!("{}\n{REPORT}", *fish);
            assert_eq!(
                read_by("fish", &["--no-config", "-c"], &fish),
                expected,
                "fish: {value:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn bash_reads_any_value(value in "[^\0]{0,40}") {
            let script = script(Format::Bash, &secret(&value), &[]).unwrap();
            let script = format!("{}\nprintf %s \"$SECRET\"", *script);
            prop_assert_eq!(read_by("bash", &["-c"], &script), value.into_bytes());
        }

        #[test]
        fn fish_reads_any_value(value in "[^\0]{0,40}") {
            let script = script(Format::Fish, &secret(&value), &[]).unwrap();
            let script = format!("{}\nprintf %s \"$SECRET\"", *script);
            prop_assert_eq!(
                read_by("fish", &["--no-config", "-c"], &script),
                value.into_bytes()
            );
        }
    }

    proptest! {
        #[test]
        fn json_is_read_as_it_was_written(value in any::<String>()) {
            let text = written(Format::Json, &value);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(json, serde_json::json!({ "SECRET": value }));
        }

        #[test]
        fn dotenv_is_one_line_or_none(value in any::<String>()) {
            let Ok(text) = script(Format::Dotenv, &secret(&value), &[]) else { return Ok(()) };
            let lines: Vec<_> = text.lines().collect();
            let quoted = format!("SECRET='{value}'");
            let is_one = lines == [quoted] || lines == [format!("SECRET={value}")];
            prop_assert!(is_one, "{}", *text);
        }
    }
}
