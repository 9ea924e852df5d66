//! What was counted, and how fast things go.

use core::time::Duration;
use std::collections::VecDeque;
use std::string::String;

use crate::core::time::UnixTime;

/// What is looked at to tell how fast things go.
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// How often what is there is written down for that.
const SAMPLE: Duration = Duration::from_secs(60);

/// Why the last upload or session failed that did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// One sentence.
    pub what: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// When that was.
    pub at: UnixTime,
}

/// Counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that S3 has confirmed.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Bytes of contents that were sent, those that were sent again included.
    pub sent_bytes: u64,
    /// Entries that were set aside.
    pub set_aside: u64,
    /// Uploads that did not end because of network or service.
    pub network: u64,
    /// Those that the service throttled.
    pub throttled: u64,
    /// Those that were refused: credentials, policy, clock, place.
    pub refused: u64,
    /// Those that were kept by something on this machine: the disk.
    pub local: u64,
    /// How often there were no credentials.
    pub no_session: u64,
}

impl Counts {
    /// What failed, by what kept it.
    pub fn failures(&self) -> [(&'static str, u64); 5] {
        [
            ("network", self.network),
            ("throttled", self.throttled),
            ("refused", self.refused),
            ("local", self.local),
            ("session", self.no_session),
        ]
    }
}

/// Two values that only grow, and one that does not, over the last hour.
#[derive(Debug, Default)]
pub struct Rates(VecDeque<Sample>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    /// Bytes that are in the spool.
    there: u64,
    /// Bytes that have left it.
    gone: u64,
}

/// Bytes in a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rate {
    /// That come into the spool.
    pub accepted: f64,
    /// That leave it.
    pub delivered: f64,
}

impl Rates {
    /// What there is now: `there` bytes in the spool, `gone` that have left it since the start.
    pub fn look(&mut self, at: Duration, there: u64, gone: u64) {
        let sample = Sample { at, there, gone };
        match self.0.back() {
            Some(last) if at < last.at + SAMPLE => {}
            _ => self.0.push_back(sample),
        }
        while self.0.len() > 1 && self.0[1].at + WINDOW <= at {
            self.0.pop_front();
        }
    }

    /// How fast it went since the oldest look that still counts; `None` if that is too short a time to tell.
    pub fn rate(&self, at: Duration, there: u64, gone: u64) -> Option<Rate> {
        let first = self.0.front()?;
        let seconds = at.checked_sub(first.at)?.as_secs_f64();
        if seconds < 1.0 {
            return None;
        }
        let delivered = gone.saturating_sub(first.gone) as f64;
        let grown = there as f64 - first.there as f64;
        Some(Rate {
            accepted: (grown + delivered).max(0.0) / seconds,
            delivered: delivered / seconds,
        })
    }
}

impl Rate {
    /// In how long `left` bytes are full at this rate; `None` if never, or not within ten years.
    pub fn full_in(&self, left: u64) -> Option<Duration> {
        let grows = self.accepted - self.delivered;
        let seconds = left as f64 / grows;
        (grows > 0.0 && seconds < 10.0 * 365.0 * 86_400.0).then(|| Duration::from_secs_f64(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn rates_are_those_of_the_last_hour() {
        let mut rates = Rates::default();
        assert_eq!(rates.rate(seconds(10), 0, 0), None);
        // Nothing for a day, then 100 bytes a second come and 40 leave.
        for minute in 0..1440 {
            rates.look(seconds(minute * 60), 1000, 0);
        }
        let start = 1440 * 60;
        for minute in 0..=60 {
            let passed = minute * 60;
            rates.look(seconds(start + passed), 1000 + 60 * passed, 40 * passed);
        }
        let now = seconds(start + 3600);
        let rate = rates.rate(now, 1000 + 60 * 3600, 40 * 3600).unwrap();
        assert!((99.0..101.0).contains(&rate.accepted), "{rate:?}");
        assert!((39.0..41.0).contains(&rate.delivered), "{rate:?}");
        let full = rate.full_in(60 * 86_400).unwrap();
        assert!(full > seconds(85_000) && full < seconds(88_000), "{full:?}");
        assert!(rates.0.len() <= 62);
    }

    #[test]
    fn what_does_not_grow_is_never_full() {
        let empties = Rate {
            accepted: 1.0,
            delivered: 2.0,
        };
        assert_eq!(empties.full_in(1), None);
        assert_eq!(Rate::default().full_in(0), None);
        let slow = Rate {
            accepted: 1e-9,
            delivered: 0.0,
        };
        assert_eq!(slow.full_in(1 << 40), None);
    }

    #[test]
    fn what_a_person_takes_away_is_no_rate() {
        let mut rates = Rates::default();
        rates.look(seconds(0), 1000, 0);
        let rate = rates.rate(seconds(100), 0, 0).unwrap();
        assert_eq!(rate, Rate::default());
    }
}
