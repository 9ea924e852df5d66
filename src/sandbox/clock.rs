//! The sandbox's clock: the system's or one that stands still, either of which can be moved.

use core::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use crate::core::time::{Clock, UnixTime};
use crate::host::clock::system_time;

/// A clock that its clones share.
#[derive(Debug, Clone)]
pub struct SandboxClock {
    fixed: Option<UnixTime>,
    offset: Arc<AtomicI64>,
}

impl SandboxClock {
    /// The system's clock.
    pub fn system() -> Self {
        Self {
            fixed: None,
            offset: Arc::default(),
        }
    }

    /// A clock that stands still at `time` until it is moved.
    pub fn fixed(time: UnixTime) -> Self {
        Self {
            fixed: Some(time),
            ..Self::system()
        }
    }

    /// Moves the clock, and all its clones, by `seconds`.
    pub fn advance(&self, seconds: i64) {
        self.offset.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for SandboxClock {
    fn now(&self) -> UnixTime {
        let base = self.fixed.unwrap_or_else(system_time);
        base.offset_by(self.offset.load(Ordering::Relaxed))
    }
}
