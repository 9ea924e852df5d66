//! The time of day in which uploads are allowed.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use crate::core::time::UnixTime;

const DAY: u64 = 86_400;

/// A fleet whose window opens does not begin at once, but within this, or within an eighth of the window.
const SPREAD: Duration = Duration::from_secs(10 * 60);

/// A part of each day, `01:00-05:00`: UTC, unless an offset follows, `01:00-05:00+02:00`. It may go past
/// midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Between {
    /// Seconds after midnight, UTC.
    from: u64,
    length: u64,
}

/// How it is now, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Uploads are allowed for so long.
    Open(Duration),
    /// None are for so long.
    Closed(Duration),
}

impl Between {
    /// How it is at `now`. `share` is the machine's own, from 0 to 1: by so much of the spread its window opens
    /// later than others.
    pub fn at(&self, now: UnixTime, share: f64) -> Window {
        let spread = SPREAD.min(Duration::from_secs(self.length / 8));
        let late = spread.mul_f64(share.clamp(0.0, 1.0)).as_secs();
        let (from, length) = (self.from + late, self.length - late);
        let since = (now.as_secs() % DAY + 2 * DAY - from) % DAY;
        match since < length {
            true => Window::Open(Duration::from_secs(length - since)),
            false => Window::Closed(Duration::from_secs(DAY - since)),
        }
    }
}

/// This is no part of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotBetween;

impl fmt::Display for NotBetween {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this is no part of a day: 01:00-05:00 is one, in UTC, and so is 01:00-05:00+02:00",
        )
    }
}

impl core::error::Error for NotBetween {}

impl FromStr for Between {
    type Err = NotBetween;

    fn from_str(text: &str) -> Result<Self, NotBetween> {
        let (from, rest) = text.split_once('-').ok_or(NotBetween)?;
        let sign = rest.find(['+', '-', 'Z']);
        let (to, offset) = rest.split_at(sign.unwrap_or(rest.len()));
        let (from, to) = (time(from, 24)?, time(to, 24)?);
        // To the east of UTC the same time comes earlier.
        let earlier = match offset.split_at_checked(1) {
            None | Some(("Z", "")) => 0,
            Some(("+", offset)) => time(offset, 14)?,
            Some(("-", offset)) => DAY - time(offset, 12)?,
            _ => return Err(NotBetween),
        };
        let length = (to + DAY - from) % DAY;
        if length == 0 {
            return Err(NotBetween);
        }
        Ok(Self {
            from: (from + DAY - earlier) % DAY,
            length,
        })
    }
}

/// Seconds of `hh:mm`, up to so many hours.
fn time(text: &str, most: u64) -> Result<u64, NotBetween> {
    let two = |text: &str| match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse().map_err(|_| NotBetween),
        false => Err(NotBetween),
    };
    let (hours, minutes) = text.split_once(':').ok_or(NotBetween)?;
    let (hours, minutes): (u64, u64) = (two(hours)?, two(minutes)?);
    let seconds = hours * 3600 + minutes * 60;
    match minutes < 60 && seconds <= most * 3600 {
        true => Ok(seconds),
        false => Err(NotBetween),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    fn look(between: &str, time: &str) -> Window {
        let (hours, minutes) = time.split_once(':').unwrap();
        let seconds = hours.parse::<u64>().unwrap() * 3600 + minutes.parse::<u64>().unwrap() * 60;
        let now = UnixTime::from_secs(20_000 * DAY + seconds);
        between.parse::<Between>().unwrap().at(now, 0.0)
    }

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn inside_and_outside() {
        assert_eq!(look("01:00-05:00", "00:59"), Window::Closed(minutes(1)));
        assert_eq!(look("01:00-05:00", "01:00"), Window::Open(minutes(240)));
        assert_eq!(look("01:00-05:00", "04:59"), Window::Open(minutes(1)));
        assert_eq!(
            look("01:00-05:00", "05:00"),
            Window::Closed(minutes(20 * 60))
        );
    }

    #[test]
    fn past_midnight() {
        assert_eq!(look("22:30-04:00", "22:29"), Window::Closed(minutes(1)));
        assert_eq!(look("22:30-04:00", "23:00"), Window::Open(minutes(300)));
        assert_eq!(look("22:30-04:00", "03:00"), Window::Open(minutes(60)));
        assert_eq!(
            look("22:30-04:00", "04:00"),
            Window::Closed(minutes(18 * 60 + 30))
        );
        assert_eq!(look("20:00-24:00", "23:00"), Window::Open(minutes(60)));
    }

    #[test]
    fn elsewhere() {
        assert_eq!(
            look("01:00-05:00+02:00", "23:00"),
            Window::Open(minutes(240))
        );
        assert_eq!(
            look("01:00-05:00-05:30", "06:30"),
            Window::Open(minutes(240))
        );
        assert_eq!(look("01:00-05:00Z", "01:00"), Window::Open(minutes(240)));
    }

    #[test]
    fn a_fleet_does_not_begin_at_once() {
        let between: Between = "01:00-05:00".parse().unwrap();
        let opens = UnixTime::from_secs(20_000 * DAY + 3600);
        assert_eq!(between.at(opens, 0.5), Window::Closed(minutes(5)));
        assert_eq!(between.at(opens, 1.0), Window::Closed(minutes(10)));
        let short: Between = "01:00-01:08".parse().unwrap();
        assert_eq!(short.at(opens, 1.0), Window::Closed(minutes(1)));
        // The end is everybody's.
        let later = UnixTime::from_secs(20_000 * DAY + 4 * 3600);
        assert_eq!(between.at(later, 1.0), Window::Open(minutes(60)));
        // Past midnight the spread may be.
        let late: Between = "23:55-04:00".parse().unwrap();
        let midnight = UnixTime::from_secs(20_000 * DAY);
        assert_eq!(late.at(midnight, 1.0), Window::Closed(minutes(5)));
    }

    #[test]
    fn what_is_no_part_of_a_day_is_refused() {
        for text in [
            "",
            "1:00-5:00",
            "01:00",
            "01:00-01:00",
            "25:00-26:00",
            "01:60-02:00",
            "01:00-05:00+2",
            "01:00-05:00+15:00",
            "-01:00-05:00",
            "01:00-05:00Zulu",
            "+1:00-05:00",
        ] {
            assert_eq!(text.parse::<Between>(), Err(NotBetween), "{text}");
        }
        assert!(format!("{NotBetween}").contains("UTC"));
    }
}
