//! Time as the protocol writes it. No leap seconds, no time zones: seconds since the epoch, in UTC.

use core::fmt;

use der::DateTime;

/// Seconds since 1970-01-01T00:00:00Z; at most the end of the year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The last second of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// A time from seconds since the epoch; later than [`UnixTime::MAX`] becomes that.
    pub const fn from_secs(secs: u64) -> Self {
        if secs > Self::MAX.0 {
            Self::MAX
        } else {
            Self(secs)
        }
    }

    /// Seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This time moved by `offset` seconds, within the years 1970 to 9999.
    pub const fn offset_by(self, offset: i64) -> Self {
        Self::from_secs(self.0.saturating_add_signed(offset))
    }

    /// Seconds from `earlier` to this time; negative if `earlier` is later.
    pub const fn since(self, earlier: Self) -> i64 {
        // Both are below 2^38.
        self.0 as i64 - earlier.0 as i64
    }

    /// Reads `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339), with a fraction of a second, which is cut off, and
    /// with `+00:00` for `Z`. Any other offset is refused.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (head, rest) = bytes.split_at_checked(19)?;
        if [head[4], head[7], head[10], head[13], head[16]] != *b"--T::" {
            return None;
        }
        let rest = match rest.strip_prefix(b".") {
            None => rest,
            Some(fraction) => {
                let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
                if digits == 0 {
                    return None;
                }
                &fraction[digits..]
            }
        };
        if !matches!(rest, b"Z" | b"+00:00") {
            return None;
        }
        Self::from_fields(
            digits(&head[..4])?,
            digits(&head[5..7])?,
            digits(&head[8..10])?,
            digits(&head[11..13])?,
            digits(&head[14..16])?,
            digits(&head[17..])?,
        )
    }

    /// Reads `YYYYMMDDTHHMMSSZ`, the form of `X-Amz-Date`.
    pub fn parse_amz(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 16 || bytes[8] != b'T' || bytes[15] != b'Z' {
            return None;
        }
        Self::from_fields(
            digits(&bytes[..4])?,
            digits(&bytes[4..6])?,
            digits(&bytes[6..8])?,
            digits(&bytes[9..11])?,
            digits(&bytes[11..13])?,
            digits(&bytes[13..15])?,
        )
    }

    /// Reads the `IMF-fixdate` of an HTTP `Date` header (RFC 9110 section 5.6.7):
    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn parse_http(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 29 || &bytes[3..5] != b", " || !bytes.ends_with(b" GMT") {
            return None;
        }
        let month = MONTHS
            .iter()
            .position(|name| name.as_bytes() == &bytes[8..11])?;
        if [bytes[7], bytes[11], bytes[16], bytes[19], bytes[22]] != *b"   ::" {
            return None;
        }
        Self::from_fields(
            digits(&bytes[12..16])?,
            month as u16 + 1,
            digits(&bytes[5..7])?,
            digits(&bytes[17..19])?,
            digits(&bytes[20..22])?,
            digits(&bytes[23..25])?,
        )
    }

    /// `YYYYMMDDTHHMMSSZ`, the form of `X-Amz-Date`.
    pub fn amz(self) -> impl fmt::Display + Copy {
        Amz(self)
    }

    /// `YYYYMMDD`, the form of the credential scope.
    pub fn amz_day(self) -> impl fmt::Display + Copy {
        AmzDay(self)
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the form of HTTP's `Date`.
    pub fn http(self) -> impl fmt::Display + Copy {
        Http(self)
    }

    fn from_fields(
        year: u16,
        month: u16,
        day: u16,
        hour: u16,
        minute: u16,
        second: u16,
    ) -> Option<Self> {
        let date = DateTime::new(
            year,
            month as u8,
            day as u8,
            hour as u8,
            minute as u8,
            second as u8,
        );
        date.ok().map(Self::from)
    }

    fn civil(self) -> DateTime {
        DateTime::from_unix_duration(core::time::Duration::from_secs(self.0))
            .unwrap_or(DateTime::INFINITY)
    }
}

impl From<DateTime> for UnixTime {
    fn from(date: DateTime) -> Self {
        Self::from_secs(date.unix_duration().as_secs())
    }
}

/// RFC 3339, always with `Z`: `2026-11-22T02:19:51Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil())
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];

/// A number of at most four digits.
fn digits(bytes: &[u8]) -> Option<u16> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + u16::from(byte - b'0'))
    })
}

#[derive(Clone, Copy)]
struct AmzDay(UnixTime);

impl fmt::Display for AmzDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.0.civil();
        write!(f, "{:04}{:02}{:02}", date.year(), date.month(), date.day())
    }
}

#[derive(Clone, Copy)]
struct Amz(UnixTime);

impl fmt::Display for Amz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.0.civil();
        write!(
            f,
            "{}T{:02}{:02}{:02}Z",
            AmzDay(self.0),
            date.hour(),
            date.minutes(),
            date.seconds()
        )
    }
}

#[derive(Clone, Copy)]
struct Http(UnixTime);

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.0.civil();
        let weekday = DAYS[(self.0.as_secs() / 86_400 % 7) as usize];
        let month = MONTHS[usize::from(date.month() - 1)];
        write!(
            f,
            "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
            date.day(),
            date.year(),
            date.hour(),
            date.minutes(),
            date.seconds()
        )
    }
}

/// What time it is. Hosts correct it; tests set it.
pub trait Clock {
    /// The current time.
    fn now(&self) -> UnixTime;
}

/// A clock that stands still.
impl Clock for UnixTime {
    fn now(&self) -> UnixTime {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn all_forms_of_one_instant() {
        let time = UnixTime::from_secs(784_111_777);
        assert_eq!(time.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(time.amz().to_string(), "19941106T084937Z");
        assert_eq!(time.amz_day().to_string(), "19941106");
        assert_eq!(time.http().to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(UnixTime::parse_rfc3339("1994-11-06T08:49:37Z"), Some(time));
        assert_eq!(
            UnixTime::parse_rfc3339("1994-11-06T08:49:37.999Z"),
            Some(time)
        );
        assert_eq!(
            UnixTime::parse_rfc3339("1994-11-06T08:49:37+00:00"),
            Some(time)
        );
        assert_eq!(UnixTime::parse_amz("19941106T084937Z"), Some(time));
        assert_eq!(
            UnixTime::parse_http("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(time)
        );
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "1994-11-06T08:49:37",
            "1994-11-06T08:49:37.Z",
            "1994-11-06T08:49:37+01:00",
            "1994-13-06T08:49:37Z",
            "1994-02-29T08:49:37Z",
            "1994-11-06 08:49:37Z",
            "1994-11-06T08:49:6\u{e9}Z",
            "784111777",
        ] {
            assert_eq!(UnixTime::parse_rfc3339(text), None, "{text}");
        }
        assert_eq!(UnixTime::parse_amz("19941106T084937"), None);
        assert_eq!(UnixTime::parse_http("Sunday, 06-Nov-94 08:49:37 GMT"), None);
    }

    #[test]
    fn saturates() {
        assert_eq!(UnixTime::from_secs(u64::MAX), UnixTime::MAX);
        assert_eq!(UnixTime::from_secs(5).offset_by(-10).as_secs(), 0);
        assert_eq!(UnixTime::MAX.to_string(), "9999-12-31T23:59:59Z");
    }
}
