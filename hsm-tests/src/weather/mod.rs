//! Bad weather on the way to a server: a relay that refuses, stalls, cuts, truncates, slows down and throttles
//! connections, as a forecast has it whose time runs faster than ours.

mod forecast;
mod relay;

use std::time::{Duration, Instant};

pub use forecast::{Forecast, Sky, Spell};
pub use relay::{Met, Relay};

/// Time that runs so many times as fast as ours.
#[derive(Debug, Clone, Copy)]
pub struct FastTime {
    began: Instant,
    speed: u32,
}

impl FastTime {
    /// It is zero now.
    pub fn from_now(speed: u32) -> Self {
        Self {
            began: Instant::now(),
            speed,
        }
    }

    /// How late it is.
    pub fn now(&self) -> Duration {
        self.began.elapsed() * self.speed
    }

    /// How long a time of this kind takes in ours.
    pub fn lasts(&self, time: Duration) -> Duration {
        time / self.speed
    }
}
