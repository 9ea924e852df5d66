//! Sizes and rates as people write them: `2 GiB`, `500MB`, `64 KiB/s`, `1 Mbit/s`.

use core::fmt;

/// Not a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSize;

impl fmt::Display for InvalidSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a size is a number of bytes, or a number with a unit: 500 KB, 64 KiB, 20 MB, 8 MiB, 2 GiB, 1 TiB",
        )
    }
}

impl core::error::Error for InvalidSize {}

/// Not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidRate;

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a rate is a number of bytes each second, or a number with a unit: 50 KB/s, 64 KiB/s, 250 kbit/s, \
             1 Mbit/s",
        )
    }
}

impl core::error::Error for InvalidRate {}

/// Reads a whole number of bytes, or a number with one of the units `K`, `M`, `G`, `T`, alone or with `iB` for
/// powers of 1024, and with `B` for powers of 1000. A blank may stand between them, and case does not matter.
///
/// # Errors
/// [`InvalidSize`] for anything else, and for what is out of range.
pub fn parse(text: &str) -> Result<u64, InvalidSize> {
    let (number, unit) = split(text).ok_or(InvalidSize)?;
    let factor = factor(unit).ok_or(InvalidSize)?;
    number.checked_mul(factor).ok_or(InvalidSize)
}

/// Reads a rate, and gives it in bytes each second: a size, or a number of `kbit` or `Mbit`, with or without
/// `/s` behind it.
///
/// # Errors
/// [`InvalidRate`] for anything else, and for zero.
pub fn parse_rate(text: &str) -> Result<u64, InvalidRate> {
    let text = text.trim();
    let text = text.strip_suffix("/s").unwrap_or(text);
    let (number, unit) = split(text).ok_or(InvalidRate)?;
    let (factor, divisor) = match unit {
        "bit" => (1, 8),
        unit if unit.eq_ignore_ascii_case("kbit") => (1000, 8),
        unit if unit.eq_ignore_ascii_case("mbit") => (1_000_000, 8),
        unit => (factor(unit).ok_or(InvalidRate)?, 1),
    };
    match number.checked_mul(factor).map(|bytes| bytes / divisor) {
        Some(rate @ 1..) => Ok(rate),
        _ => Err(InvalidRate),
    }
}

/// A number of bytes for people: `412 B`, `1.5 MiB`.
#[derive(Debug, Clone, Copy)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut unit = "B";
        let mut size = self.0;
        let mut tenths = 0;
        for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            if size < 1024 {
                break;
            }
            tenths = size % 1024 * 10 / 1024;
            size /= 1024;
            unit = larger;
        }
        match unit {
            "B" => write!(f, "{size} B"),
            unit => write!(f, "{size}.{tenths} {unit}"),
        }
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

fn factor(unit: &str) -> Option<u64> {
    let unit = unit.as_bytes();
    let (&letter, rest) = match unit {
        [] | [b'B' | b'b'] => return Some(1),
        [letter, rest @ ..] => (letter, rest),
    };
    let power = match letter.to_ascii_lowercase() {
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        _ => return None,
    };
    let base: u64 = match rest {
        [] => 1024,
        [b'i' | b'I', b'B' | b'b'] => 1024,
        [b'B' | b'b'] => 1000,
        _ => return None,
    };
    base.checked_pow(power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn units() {
        for (text, bytes) in [
            ("0", 0),
            ("900", 900),
            ("900B", 900),
            ("64k", 65_536),
            ("64 KiB", 65_536),
            ("64 kB", 64_000),
            (" 2 GiB ", 2 << 30),
            ("1T", 1 << 40),
            ("20MB", 20_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "B", "-1", "1.5M", "1 Q", "1KiBs", "99999999999T", "1 2"] {
            assert_eq!(parse(text), Err(InvalidSize), "{text}");
        }
    }

    #[test]
    fn rates() {
        for (text, bytes) in [
            ("50000", 50_000),
            ("64 KiB/s", 65_536),
            ("250kbit/s", 31_250),
            ("1 Mbit", 125_000),
        ] {
            assert_eq!(parse_rate(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "7bit", "fast", "1/s/s"] {
            assert_eq!(parse_rate(text), Err(InvalidRate), "{text}");
        }
    }

    #[test]
    fn for_people() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_600_000, "1.5 MiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
