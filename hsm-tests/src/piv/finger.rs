//! A finger for the card's sensor.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// What the card asks for a touch.
pub struct Finger(UnixListener);

/// A card that waits for a touch. Without one it gives up when this is dropped.
pub struct Waiting(UnixStream);

impl Finger {
    pub(super) fn new(socket: &Path) -> Self {
        let _ = std::fs::remove_file(socket);
        Self(UnixListener::bind(socket).expect("the card's folder can be written to"))
    }

    /// Waits until the card wants a touch.
    pub fn wait(&self) -> Waiting {
        let (waiting, _) = self.0.accept().expect("the socket is open");
        Waiting(waiting)
    }
}

impl Waiting {
    /// Touches the card.
    pub fn touch(mut self) {
        self.0.write_all(&[1]).expect("the card waits");
    }
}
