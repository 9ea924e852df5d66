//! Waiting for what another process does.

use std::time::{Duration, Instant};

/// Waits until there is something, for as long as a loaded machine may take.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it never happened: {what}"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
