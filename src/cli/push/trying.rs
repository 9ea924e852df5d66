//! How long one upload is tried.

use core::time::Duration;
use std::time::Instant;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::tally::Tally;
use crate::output::push::Halt;

/// Pauses between attempts: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An attempt that moves less has moved nothing: so much fits into the buffers on the way.
const SOMETHING: u64 = 256 * 1024;

/// Patience with one upload. It is used up by pauses, and by attempts in which nothing moves; so it ends also where
/// each attempt is taken whole, and refused.
pub struct Trying {
    patience: Duration,
    spent: Duration,
    attempts: u32,
    /// When it failed first.
    since: Option<Instant>,
    /// The attempt: when it began, and what all had sent before.
    began: Instant,
    sent: u64,
}

impl Trying {
    /// The first attempt begins.
    pub fn new(patience: Duration) -> Self {
        Self {
            patience,
            spent: Duration::ZERO,
            attempts: 0,
            since: None,
            began: Instant::now(),
            sent: 0,
        }
    }

    /// The next attempt begins.
    pub fn attempt(&mut self, tally: &Tally) {
        self.began = Instant::now();
        self.sent = tally.read().sent;
    }

    /// How much has moved in this attempt.
    pub fn moved(&self, tally: &Tally) -> u64 {
        tally.read().sent.saturating_sub(self.sent)
    }

    /// S3 has confirmed something since it failed last.
    pub fn begin_anew(&mut self) {
        self.spent = Duration::ZERO;
        self.attempts = 0;
        self.since = None;
    }

    /// An attempt failed: how long to wait before the next one; `None` if patience has ended.
    pub fn pause(&mut self, halt: &Halt, tally: &Tally) -> Option<Duration> {
        let now = Instant::now();
        self.since.get_or_insert(now);
        if self.moved(tally) < SOMETHING {
            self.spent += now.saturating_duration_since(self.began);
        }
        let left = self
            .patience
            .checked_sub(self.spent)
            .filter(|left| !left.is_zero())?;
        let asked = match halt {
            Halt::Store(error) => error.retry_after,
            _ => None,
        };
        let doubled = FIRST_PAUSE.saturating_mul(2u32.saturating_pow(self.attempts));
        let limit = doubled.min(LONGEST_PAUSE);
        self.attempts += 1;
        let pause = limit / 2 + chance(limit / 2);
        let pause = pause.max(asked.unwrap_or_default()).min(left);
        self.spent += pause;
        Some(pause)
    }

    /// Whether it was the first one that failed.
    pub fn is_first(&self) -> bool {
        self.attempts == 1
    }

    /// Since when nothing got through.
    pub fn since(&self) -> Instant {
        self.since.unwrap_or(self.began)
    }
}

/// Anything from nothing to `limit`.
fn chance(limit: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without it delays are the same each time, which harms nobody here.
    let _ = SystemRandom::new().fill(&mut bytes);
    limit.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::push::tally::Share;
    use crate::output::push::Progress as _;

    #[test]
    fn patience_ends_whatever_is_sent() {
        for sent in [0, 1 << 30] {
            let tally = Tally::new(0);
            let mut trying = Trying::new(Duration::from_secs(60));
            let mut pauses = Duration::ZERO;
            let mut attempts = 0;
            trying.attempt(&tally);
            while let Some(pause) = trying.pause(&Halt::Stopped, &tally) {
                assert!(pause <= LONGEST_PAUSE);
                pauses += pause;
                attempts += 1;
                trying.attempt(&tally);
                Share::new(&tally).sent(sent);
            }
            assert!(pauses <= Duration::from_secs(60));
            assert!(pauses > Duration::from_secs(50), "{pauses:?}");
            assert!((6..20).contains(&attempts), "{attempts}");
        }
    }

    #[test]
    fn what_was_confirmed_begins_it_anew() {
        let tally = Tally::new(0);
        let mut trying = Trying::new(Duration::from_secs(1));
        for _ in 0..100 {
            assert!(trying.pause(&Halt::Stopped, &tally).is_some());
            assert!(trying.is_first());
            trying.begin_anew();
        }
    }
}
