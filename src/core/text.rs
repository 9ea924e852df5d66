//! Text that is written in pieces: hexadecimal, base64, decimal numbers of any length, JSON strings.
//! Each is a [`Display`](fmt::Display), so that it streams into a hash, a buffer or a connection.

use core::fmt::{self, Write as _};

/// Lower-case hexadecimal.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for &byte in self.0 {
            f.write_char(DIGITS[usize::from(byte >> 4)].into())?;
            f.write_char(DIGITS[usize::from(byte & 15)].into())?;
        }
        Ok(())
    }
}

/// Standard base64 with padding, without line breaks (RFC 4648 section 4). For what is public: how long it takes tells
/// of what is written.
#[derive(Debug, Clone, Copy)]
pub struct Base64Text<'a>(pub &'a [u8]);

impl fmt::Display for Base64Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut piece = [0; 64];
        for chunk in self.0.chunks(48) {
            let mut len = 0;
            for group in chunk.chunks(3) {
                let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
                let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
                for index in 0..4 {
                    piece[len + index] = if index > group.len() {
                        b'='
                    } else {
                        ALPHABET[(bits >> (18 - 6 * index) & 63) as usize]
                    };
                }
                len += 4;
            }
            f.write_str(core::str::from_utf8(&piece[..len]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

/// An unsigned big-endian integer in decimal, of at most [`Decimal::MAX_LEN`] bytes.
#[derive(Debug, Clone, Copy)]
pub struct Decimal<'a>(pub &'a [u8]);

impl Decimal<'_> {
    /// RFC 5280 allows serial numbers of 20 bytes; some CAs use more.
    pub const MAX_LEN: usize = 64;
}

impl fmt::Display for Decimal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut number = [0u8; Self::MAX_LEN];
        let number = number.get_mut(..self.0.len()).ok_or(fmt::Error)?;
        number.copy_from_slice(self.0);
        // A byte makes at most 2.41 digits. They come last first.
        let mut digits = [0u8; Self::MAX_LEN * 5 / 2];
        let mut first = digits.len();
        loop {
            let mut remainder = 0u16;
            for byte in number.iter_mut() {
                let value = remainder << 8 | u16::from(*byte);
                *byte = (value / 10) as u8;
                remainder = value % 10;
            }
            first -= 1;
            digits[first] = b'0' + remainder as u8;
            if number.iter().all(|&byte| byte == 0) {
                break;
            }
        }
        f.write_str(core::str::from_utf8(&digits[first..]).map_err(|_| fmt::Error)?)
    }
}

/// Text from elsewhere, as it may be shown: control characters are escaped, so that it cannot steer a
/// terminal or look like several lines.
#[derive(Debug, Clone, Copy)]
pub struct Printable<'a>(pub &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\t' => f.write_str("\\t")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// What comes before the first `separator`, and what follows it, if it is there. It is an ASCII character: to look for
/// any other one takes more flash than all that uses this.
#[inline(never)]
pub(super) fn cut(text: &str, separator: u8) -> (&str, Option<&str>) {
    let at = text.bytes().position(|byte| byte == separator);
    let before = at.and_then(|at| text.get(..at));
    let after = at.and_then(|at| text.get(at + 1..));
    (before.unwrap_or(text), after)
}

/// A JSON string with its quotes (RFC 8259 section 7).
#[derive(Debug, Clone, Copy)]
pub struct JsonString<'a>(pub &'a str);

impl fmt::Display for JsonString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn hex_and_base64() {
        assert_eq!(Hex(&[0, 0xab, 0xff]).to_string(), "00abff");
        assert_eq!(Base64Text(b"").to_string(), "");
        assert_eq!(Base64Text(b"a").to_string(), "YQ==");
        // Longer than one piece: 49 bytes are 16 groups of three, and one byte more.
        let long = "AAAA".repeat(16) + "AA==";
        assert_eq!(Base64Text(&[0; 49]).to_string(), long);
    }

    #[test]
    fn decimal_of_any_length() {
        assert_eq!(Decimal(&[]).to_string(), "0");
        assert_eq!(Decimal(&[0]).to_string(), "0");
        assert_eq!(Decimal(&[1, 0]).to_string(), "256");
        assert_eq!(
            Decimal(&u128::MAX.to_be_bytes()).to_string(),
            u128::MAX.to_string()
        );
        // 2^160 - 1: the longest serial number of RFC 5280.
        assert_eq!(
            Decimal(&[0xff; 20]).to_string(),
            "1461501637330902918203684832716283019655932542975"
        );
        assert_eq!(Decimal(&[0xff; 64]).to_string().len(), 155);
    }

    #[test]
    fn what_is_shown_cannot_steer_a_terminal() {
        assert_eq!(
            Printable("it's\u{1b}[2J \t\r\n\u{e9}\0\u{7f}\u{9b}").to_string(),
            "it's\\u{1b}[2J \\t\\r\\n\u{e9}\\u{0}\\u{7f}\\u{9b}"
        );
    }

    #[test]
    fn cuts() {
        assert_eq!(cut("a/b/", b'/'), ("a", Some("b/")));
        assert_eq!(cut("/", b'/'), ("", Some("")));
        assert_eq!(cut("\u{e9}", b'/'), ("\u{e9}", None));
    }

    #[test]
    fn json_strings() {
        assert_eq!(
            JsonString("a\"\\\n\u{e9}").to_string(),
            "\"a\\\"\\\\\\u000a\u{e9}\""
        );
    }
}
