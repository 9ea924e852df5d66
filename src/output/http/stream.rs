//! A connection's socket, with TLS or without.

use std::boxed::Box;
use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::vec::Vec;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use rustix::net::{SendAncillaryBuffer, SendFlags};
use rustls::{ServerConfig, ServerConnection};

use super::response::Body;

pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub(super) struct Stream {
    socket: Socket,
    tls: Option<Tls>,
    /// Of an answer that the socket did not take whole.
    rest: Option<Box<Rest>>,
}

enum Tls {
    /// Nothing has come yet: the state of a connection is not small, and many half-open ones would cost.
    Waiting(Arc<ServerConfig>),
    Open(Box<ServerConnection>),
}

struct Rest {
    head: Vec<u8>,
    body: Option<Body>,
    sent: usize,
}

/// What came of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes, and whether there may be more.
    Bytes(usize, bool),
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    End,
}

impl Stream {
    pub(super) fn new(socket: Socket, tls: Option<&Arc<ServerConfig>>) -> Self {
        Self {
            socket,
            tls: tls.map(|config| Tls::Waiting(config.clone())),
            rest: None,
        }
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match &mut self.socket {
            Socket::Tcp(socket) => socket,
            Socket::Unix(socket) => socket,
        }
    }

    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let Some(tls) = &mut self.tls else {
            return Ok(match retry(|| self.socket.read(buffer))? {
                None => Received::Nothing,
                Some(0) => Received::End,
                // A short read has emptied the socket.
                Some(read) => Received::Bytes(read, read == buffer.len()),
            });
        };
        let session = tls.open()?;
        loop {
            match session.reader().read(buffer) {
                Ok(0) => return Ok(Received::End),
                Ok(read) => return Ok(Received::Bytes(read, true)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            match retry(|| session.read_tls(&mut self.socket))? {
                None => return Ok(Received::Nothing),
                Some(0) => return Ok(Received::End),
                Some(_) => {}
            }
            let processed = session.process_new_packets();
            // Its part of the handshake, or an alert that says why there is none.
            write_tls(session, &mut self.socket)?;
            processed.map_err(io::Error::other)?;
        }
    }

    /// Sends an answer, and keeps what the socket does not take. Whether it took everything.
    pub(super) fn send(&mut self, head: &[u8], body: Option<Body>) -> io::Result<bool> {
        let bytes = body.as_ref().map_or(&[][..], Body::as_bytes);
        if let Some(tls) = &mut self.tls {
            let session = tls.open()?;
            session.writer().write_all(head)?;
            session.writer().write_all(bytes)?;
            return write_tls(session, &mut self.socket);
        }
        let sent = self.socket.send(head, bytes)?;
        if sent == head.len() + bytes.len() {
            return Ok(true);
        }
        self.rest = Some(Box::new(Rest {
            head: head.into(),
            body,
            sent,
        }));
        Ok(false)
    }

    /// Whether something waits to be sent.
    pub(super) fn is_blocked(&self) -> bool {
        let in_session = matches!(&self.tls, Some(Tls::Open(session)) if session.wants_write());
        self.rest.is_some() || in_session
    }

    /// Goes on sending. Whether everything is sent.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        if let Some(Tls::Open(session)) = &mut self.tls {
            return write_tls(session, &mut self.socket);
        }
        let Some(rest) = &mut self.rest else {
            return Ok(true);
        };
        let bytes = rest.body.as_ref().map_or(&[][..], Body::as_bytes);
        let head = &rest.head[rest.sent.min(rest.head.len())..];
        let body = &bytes[rest.sent.saturating_sub(rest.head.len())..];
        let left = head.len() + body.len();
        let sent = self.socket.send(head, body)?;
        rest.sent += sent;
        if sent == left {
            self.rest = None;
        }
        Ok(sent == left)
    }

    /// Says that nothing more will be sent.
    pub(super) fn finish(&mut self) {
        if let Some(Tls::Open(session)) = &mut self.tls {
            session.send_close_notify();
            // Who does not take the notice finds the connection closed.
            let _ = write_tls(session, &mut self.socket);
        }
    }

    /// Closes the sending side alone.
    pub(super) fn shut_down(&mut self) {
        self.finish();
        let _ = match &self.socket {
            Socket::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(Shutdown::Write),
        };
    }
}

impl Tls {
    fn open(&mut self) -> io::Result<&mut ServerConnection> {
        if let Self::Waiting(config) = self {
            let mut session = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
            // An answer is taken whole; its size is the handler's.
            session.set_buffer_limit(None);
            *self = Self::Open(Box::new(session));
        }
        match self {
            Self::Open(session) => Ok(session),
            Self::Waiting(_) => Err(ErrorKind::NotConnected.into()),
        }
    }
}

fn write_tls(session: &mut ServerConnection, socket: &mut Socket) -> io::Result<bool> {
    while session.wants_write() {
        if retry(|| session.write_tls(socket))?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `None` where it would block.
fn retry(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A peer that is gone is an error, and no signal, whatever the program makes of SIGPIPE.
#[cfg(not(target_vendor = "apple"))]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
const NO_SIGNAL: SendFlags = SendFlags::empty();

impl Socket {
    /// Sends both parts in one call; how much the kernel took.
    fn send(&self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        let parts = [IoSlice::new(head), IoSlice::new(body)];
        let sent = retry(|| {
            let mut nothing = SendAncillaryBuffer::default();
            Ok(rustix::net::sendmsg(self, &parts, &mut nothing, NO_SIGNAL)?)
        })?;
        Ok(sent.unwrap_or(0))
    }
}

impl io::Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Unix(socket) => socket.read(buffer),
        }
    }
}

impl io::Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(&*self, bytes, NO_SIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
