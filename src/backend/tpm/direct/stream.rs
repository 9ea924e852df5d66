//! The way to a TPM: the kernel's device, or swtpm's socket.

use core::fmt;
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::io;
use std::path::PathBuf;
use std::string::String;
use std::time::Instant;
use std::vec::Vec;

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use zeroize::Zeroize as _;

use super::device_file::DeviceFile;
use super::socket;

/// The longest answer (TPM2_MAX_RESPONSE_SIZE of libtss2's and the kernel's TPM2_SPACE_BUFFER).
pub const MAX_LEN: usize = 4096;

/// A way to a TPM, as a TCTI names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// `device:/dev/tpmrm0`.
    Device(PathBuf),
    /// `swtpm:host=127.0.0.1,port=2321`: its data channel, over TCP.
    Tcp {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// `swtpm:path=/run/swtpm.sock`: the same at a socket of the file system.
    Unix(PathBuf),
}

/// The device that `device` alone means.
const DEVICE: &str = "/dev/tpmrm0";
/// What `swtpm` alone means, as in libtss2.
const HOST: &str = "127.0.0.1";
const PORT: u16 = 2321;

impl Way {
    /// What a TCTI names; `None` for those that libtss2 alone knows, or that are none.
    pub fn of(tcti: &str) -> Option<Self> {
        let (kind, configuration) = tcti.split_once(':').unwrap_or((tcti, ""));
        match kind {
            "device" if configuration.is_empty() => Some(Self::Device(DEVICE.into())),
            "device" => Some(Self::Device(configuration.into())),
            "swtpm" => swtpm(configuration),
            _ => None,
        }
    }
}

fn swtpm(configuration: &str) -> Option<Way> {
    let (mut host, mut port, mut path) = (None, None, None);
    for pair in configuration.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        match name {
            "host" => host = Some(value.to_owned()),
            "port" => port = Some(value.parse().ok()?),
            "path" => path = Some(value.into()),
            _ => return None,
        }
    }
    match (path, &host, port) {
        (Some(path), None, None) => Some(Way::Unix(path)),
        (Some(_), ..) => None,
        (None, ..) => Some(Way::Tcp {
            host: host.unwrap_or_else(|| HOST.to_owned()),
            port: port.unwrap_or(PORT),
        }),
    }
}

/// A stream to a TPM, for one command after the other.
///
/// The device stays open, since what a resource manager has loaded for it goes with it. Of swtpm, which serves one
/// connection at a time, each command takes a connection of its own, as libtss2's do: others have their turn.
pub struct Stream {
    way: Way,
    timeout: Duration,
    device: Option<DeviceFile>,
    command: Vec<u8>,
    answer: Vec<u8>,
    /// How much of the answer was read.
    taken: usize,
    /// Why the last command was not sent, or not answered.
    failure: Option<Failure>,
}

/// Why a command has no answer.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub error: io::Error,
    /// Whether the TPM may have had the command.
    pub was_sent: bool,
}

impl Stream {
    /// Opens the device. swtpm is connected to with the first command.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn open(way: Way, timeout: Duration) -> io::Result<Self> {
        let device = match &way {
            Way::Device(path) => Some(DeviceFile::open(path)?),
            _ => None,
        };
        Ok(Self {
            way,
            timeout,
            device,
            command: Vec::with_capacity(MAX_LEN),
            answer: Vec::new(),
            taken: 0,
            failure: None,
        })
    }

    /// How long an answer is waited for from now on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// Why the last command was not sent, or not answered.
    pub fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn exchange(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + self.timeout;
        let unsent = |error| Failure {
            error,
            was_sent: false,
        };
        let lost = |error| Failure {
            error,
            was_sent: true,
        };
        self.answer = match (&self.way, &mut self.device) {
            (Way::Device(_), Some(device)) => {
                device.exchange(&self.command, until).map_err(lost)?
            }
            (Way::Device(path), none) => {
                let device = none.insert(DeviceFile::open(path).map_err(unsent)?);
                device.exchange(&self.command, until).map_err(lost)?
            }
            (Way::Tcp { host, port }, _) => {
                let mut socket = socket::tcp(host, *port, until).map_err(unsent)?;
                socket::exchange(&mut socket, &self.command, until).map_err(lost)?
            }
            (Way::Unix(path), _) => {
                let mut socket = socket::unix(path, until).map_err(unsent)?;
                socket::exchange(&mut socket, &self.command, until).map_err(lost)?
            }
        };
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.command.zeroize();
    }
}

impl ErrorType for Stream {
    type Error = ErrorKind;
}

impl Write for Stream {
    /// Takes a part of a command.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        if self.command.len() + bytes.len() > MAX_LEN {
            self.command.zeroize();
            return Err(ErrorKind::OutOfMemory);
        }
        self.command.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Sends the command, and waits for the answer.
    fn flush(&mut self) -> Result<(), ErrorKind> {
        self.failure = None;
        // Nothing of an answer before is left for this command.
        self.answer.clear();
        self.taken = 0;
        let result = self.exchange();
        // There may be an auth value in it.
        self.command.zeroize();
        result.map_err(|failure| {
            let kind = ErrorKind::from(failure.error.kind());
            // A device that has not answered yet takes no other command.
            self.device = None;
            self.failure = Some(failure);
            kind
        })
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let rest = self.answer.get(self.taken..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

/// How much time is left.
///
/// # Errors
/// [`late`], if it is none.
pub fn remaining(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(late()),
        false => Ok(left),
    }
}

/// There is no answer yet.
pub fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer in time")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_those_of_libtss2() {
        let tcp = |host: &str, port| {
            let host = host.to_owned();
            Some(Way::Tcp { host, port })
        };
        for (tcti, way) in [
            ("device:/dev/tpm0", Some(Way::Device("/dev/tpm0".into()))),
            ("device", Some(Way::Device("/dev/tpmrm0".into()))),
            ("swtpm", tcp("127.0.0.1", 2321)),
            ("swtpm:port=5", tcp("127.0.0.1", 5)),
            ("swtpm:host=tpm.example,port=5", tcp("tpm.example", 5)),
            ("swtpm:path=/run/tpm", Some(Way::Unix("/run/tpm".into()))),
            ("swtpm:path=/run/tpm,port=5", None),
            ("swtpm:port=x", None),
            ("tabrmd", None),
            ("mssim:port=5", None),
        ] {
            assert_eq!(Way::of(tcti), way, "{tcti}");
        }
    }
}
