//! The way to a TPM: the kernel's device, or swtpm's socket.

use core::fmt;
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::time::Instant;
use std::vec::Vec;
use std::{format, vec};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use zeroize::Zeroize as _;

/// The longest answer (TPM2_MAX_RESPONSE_SIZE of libtss2's and the kernel's TPM2_SPACE_BUFFER).
pub const MAX_LEN: usize = 4096;

/// The length of an answer's head: tag, size, code.
const HEADER_LEN: usize = 10;

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
    device: Option<File>,
    command: Vec<u8>,
    answer: Vec<u8>,
    /// How much of the answer was read.
    taken: usize,
    /// Why the last command was not sent, or not answered.
    failure: Option<io::Error>,
}

impl Stream {
    /// Opens the device. swtpm is connected to with the first command.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn open(way: Way, timeout: Duration) -> io::Result<Self> {
        let device = match &way {
            Way::Device(path) => Some(device(path)?),
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

    /// Why the last command was not sent, or not answered.
    pub fn failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    fn exchange(&mut self) -> io::Result<()> {
        let until = Instant::now() + self.timeout;
        self.taken = 0;
        self.answer = match (&self.way, &mut self.device) {
            (Way::Device(_), Some(device)) => by_device(device, &self.command, until)?,
            (Way::Device(path), none) => {
                let mut device = device(path)?;
                let answer = by_device(&mut device, &self.command, until)?;
                *none = Some(device);
                answer
            }
            (Way::Tcp { host, port }, _) => {
                let mut socket = connect(host, *port, until)?;
                socket.set_nodelay(true)?;
                by_socket(&mut socket, &self.command, until, |socket, left| {
                    socket.set_read_timeout(Some(left))?;
                    socket.set_write_timeout(Some(left))
                })?
            }
            (Way::Unix(path), _) => {
                let mut socket = UnixStream::connect(path)?;
                by_socket(&mut socket, &self.command, until, |socket, left| {
                    socket.set_read_timeout(Some(left))?;
                    socket.set_write_timeout(Some(left))
                })?
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
            return Err(ErrorKind::OutOfMemory);
        }
        self.command.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Sends the command, and waits for the answer.
    fn flush(&mut self) -> Result<(), ErrorKind> {
        let result = self.exchange();
        // There may be an auth value in it.
        self.command.zeroize();
        result.map_err(|error| {
            let kind = ErrorKind::from(error.kind());
            // A device that has not answered yet takes no other command.
            self.device = None;
            self.failure = Some(error);
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

fn device(path: &std::path::Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
}

/// The kernel takes a command whole, and gives its answer whole (Linux, Documentation/security/tpm).
fn by_device(device: &mut File, command: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    if device.write(command)? != command.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    let mut answer = vec![0; MAX_LEN];
    loop {
        match device.read(&mut answer) {
            Ok(0) => {}
            Ok(len) => {
                answer.truncate(len);
                return Ok(answer);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        wait(device, until)?;
    }
}

fn wait(device: &File, until: Instant) -> io::Result<()> {
    let mut fds = [PollFd::new(device, PollFlags::IN)];
    loop {
        let left = remaining(until)?;
        let left = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(&mut fds, Some(&left)) {
            Ok(0) => return Err(late()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn by_socket<S: io::Read + io::Write>(
    socket: &mut S,
    command: &[u8],
    until: Instant,
    limit: impl Fn(&S, Duration) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    limit(socket, remaining(until)?)?;
    socket.write_all(command).map_err(in_time)?;
    let mut answer = vec![0; HEADER_LEN];
    fill(socket, &mut answer, until, &limit)?;
    let len = u32::from_be_bytes([answer[2], answer[3], answer[4], answer[5]]);
    match usize::try_from(len) {
        Ok(len) if (HEADER_LEN..=MAX_LEN).contains(&len) => answer.resize(len, 0),
        _ => {
            let what = format!("an answer of {len} bytes was announced");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    fill(socket, &mut answer[HEADER_LEN..], until, &limit)?;
    Ok(answer)
}

fn fill<S: io::Read>(
    socket: &mut S,
    mut place: &mut [u8],
    until: Instant,
    limit: &impl Fn(&S, Duration) -> io::Result<()>,
) -> io::Result<()> {
    while !place.is_empty() {
        limit(socket, remaining(until)?)?;
        match socket.read(place) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => place = &mut place[len..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(in_time(error)),
        }
    }
    Ok(())
}

fn connect(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(
        io::ErrorKind::NotFound,
        "the host has no address".to_string(),
    );
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, remaining(until)?) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn remaining(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(late()),
        false => Ok(left),
    }
}

/// What a socket says when its time is over.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}

fn late() -> io::Error {
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
