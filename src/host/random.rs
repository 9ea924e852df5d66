//! Chance, for delays.

use core::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};

/// SplitMix64: enough for delays, and the same each time for the same seed.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// One that is like no other. Without randomness delays are the same each time, which harms a fleet and
    /// not this machine.
    pub fn seed() -> u64 {
        let mut seed = [0; 8];
        let _ = SystemRandom::new().fill(&mut seed);
        u64::from_le_bytes(seed)
    }

    /// Anything from nothing to `limit`.
    pub fn below(&mut self, limit: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        limit.mul_f64(mixed as f64 / u64::MAX as f64)
    }

    /// After the `count`th failure: between half of a limit that doubles with each, and that limit.
    pub fn delay(&mut self, count: u32, first: Duration, longest: Duration) -> Duration {
        let doublings = 2u32.saturating_pow(count.saturating_sub(1));
        let limit = first.saturating_mul(doublings).min(longest);
        limit / 2 + self.below(limit / 2)
    }
}
