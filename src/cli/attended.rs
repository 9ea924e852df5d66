//! Whether there is somebody at the terminal who may be asked.

use core::cell::Cell;
use std::thread_local;

thread_local! {
    static UNATTENDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, which asks nobody at the terminal, on this thread: what a daemon does when whoever started
/// it has long gone.
pub fn unattended<T>(work: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            UNATTENDED.set(self.0);
        }
    }
    let _back = Back(UNATTENDED.replace(true));
    work()
}

/// Whether a person at the terminal may be asked.
pub fn is_attended() -> bool {
    !UNATTENDED.get()
}
