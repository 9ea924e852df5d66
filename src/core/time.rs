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

    /// Reads a `UTCTime` as RFC 5280 section 4.1.2.5.1 has it: `YYMMDDHHMMSSZ`, of the years 1950 to 2049.
    pub(super) fn parse_utc_time(text: &[u8]) -> Option<Self> {
        let (year, rest) = text.split_at_checked(2)?;
        let year = digits(year)?;
        let century = if year < 50 { 2000 } else { 1900 };
        Self::parse_compact(century + year, rest)
    }

    /// Reads a `GeneralizedTime` as RFC 5280 section 4.1.2.5.2 has it: `YYYYMMDDHHMMSSZ`.
    pub(super) fn parse_generalized_time(text: &[u8]) -> Option<Self> {
        let (year, rest) = text.split_at_checked(4)?;
        Self::parse_compact(digits(year)?, rest)
    }

    /// `MMDDHHMMSSZ`
    fn parse_compact(year: u16, rest: &[u8]) -> Option<Self> {
        let (rest, b"Z") = rest.split_at_checked(10)? else {
            return None;
        };
        let field = |at: usize| digits(&rest[at..at + 2]);
        Self::from_fields(year, field(0)?, field(2)?, field(4)?, field(6)?, field(8)?)
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
        let days = days_before(year, month)? + u32::from(day).checked_sub(1)?;
        let next_month = match month {
            12 => days_before(year + 1, 1)?,
            _ => days_before(year, month + 1)?,
        };
        if year == 10_000 || days >= next_month || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let of_day = u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second);
        Some(Self(u64::from(days) * u64::from(DAY) + u64::from(of_day)))
    }

    /// Days since the epoch, and seconds of the day.
    fn split(self) -> (u32, u32) {
        // By 128 first: below 2^31 is left, which a processor of 32 bits divides by itself.
        let days = (self.0 >> 7) as u32 / (DAY >> 7);
        (days, (self.0 - u64::from(days) * u64::from(DAY)) as u32)
    }

    fn civil(self) -> Civil {
        let (days, of_day) = self.split();
        // Four hundred years have always the same number of days. They are counted from March on, so that a leap
        // day is a year's last one.
        let days = days + DAYS_BEFORE_EPOCH;
        let era = days / DAYS_PER_ERA;
        let of_era = days % DAYS_PER_ERA;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months from March on have 31, 30, 31, 30, 31 days, again and again.
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, next_year) = match month {
            0..=9 => (month + 3, 0),
            _ => (month - 9, 1),
        };
        Civil {
            year: era * 400 + year_of_era + next_year,
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

/// Seconds.
const DAY: u32 = 86_400;

const DAYS_PER_ERA: u32 = 146_097;

/// From 1 March of the year 0.
const DAYS_BEFORE_EPOCH: u32 = 719_468;

/// A time as calendar and clock have it.
struct Civil {
    year: u32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

/// The days from the epoch to the first of a month; `None` for what is no month from 1970 to the start of 10000.
fn days_before(year: u16, month: u16) -> Option<u32> {
    // The year after the last one is where its December ends.
    if !(1970..=10_000).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let (year, month) = (u32::from(year), u32::from(month));
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let (era, of_era) = (year / 400, year % 400);
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5;
    Some(era * DAYS_PER_ERA + of_era - DAYS_BEFORE_EPOCH)
}

impl From<DateTime> for UnixTime {
    fn from(date: DateTime) -> Self {
        Self::from_secs(date.unix_duration().as_secs())
    }
}

/// RFC 3339, always with `Z`: `2026-11-22T02:19:51Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.civil();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
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
        write!(f, "{:04}{:02}{:02}", date.year, date.month, date.day)
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
            date.hour,
            date.minute,
            date.second
        )
    }
}

#[derive(Clone, Copy)]
struct Http(UnixTime);

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.0.civil();
        let weekday = DAYS[(self.0.split().0 % 7) as usize];
        let month = MONTHS[date.month as usize - 1];
        write!(
            f,
            "{weekday}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT",
            date.day, date.year, date.hour, date.minute, date.second
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
    use core::time::Duration;
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
    fn every_day_is_another_one() {
        let last = UnixTime::MAX.split().0;
        let mut before = None;
        for day in 0..=last {
            let time = UnixTime::from_secs(u64::from(day) * 86_400 + 4711);
            let date = time.civil();
            let other = DateTime::from_unix_duration(Duration::from_secs(time.as_secs())).unwrap();
            let fields = [
                date.year,
                date.month,
                date.day,
                date.hour,
                date.minute,
                date.second,
            ];
            let others = [
                other.month(),
                other.day(),
                other.hour(),
                other.minutes(),
                other.seconds(),
            ];
            assert_eq!(fields[0], u32::from(other.year()));
            assert_eq!(fields[1..], others.map(u32::from));
            let [year, month, day, hour, minute, second] = fields.map(|field| field as u16);
            let back = UnixTime::from_fields(year, month, day, hour, minute, second);
            assert_eq!(back, Some(time));
            assert!(before < back);
            before = back;
        }
        assert_eq!(UnixTime::from_fields(2026, 2, 29, 0, 0, 0), None);
        assert_eq!(UnixTime::from_fields(2100, 2, 29, 0, 0, 0), None);
        assert_eq!(UnixTime::from_fields(2026, 0, 1, 0, 0, 0), None);
        assert_eq!(UnixTime::from_fields(2026, 13, 1, 0, 0, 0), None);
        assert_eq!(UnixTime::from_fields(2026, 1, 0, 0, 0, 0), None);
        assert_eq!(UnixTime::from_fields(2026, 1, 1, 24, 0, 0), None);
        assert_eq!(UnixTime::from_fields(10_000, 1, 1, 0, 0, 0), None);
        assert_eq!(UnixTime::from_fields(1969, 12, 31, 0, 0, 0), None);
    }

    #[test]
    fn saturates() {
        assert_eq!(UnixTime::from_secs(u64::MAX), UnixTime::MAX);
        assert_eq!(UnixTime::from_secs(5).offset_by(-10).as_secs(), 0);
        assert_eq!(UnixTime::MAX.to_string(), "9999-12-31T23:59:59Z");
    }
}
