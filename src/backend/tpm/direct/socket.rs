//! swtpm's socket: commands and answers as they are, one connection for each.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;
use std::vec;
use std::vec::Vec;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::stream::{MAX_LEN, late, remaining};

/// The length of an answer's head: tag, size, code.
const HEADER_LEN: usize = 10;

/// A socket that can be told how long to wait.
pub trait Patient: Read + Write {
    /// How long it reads and writes at most.
    ///
    /// # Errors
    /// [`io::Error`].
    fn wait_at_most(&self, time: Duration) -> io::Result<()>;
}

impl Patient for TcpStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

impl Patient for UnixStream {
    fn wait_at_most(&self, time: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(time))?;
        self.set_write_timeout(Some(time))
    }
}

/// Connects to a host.
///
/// # Errors
/// [`io::Error`].
pub fn tcp(host: &str, port: u16, until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses(host, port, until)? {
        match TcpStream::connect_timeout(&address, remaining(until)?) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// What a host's name stands for. Nothing tells the system's resolver how long it may take.
fn addresses(host: &str, port: u16, until: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let (answer, answered) = mpsc::channel();
    let host = host.to_owned();
    thread::Builder::new()
        .name("resolver".into())
        .spawn(move || {
            let found = (&*host, port).to_socket_addrs();
            // Nobody may be waiting any more.
            let _ = answer.send(found.map(Iterator::collect));
        })?;
    let found = answered.recv_timeout(remaining(until)?);
    found.unwrap_or_else(|_| Err(late()))
}

/// Connects to a socket of the file system. Whoever listens there may have too many in the queue.
///
/// # Errors
/// [`io::Error`].
pub fn unix(path: &Path, until: Instant) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(remaining(until)?))?;
    connect(&socket, &SocketAddrUnix::new(path)?).map_err(|error| in_time(error.into()))?;
    Ok(socket.into())
}

/// Sends a command, and waits for the answer.
///
/// # Errors
/// [`io::Error`].
pub fn exchange(socket: &mut impl Patient, command: &[u8], until: Instant) -> io::Result<Vec<u8>> {
    socket.wait_at_most(remaining(until)?)?;
    socket.write_all(command).map_err(in_time)?;
    let mut answer = vec![0; HEADER_LEN];
    fill(socket, &mut answer, until)?;
    let len = u32::from_be_bytes([answer[2], answer[3], answer[4], answer[5]]);
    match usize::try_from(len) {
        Ok(len) if (HEADER_LEN..=MAX_LEN).contains(&len) => answer.resize(len, 0),
        _ => {
            let what = format!("an answer of {len} bytes was announced");
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
    }
    fill(socket, &mut answer[HEADER_LEN..], until)?;
    Ok(answer)
}

fn fill(socket: &mut impl Patient, mut place: &mut [u8], until: Instant) -> io::Result<()> {
    while !place.is_empty() {
        socket.wait_at_most(remaining(until)?)?;
        match socket.read(place) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => place = &mut place[len..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(in_time(error)),
        }
    }
    Ok(())
}

/// What a socket says when its time is over.
fn in_time(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => late(),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{bind, listen};

    #[test]
    fn a_full_queue_is_waited_for_until_the_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let flags = SocketFlags::CLOEXEC;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        let mut queue = Vec::new();
        let error = loop {
            match unix(&path, Instant::now() + Duration::from_millis(100)) {
                Ok(socket) => queue.push(socket),
                Err(error) => break error,
            }
            assert!(queue.len() < 10);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn names_of_hosts_are_looked_up() {
        let until = Instant::now() + Duration::from_secs(60);
        let found = addresses("localhost", 7, until).unwrap();
        assert!(found.iter().all(|address| address.ip().is_loopback()));
        assert_eq!(addresses("::1", 7, until).unwrap().len(), 1);
        let past = Instant::now();
        let error = addresses("localhost", 7, past).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
