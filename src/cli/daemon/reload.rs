//! Reading everything again, and knowing when that is done.

use core::time::Duration;
use std::boxed::Box;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::vec::Vec;

use crate::host::refresh::{Refresher, Status};

/// The longest that the service manager is kept waiting. An identity whose service does not answer goes on
/// trying by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Knows when refreshers have done something.
pub struct Reload(Arc<Signal>);

#[derive(Default)]
struct Signal {
    changes: Mutex<u64>,
    changed: Condvar,
}

impl Reload {
    /// Watches these.
    pub fn new(refreshers: &[Refresher]) -> Self {
        let signal = Arc::<Signal>::default();
        for refresher in refreshers {
            let signal = signal.clone();
            refresher.on_change(Box::new(move || signal.change()));
        }
        Self(signal)
    }

    /// Asks each for reading everything again.
    pub fn begin(&self, refreshers: &[Refresher]) -> Begun {
        let before = refreshers
            .iter()
            .map(|one| (one.clone(), ended(&one.status())));
        let begun = Begun {
            signal: self.0.clone(),
            before: before.collect(),
        };
        for refresher in refreshers {
            refresher.reload();
        }
        begun
    }
}

impl Signal {
    fn change(&self) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *changes += 1;
        self.changed.notify_all();
    }
}

/// What is being read again.
pub struct Begun {
    signal: Arc<Signal>,
    before: Vec<(Refresher, u64)>,
}

impl Begun {
    /// Waits until each has succeeded or failed.
    pub fn wait(self) {
        let changes = self.signal.changes.lock();
        let changes = changes.unwrap_or_else(PoisonError::into_inner);
        // Nobody is to be told more than that it has taken too long, which the manager knows.
        drop(
            self.signal
                .changed
                .wait_timeout_while(changes, PATIENCE, |_| {
                    let mut all = self.before.iter();
                    all.any(|(refresher, before)| ended(&refresher.status()) == *before)
                }),
        );
    }
}

/// How many attempts have ended.
fn ended(status: &Status) -> u64 {
    status.successes + status.failures + status.reloads_refused
}
