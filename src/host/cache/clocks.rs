//! When something happened: by the wall clock, which anybody may set, and by the time since the machine
//! was booted, which nobody can.

use core::fmt;
use core::time::Duration;
use std::string::String;
use std::sync::Arc;

use crate::core::time::{Clock as _, UnixTime};
use crate::host::clock::HostClock;

/// What tells one start of the machine from another: 36 characters, as Linux has it in
/// `/proc/sys/kernel/random/boot_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootId(String);

impl BootId {
    /// Reads `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
    pub fn parse(text: &str) -> Option<Self> {
        let is_shape = text.len() == 36
            && text
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_shape.then(|| Self(text.into()))
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A point in time by both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Which start of the machine.
    pub boot: BootId,
    /// How long ago that was, the time that the machine slept included.
    pub since_boot: Duration,
    /// The wall clock.
    pub wall: UnixTime,
}

/// Both clocks. Tests set them as they like.
pub trait Clocks {
    /// The time.
    fn now(&self) -> Moment;
}

/// The clocks of the system.
#[derive(Debug)]
pub struct SystemClocks {
    boot: BootId,
    wall: Arc<HostClock>,
}

impl SystemClocks {
    /// The clock of this boot beside `wall`; `None` where the system has none.
    pub fn new(wall: Arc<HostClock>) -> Option<Self> {
        let boot = boot_id()?;
        Some(Self { boot, wall })
    }
}

#[cfg(target_os = "linux")]
fn boot_id() -> Option<BootId> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    BootId::parse(text.trim_ascii_end())
}

#[cfg(not(target_os = "linux"))]
fn boot_id() -> Option<BootId> {
    None
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // This clock starts at zero.
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Duration {
    Duration::ZERO
}

impl Clocks for SystemClocks {
    fn now(&self) -> Moment {
        Moment {
            boot: self.boot.clone(),
            since_boot: since_boot(),
            wall: self.wall.now(),
        }
    }
}
