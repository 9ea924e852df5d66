//! Chance that can be repeated: SplitMix64.

use std::env;
use std::time::{Duration, SystemTime};

/// A sequence of numbers that its seed decides.
pub struct Chance {
    pub seed: u64,
    state: u64,
}

impl Chance {
    /// With the seed that is asked for, or a new one.
    pub fn new() -> Self {
        let asked = env::var("KEYSTEAD_FAULTS_SEED").ok();
        let asked = asked.map(|seed| seed.parse().expect("KEYSTEAD_FAULTS_SEED is a number"));
        let seed = asked.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            u64::from(now.expect("it is after 1970").subsec_nanos())
        });
        Self::of(seed)
    }

    /// With this seed.
    pub fn of(seed: u64) -> Self {
        Self { seed, state: seed }
    }

    /// Some number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// So many bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// All of them, in some order.
    pub fn shuffled<T>(&mut self, mut all: Vec<T>) -> Vec<T> {
        for last in (1..all.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            all.swap(last, other as usize);
        }
        all
    }

    /// Some time, from `least` to `most` milliseconds.
    pub fn time(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.next() % (most - least + 1))
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new()
    }
}
