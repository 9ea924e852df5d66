//! The sensor that a finger touches.

use std::io::Read as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a YubiKey waits for a touch.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a touch counts under the policy "cached".
const CACHED: Duration = Duration::from_secs(15);

/// Asks whoever listens at a socket for a touch: a byte is one, the connection's end is none.
pub struct Sensor {
    socket: PathBuf,
    touched: Option<Instant>,
}

impl Sensor {
    pub fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            touched: None,
        }
    }

    /// Waits for a touch.
    pub fn touched(&mut self) -> bool {
        let touched = self.wait().unwrap_or(false);
        if touched {
            self.touched = Some(Instant::now());
        }
        touched
    }

    /// A touch, now or a moment ago.
    pub fn touched_lately(&mut self) -> bool {
        self.touched.is_some_and(|at| at.elapsed() < CACHED) || self.touched()
    }

    fn wait(&self) -> std::io::Result<bool> {
        let mut finger = UnixStream::connect(&self.socket)?;
        finger.set_read_timeout(Some(PATIENCE))?;
        Ok(finger.read(&mut [0])? == 1)
    }
}
