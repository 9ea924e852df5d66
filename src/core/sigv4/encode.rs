//! Percent-encoding as SigV4 wants it: RFC 3986's unreserved characters stay, every other byte
//! becomes `%XY` with upper-case digits.

use core::fmt::{self, Write as _};

/// The canonical encoding of a piece of text that may already be percent-encoded: what is encoded is
/// decoded first, so that encoding it twice changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    bytes: &'a [u8],
    decode: bool,
}

impl<'a> Encoded<'a> {
    /// Encodes plain text.
    pub fn plain(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            decode: false,
        }
    }

    /// Brings text from the wire into the canonical encoding.
    pub fn wire(text: &'a str) -> Self {
        Self {
            bytes: text.as_bytes(),
            decode: true,
        }
    }

    /// The bytes before they are encoded.
    fn decoded(self) -> impl Iterator<Item = u8> + 'a {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (&first, tail) = rest.split_first()?;
            if let (b'%', true, [high, low, ..]) = (first, self.decode, tail)
                && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
            {
                rest = &tail[2..];
                return Some(high << 4 | low);
            }
            rest = tail;
            Some(first)
        })
    }

    /// The encoded bytes, to sort by.
    pub(super) fn bytes(self) -> impl Iterator<Item = u8> + 'a {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut decoded = self.decoded();
        // The nibbles of the byte that is being encoded, the low one last.
        let mut nibbles = [None; 2];
        core::iter::from_fn(move || {
            if let Some(nibble) = nibbles[0].take().or_else(|| nibbles[1].take()) {
                return Some(DIGITS[usize::from(nibble)]);
            }
            let byte: u8 = decoded.next()?;
            if is_unreserved(byte) {
                return Some(byte);
            }
            nibbles = [Some(byte >> 4), Some(byte & 15)];
            Some(b'%')
        })
    }
}

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| f.write_char(byte.into()))
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn encodes_once() {
        assert_eq!(Encoded::plain("a b/\u{e9}~").to_string(), "a%20b%2F%C3%A9~");
        assert_eq!(Encoded::wire("a%20b%2f").to_string(), "a%20b%2F");
        assert_eq!(Encoded::plain("a%20b").to_string(), "a%2520b");
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_is_itself() {
        assert_eq!(Encoded::wire("100%").to_string(), "100%25");
        assert_eq!(Encoded::wire("%zz%4").to_string(), "%25zz%254");
    }
}
