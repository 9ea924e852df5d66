//! Whether there is somebody at the terminal who may be asked.

use core::cell::Cell;
use std::thread_local;

thread_local! {
    static UNATTENDED: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, which asks nobody at the terminal, on this thread: what a daemon does when whoever started
/// it has long gone.
#[cfg(feature = "http-server")]
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

#[cfg(any(feature = "http-server", feature = "pkcs11"))]
thread_local! {
    static TRIES: Cell<Option<u32>> = const { Cell::new(None) };
}

/// A device said how many times a wrong PIN may still be given: 1 before the last one, 0 if it is locked,
/// nothing if it is more. It is kept for this thread: what refreshes an identity has one of its own.
#[cfg(any(feature = "http-server", feature = "pkcs11"))]
pub fn told_tries(left: Option<u32>) {
    TRIES.set(left);
}

/// What a device said last.
#[cfg(feature = "http-server")]
pub fn tries() -> Option<u32> {
    TRIES.get()
}
