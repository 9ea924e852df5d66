//! Durations as people write them: `30m`, `1h30m`, `900`.

use core::fmt;
use core::time::Duration;

/// Not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidDuration;

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a duration is a number of seconds, or numbers with units: 90s, 30m, 1h30m, 7d, 2w, 10y",
        )
    }
}

impl core::error::Error for InvalidDuration {}

const DAY: u64 = 86_400;

/// Reads a whole number of seconds, or numbers with the units `ms`, `s`, `m`, `h`, `d`, `w` and `y`
/// (365 days), one after another.
///
/// # Errors
/// [`InvalidDuration`] for anything else, and for what is out of range.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(InvalidDuration);
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| InvalidDuration)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let part = match unit {
            "ms" => Some(Duration::from_millis(number)),
            // A bare number stands alone.
            "" if rest == text.trim() && tail.is_empty() => Some(Duration::from_secs(number)),
            "s" => Some(Duration::from_secs(number)),
            "m" => number.checked_mul(60).map(Duration::from_secs),
            "h" => number.checked_mul(3_600).map(Duration::from_secs),
            "d" => number.checked_mul(DAY).map(Duration::from_secs),
            "w" => number.checked_mul(7 * DAY).map(Duration::from_secs),
            "y" => number.checked_mul(365 * DAY).map(Duration::from_secs),
            _ => None,
        };
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or(InvalidDuration)?;
        rest = tail;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (text, millis) in [
            ("900", 900_000),
            ("30m", 1_800_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            (" 1d ", 86_400_000),
            ("2w", 1_209_600_000),
            ("10y", 315_360_000_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "m",
            "1h30",
            "-5",
            "1.5h",
            "30 m",
            "1mo",
            "99999999999999999999s",
        ] {
            assert_eq!(parse(text), Err(InvalidDuration), "{text}");
        }
    }
}
