use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use std::io;
use std::sync::Arc;

use mio::{Registry, Token};

/// Speaks to a running [`Server`](super::Server) from other threads.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

struct Shared {
    waker: mio::Waker,
    stop: AtomicBool,
}

impl Waker {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self(Arc::new(Shared {
            waker: mio::Waker::new(registry, token)?,
            stop: AtomicBool::new(false),
        })))
    }

    /// Has the waiting requests handled again.
    pub fn wake(&self) {
        // It fails only if the process has lost its descriptor; the requests' own time is left then.
        let _ = self.0.waker.wake();
    }

    /// Ends [`Server::run`](super::Server::run): no more connections are accepted, what is open may
    /// finish for as long as the limits say.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Waker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waker")
            .field("stopping", &self.is_stopping())
            .finish()
    }
}
