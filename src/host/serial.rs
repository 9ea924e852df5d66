//! Serial numbers of certificates, as people write them.

use core::fmt;
use core::str::FromStr;
use std::borrow::ToOwned as _;
use std::string::String;
use std::vec::Vec;

use crate::core::text::Hex;

/// A serial number, written in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// The serial number with these big-endian bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        Self(bytes[zeros..].to_owned())
    }

    /// Its bytes, big-endian, without zeros before them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hex(&self.0).fmt(f)
    }
}

impl FromStr for Serial {
    type Err = NotASerial;

    /// Reads hexadecimal digits in any case, with or without colons between the bytes.
    fn from_str(text: &str) -> Result<Self, NotASerial> {
        let digits: String = text.split(':').collect();
        if digits.is_empty() {
            return Err(NotASerial);
        }
        let padded = if digits.len() % 2 == 1 {
            "0".to_owned() + &digits
        } else {
            digits
        };
        let bytes: Option<Vec<u8>> = padded
            .as_bytes()
            .chunks_exact(2)
            .map(|pair| {
                let high = char::from(pair[0]).to_digit(16)?;
                let low = char::from(pair[1]).to_digit(16)?;
                Some((high << 4 | low) as u8)
            })
            .collect();
        bytes.map(|bytes| Self::new(&bytes)).ok_or(NotASerial)
    }
}

/// The text is no hexadecimal number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASerial;

impl fmt::Display for NotASerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a serial number is written in hexadecimal")
    }
}

impl core::error::Error for NotASerial {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn serials() {
        for text in ["01ab", "1AB", "1:ab", "01:AB", "0001ab"] {
            let serial: Serial = text.parse().unwrap();
            assert_eq!(serial.as_bytes(), [1, 0xab], "{text}");
            assert_eq!(serial.to_string(), "01ab");
        }
        for text in ["", ":", "0x1ab", "hub.pem", "+1", "\u{e9}\u{e9}"] {
            assert_eq!(text.parse::<Serial>(), Err(NotASerial), "{text}");
        }
    }
}
