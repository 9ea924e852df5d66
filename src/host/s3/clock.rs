//! The clock that requests to S3 are signed by.

use core::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use crate::core::time::{Clock, UnixTime};
use crate::host::clock::{HostClock, TOLERATED_SKEW};

/// The host's clock, and what S3's own is ahead of it. S3 refuses what is signed a quarter of an hour off.
///
/// The offset is S3's alone: certificates and sessions are judged by the host's clock as before.
#[derive(Debug)]
pub struct S3Clock {
    host: Arc<HostClock>,
    offset: AtomicI64,
}

impl S3Clock {
    /// A clock without an offset.
    pub fn new(host: Arc<HostClock>) -> Self {
        Self {
            host,
            offset: AtomicI64::new(0),
        }
    }

    /// The host's clock.
    pub fn host(&self) -> &Arc<HostClock> {
        &self.host
    }

    /// By how many seconds S3's clock is ahead of the host's.
    pub fn offset(&self) -> i64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// Learns from an answer's `Date`, which has to come from a server whose certificate was verified. Differences
    /// of less than five minutes are nothing to learn from, and what lies before the host's floor is not
    /// believed. Whether the clock was moved.
    pub fn learn(&self, server: UnixTime) -> bool {
        let off = server.since(self.now());
        if off.unsigned_abs() <= TOLERATED_SKEW.as_secs() || !self.host.believes(server) {
            return false;
        }
        let offset = server.since(self.host.now());
        self.offset.store(offset, Ordering::Relaxed);
        true
    }
}

impl Clock for S3Clock {
    fn now(&self) -> UnixTime {
        self.host.now().offset_by(self.offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::BUILD_TIME;

    #[test]
    fn it_learns_what_can_be_believed() {
        let clock = S3Clock::new(Arc::new(HostClock::with_system(|| BUILD_TIME, None)));
        assert_eq!(clock.now(), BUILD_TIME);
        assert!(!clock.learn(BUILD_TIME.offset_by(300)));
        assert_eq!(clock.offset(), 0);
        assert!(clock.learn(BUILD_TIME.offset_by(86_400)));
        assert_eq!(clock.now(), BUILD_TIME.offset_by(86_400));
        assert_eq!(clock.host().now(), BUILD_TIME);
        // The same again is nothing new.
        assert!(!clock.learn(BUILD_TIME.offset_by(86_410)));
        for nonsense in [UnixTime::from_secs(0), UnixTime::MAX] {
            assert!(!clock.learn(nonsense));
        }
        // A server that was wrong is right again.
        assert!(clock.learn(BUILD_TIME));
        assert_eq!(clock.offset(), 0);
    }
}
