//! Two clocks: the wall clock, which may be set, and the time since the machine was booted, the time that
//! it slept included.

use core::time::Duration;
use std::sync::Arc;

use crate::core::time::{Clock as _, UnixTime};
use crate::host::clock::HostClock;

/// A point in time by both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the machine was booted.
    pub since_boot: Duration,
    /// The wall clock.
    pub wall: UnixTime,
}

impl Now {
    /// What the clocks differ by, in seconds: constant, unless the wall clock is set.
    pub fn offset(&self) -> i64 {
        self.wall
            .since(UnixTime::from_secs(self.since_boot.as_secs()))
    }
}

/// Both clocks. Tests set them as they like.
pub trait Clocks: Send + Sync {
    /// The time.
    fn now(&self) -> Now;

    /// How long to wait for so much of this time to pass. Only simulated clocks run faster than the machine's.
    fn lasts(&self, time: Duration) -> Duration {
        time
    }

    /// Whether the wall clock is known to be wrong. The time that is taken for now then stands still.
    fn is_wall_wrong(&self) -> bool {
        false
    }
}

/// The clocks of the system.
pub struct SystemClocks(pub Arc<HostClock>);

impl Clocks for SystemClocks {
    fn now(&self) -> Now {
        Now {
            since_boot: since_boot(),
            wall: self.0.now(),
        }
    }

    fn is_wall_wrong(&self) -> bool {
        self.0.trusted().is_none()
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // This clock starts at zero.
    Duration::try_from(time).unwrap_or_default()
}

/// Elsewhere sleep is not always counted; the wall clock is looked at as well.
#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
