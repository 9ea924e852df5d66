//! How far everything together is.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant;

use crate::output::push::Progress;

/// Counted by all uploading threads.
#[derive(Debug)]
pub struct Tally {
    began: Instant,
    /// Bytes of everything.
    total: AtomicU64,
    /// Of those, what is on its way or there. Not all of it was sent now.
    there: AtomicU64,
    /// What went over the network.
    sent: AtomicU64,
    /// When something was completed last, in milliseconds.
    completed: AtomicU64,
}

/// What it was at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of everything.
    pub total: u64,
    /// Of those, what is on its way or there.
    pub there: u64,
    /// What went over the network.
    pub sent: u64,
}

impl Tally {
    /// Nothing has happened yet.
    pub fn new(total: u64) -> Self {
        Self {
            began: Instant::now(),
            total: AtomicU64::new(total),
            there: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            completed: AtomicU64::new(0),
        }
    }

    /// Since when.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether nothing was completed since then.
    pub fn completed_before(&self, moment: Instant) -> bool {
        let completed = Duration::from_millis(self.completed.load(Ordering::Relaxed));
        self.began + completed < moment
    }

    /// What was expected to have `expected` bytes has `length`.
    pub fn correct(&self, expected: u64, length: u64) {
        self.total.fetch_add(length, Ordering::Relaxed);
        self.total.fetch_sub(expected, Ordering::Relaxed);
    }

    /// What it is now.
    pub fn read(&self) -> Reading {
        Reading {
            total: self.total.load(Ordering::Relaxed),
            there: self.there.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }
}

/// One upload's part in it. What it has counted is taken back if it does not end well.
pub struct Share<'a> {
    tally: &'a Tally,
    there: u64,
}

impl<'a> Share<'a> {
    /// Of a new upload.
    pub fn new(tally: &'a Tally) -> Self {
        Self { tally, there: 0 }
    }

    /// It did not end well: none of it is there, and none of it is to come.
    pub fn give_up(mut self, length: u64) {
        self.take_back(self.there);
        self.tally.correct(length, 0);
    }

    /// It did, however much of it was sent now.
    pub fn complete(mut self, length: u64) {
        let rest = length.saturating_sub(self.there);
        self.add(rest);
        let now = u64::try_from(self.tally.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tally.completed.store(now, Ordering::Relaxed);
    }

    /// Another attempt begins, which tells anew what is there.
    pub fn restart(&mut self) {
        self.take_back(self.there);
    }

    fn add(&mut self, bytes: u64) {
        self.there += bytes;
        self.tally.there.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take_back(&mut self, bytes: u64) {
        let bytes = bytes.min(self.there);
        self.there -= bytes;
        self.tally.there.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Progress for Share<'_> {
    fn sent(&mut self, bytes: u64) {
        self.add(bytes);
        self.tally.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn again(&mut self, bytes: u64) {
        self.take_back(bytes);
    }

    fn resumed(&mut self, bytes: u64) {
        self.add(bytes);
    }
}

/// Bytes a second, of the last few seconds: a link that has become slow shows soon, and a moment's pause does not.
#[derive(Debug, Default)]
pub struct Rate {
    samples: VecDeque<(Duration, u64)>,
}

/// What the rate is taken over.
const WINDOW: Duration = Duration::from_secs(6);

impl Rate {
    /// So many bytes were `sent` in all at this time. The rate, when there is enough to tell it.
    pub fn sample(&mut self, at: Duration, sent: u64) -> Option<u64> {
        self.samples.push_back((at, sent));
        while let Some((second, _)) = self.samples.get(1)
            && at.saturating_sub(*second) >= WINDOW
        {
            self.samples.pop_front();
        }
        let (from, before) = self.samples.front()?;
        let millis = at.saturating_sub(*from).as_millis();
        let bytes = u128::from(sent.saturating_sub(*before));
        (millis >= 200).then(|| u64::try_from(bytes * 1000 / millis).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_sent_again_counts_once() {
        let tally = Tally::new(100);
        let mut one = Share::new(&tally);
        one.sent(40);
        one.again(15);
        one.resumed(5);
        let reading = tally.read();
        assert_eq!((reading.there, reading.sent), (30, 40));
        one.complete(60);
        assert_eq!(tally.read().there, 60);
        let mut other = Share::new(&tally);
        other.sent(10);
        other.restart();
        other.sent(20);
        other.give_up(40);
        let reading = tally.read();
        assert_eq!((reading.there, reading.total, reading.sent), (60, 60, 70));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let mut rate = Rate::default();
        assert_eq!(rate.sample(Duration::ZERO, 0), None);
        for second in 1..=20u64 {
            let told = rate.sample(Duration::from_secs(second), second * 1000);
            assert_eq!(told, Some(1000));
        }
        for second in 21..=30u64 {
            rate.sample(Duration::from_secs(second), 20_000);
        }
        assert_eq!(rate.sample(Duration::from_secs(31), 20_000), Some(0));
    }
}
