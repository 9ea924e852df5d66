//! How often a worker may be started again.

use core::time::Duration;
use std::time::Instant;

/// So many restarts come at once: each costs one signature.
const AT_ONCE: u32 = 3;

/// The pause before the next one, which doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(64);

/// After so long without a restart, all is forgotten.
const QUIET: Duration = Duration::from_secs(300);

/// The restarts of one worker. One that ends again and again is started ever more rarely: neither
/// processes nor logins pile up.
#[derive(Debug, Default)]
pub struct Budget {
    restarts: u32,
    last: Option<Instant>,
}

impl Budget {
    /// Whether it may be started again `now`. If so, it counts as started.
    pub fn take(&mut self, now: Instant) -> bool {
        if let Some(last) = self.last {
            let since = now.saturating_duration_since(last);
            if since >= QUIET {
                self.restarts = 0;
            } else if since < self.pause() {
                return false;
            }
        }
        self.restarts = self.restarts.saturating_add(1);
        self.last = Some(now);
        true
    }

    fn pause(&self) -> Duration {
        match self.restarts.checked_sub(AT_ONCE) {
            None => Duration::ZERO,
            Some(more) => LONGEST_PAUSE.min(FIRST_PAUSE * 2_u32.saturating_pow(more.min(16))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The seconds at which a worker is started that always ends at once, if it is wanted every
    /// quarter of a second for so long.
    fn starts(seconds: u32) -> Vec<f32> {
        let (start, mut budget) = (Instant::now(), Budget::default());
        (0..4 * seconds)
            .map(|quarter| Duration::from_millis(250) * quarter)
            .filter(|&time| budget.take(start + time))
            .map(|time| time.as_secs_f32())
            .collect()
    }

    #[test]
    fn a_worker_that_always_ends_is_started_ever_more_rarely() {
        assert_eq!(
            starts(130),
            [0.0, 0.25, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 63.5, 127.5]
        );
        // A day: one in 64 seconds.
        assert!(starts(86_400).len() < 1_360);
    }

    #[test]
    fn after_a_quiet_time_it_starts_at_once() {
        let (start, mut budget) = (Instant::now(), Budget::default());
        let mut tries = (0..1000).map(|n| budget.take(start + Duration::from_millis(n)));
        assert!(tries.by_ref().take(3).all(|taken| taken));
        assert!(!tries.any(|taken| taken));
        let later = start + QUIET + Duration::from_secs(1);
        assert!((0..3).all(|_| budget.take(later)));
        assert!(!budget.take(later));
    }
}
