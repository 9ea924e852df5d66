//! How fast, and whether at all: shared by everything that uploads.

use core::fmt;
use core::time::Duration;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// A piece of a body is never longer than what may be sent in this time, so that a cap is felt as a steady
/// flow, and an end between two pieces comes soon.
const PIECE: Duration = Duration::from_millis(100);

/// What may be sent at once after a pause, as time at the capped rate.
const BURST: Duration = Duration::from_millis(500);

/// A cap on the bandwidth, and a switch that ends what is being sent. All uploading threads share one.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    stopped: bool,
    bucket: Option<Bucket>,
}

/// Nothing more is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the upload was stopped")
    }
}

impl core::error::Error for Stopped {}

impl Pace {
    /// At most so many bytes in a second, all threads together; as fast as it goes with `None`.
    pub fn new(bytes_per_second: Option<u64>) -> Self {
        let bucket = bytes_per_second.map(|rate| Bucket::new(rate, Instant::now()));
        Self {
            state: Mutex::new(State {
                stopped: false,
                bucket,
            }),
            changed: Condvar::new(),
        }
    }

    /// Another cap, from now on.
    pub fn limit(&self, bytes_per_second: Option<u64>) {
        self.change(|state| {
            state.bucket = bytes_per_second.map(|rate| Bucket::new(rate, Instant::now()));
        });
    }

    /// Ends what is being sent between two pieces, and keeps anything else from beginning: somebody wants
    /// to end, or the window closes.
    pub fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    /// The window opens again.
    pub fn resume(&self) {
        self.change(|state| state.stopped = false);
    }

    /// Whether it is stopped.
    pub fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Waits until something may be sent, and says how much of `wanted` it is: at least 1, unless `wanted` is 0.
    ///
    /// # Errors
    /// [`Stopped`].
    pub fn take(&self, wanted: usize) -> Result<usize, Stopped> {
        let mut state = self.state();
        loop {
            if state.stopped {
                return Err(Stopped);
            }
            let Some(bucket) = &mut state.bucket else {
                return Ok(wanted);
            };
            match bucket.take(Instant::now(), wanted) {
                Ok(granted) => return Ok(granted),
                Err(wait) => {
                    let woken = self.changed.wait_timeout(state, wait);
                    state = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    /// What was taken and not sent after all.
    pub fn give_back(&self, unused: usize) {
        if let Some(bucket) = &mut self.state().bucket {
            bucket.tokens += unused as f64;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new(None)
    }
}

/// A token bucket: tokens are bytes that may be sent.
#[derive(Debug)]
struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    fn new(bytes_per_second: u64, now: Instant) -> Self {
        Self {
            rate: bytes_per_second.max(1) as f64,
            tokens: 0.0,
            filled: now,
        }
    }

    /// How much of `wanted` may be sent now, or how long to wait before asking again.
    fn take(&mut self, now: Instant, wanted: usize) -> Result<usize, Duration> {
        let passed = now.saturating_duration_since(self.filled);
        self.filled = self.filled.max(now);
        // At rates below a few bytes in a second one byte at a time has to be possible.
        let most = (self.rate * BURST.as_secs_f64()).max(1.0);
        self.tokens = (self.tokens + self.rate * passed.as_secs_f64()).min(most);
        let piece = (self.rate * PIECE.as_secs_f64())
            .max(1.0)
            .min(wanted as f64)
            .floor();
        if self.tokens >= piece {
            self.tokens -= piece;
            return Ok(piece as usize);
        }
        // A little more than needed: a timer that is early costs another round.
        Err(Duration::from_secs_f64((piece - self.tokens) / self.rate) + Duration::from_micros(100))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// How many bytes get through in `seconds` if somebody always wants `wanted`.
    fn flow(rate: u64, wanted: usize, seconds: u64) -> u64 {
        let start = Instant::now();
        let mut now = start;
        let mut bucket = Bucket::new(rate, start);
        let mut sent = 0;
        while now < start + Duration::from_secs(seconds) {
            match bucket.take(now, wanted) {
                Ok(granted) => sent += granted as u64,
                Err(wait) => now += wait,
            }
        }
        sent
    }

    #[test]
    fn a_cap_is_kept_and_used() {
        for rate in [3, 1_000, 125_000, 40_000_000] {
            for wanted in [1, 16 * 1024] {
                if rate > 1_000_000 && wanted == 1 {
                    continue;
                }
                let sent = flow(rate, wanted, 20);
                let due = rate * 20;
                assert!(
                    sent <= due + due / 20 + 1,
                    "{rate} {wanted}: {sent} of {due}"
                );
                assert!(
                    sent >= due - due / 10 - 2,
                    "{rate} {wanted}: {sent} of {due}"
                );
            }
        }
    }

    #[test]
    fn after_a_pause_there_is_no_flood() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_000, start);
        let later = start + Duration::from_secs(3_600);
        let mut at_once = 0;
        while let Ok(granted) = bucket.take(later, 1 << 20) {
            at_once += granted;
        }
        assert!(at_once <= 600, "{at_once}");
    }

    #[test]
    fn without_a_cap_everything_passes_until_the_stop() {
        let pace = Pace::default();
        assert_eq!(pace.take(1 << 30), Ok(1 << 30));
        pace.stop();
        assert_eq!(pace.take(1), Err(Stopped));
        pace.resume();
        assert_eq!(pace.take(1), Ok(1));
    }

    #[test]
    fn a_stop_ends_a_wait() {
        // One byte in a second: a thread that wants a million waits for long.
        let pace = Arc::new(Pace::new(Some(1)));
        let waiting = thread::spawn({
            let pace = Arc::clone(&pace);
            move || loop {
                if pace.take(1 << 20).is_err() {
                    return;
                }
            }
        });
        pace.stop();
        waiting.join().unwrap();
    }

    #[test]
    fn nothing_wanted_is_nothing_waited_for() {
        assert_eq!(Pace::new(Some(1)).take(0), Ok(0));
    }
}
