//! A connection: TCP, through a proxy or not, under TLS or not.

use core::time::Duration;
use std::boxed::Box;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::string::ToString as _;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;
use std::{format, vec};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::{Proxy, ProxyProtocol};
use zeroize::Zeroizing;

use crate::host::endpoint::Endpoint;
use crate::host::transport::HttpError;

/// The longest head of a proxy's answer.
const MAX_PROXY_ANSWER: usize = 4 << 10;

/// A connection. Reading and writing fail when nothing moved for as long as it was made with.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, Socket>>),
}

/// How to connect.
pub(super) struct Route<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) proxy: Option<&'a Proxy>,
    /// For all of it: TCP, proxy, TLS.
    pub(super) within: Duration,
    /// How long a connection may stand still.
    pub(super) idle: Duration,
}

impl Socket {
    /// Connects. `tls` is asked for the settings where TLS is needed.
    ///
    /// # Errors
    /// [`HttpError`].
    pub(super) fn connect(
        route: &Route<'_>,
        tls: &mut dyn FnMut() -> Result<Arc<ClientConfig>, HttpError>,
    ) -> Result<Self, HttpError> {
        let deadline = Instant::now() + route.within;
        let (host, port) = host_and_port(route.endpoint);
        let mut socket = match route.proxy {
            None => Self::Plain(tcp(host, port, deadline)?),
            Some(proxy) => {
                let proxy_host = proxy.host().trim_matches(['[', ']']);
                let mut socket = Self::Plain(tcp(proxy_host, proxy.port(), deadline)?);
                match proxy.protocol() {
                    ProxyProtocol::Http => {}
                    ProxyProtocol::Https => {
                        socket = socket.under_tls(proxy_host, tls()?, deadline)?
                    }
                    other => return Err(HttpError::Proxy(format!("{other:?} is not supported"))),
                }
                socket.tunnel(proxy, route.endpoint, port)?;
                socket
            }
        };
        if route.endpoint.tls {
            socket = socket.under_tls(host, tls()?, deadline)?;
        }
        let set = socket.tcp().set_nodelay(true);
        set.and_then(|()| socket.set_idle(route.idle))
            .map_err(HttpError::Connection)?;
        Ok(socket)
    }

    /// How long the connection may stand still from now on.
    ///
    /// # Errors
    /// If that cannot be set: the connection is none any more.
    pub(super) fn set_idle(&self, idle: Duration) -> io::Result<()> {
        let tcp = self.tcp();
        tcp.set_read_timeout(Some(idle))?;
        tcp.set_write_timeout(Some(idle))?;
        // What was sent and nobody confirms: the kernel alone knows. It is no harm where it cannot be set.
        let milliseconds = u32::try_from(idle.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(tcp, milliseconds);
        Ok(())
    }

    /// Whether something can be read without waiting: bytes, or the end.
    pub(super) fn has_input(&mut self) -> bool {
        match self {
            Self::Plain(tcp) => is_readable(tcp, Duration::ZERO),
            Self::Tls(stream) => loop {
                let StreamOwned { conn, sock } = &mut **stream;
                match conn.process_new_packets() {
                    Ok(state) if state.plaintext_bytes_to_read() == 0 => {}
                    _ => return true,
                }
                // What is there may be a message of TLS's own, such as a ticket.
                if !sock.has_input() {
                    return false;
                }
                if !matches!(conn.read_tls(sock), Ok(1..)) {
                    return true;
                }
            },
        }
    }

    /// Waits for input. `false` if there is none within `timeout`.
    pub(super) fn wait_for_input(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            if self.has_input() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !is_readable(self.tcp(), left) {
                return false;
            }
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => stream.sock.tcp(),
        }
    }

    fn under_tls(
        self,
        host: &str,
        config: Arc<ClientConfig>,
        deadline: Instant,
    ) -> Result<Self, HttpError> {
        let host = host.trim_matches(['[', ']']);
        let name = ServerName::try_from(host).map_err(|_| HttpError::BadRequest)?;
        let mut connection = ClientConnection::new(config, name.to_owned())
            .map_err(|error| HttpError::Tls(error.to_string()))?;
        let mut socket = self;
        while connection.is_handshaking() {
            socket.limit(deadline)?;
            let done = connection.complete_io(&mut socket);
            done.map_err(|error| connecting(HttpError::of_io(error)))?;
        }
        let stream = StreamOwned::new(connection, socket);
        Ok(Self::Tls(Box::new(stream)))
    }

    /// Asks a proxy for a tunnel (RFC 9110 section 9.3.6).
    fn tunnel(&mut self, proxy: &Proxy, endpoint: &Endpoint, port: u16) -> Result<(), HttpError> {
        let host = endpoint.host();
        let mut request = Zeroizing::new(format!(
            "CONNECT {host}:{port} HTTP/1.1\r\nhost: {host}:{port}\r\n"
        ));
        if proxy.username().is_some() || proxy.password().is_some() {
            let user = proxy.username().unwrap_or_default();
            let password = proxy.password().unwrap_or_default();
            let pair = Zeroizing::new(format!("{user}:{password}"));
            let pair = Zeroizing::new(STANDARD.encode(pair.as_bytes()));
            request.push_str("proxy-authorization: Basic ");
            request.push_str(&pair);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let sent = self.write_all(request.as_bytes());
        sent.and_then(|()| self.flush()).map_err(HttpError::of_io)?;
        // Byte by byte: what follows the head belongs to the server behind it.
        let mut head = vec![];
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.read_exact(&mut byte)
                .map_err(|error| connecting(HttpError::of_io(error)))?;
            head.push(byte[0]);
            if head.len() > MAX_PROXY_ANSWER {
                return Err(HttpError::Proxy("its answer is too long".into()));
            }
        }
        let mut headers = [httparse::EMPTY_HEADER; 40];
        let mut answer = httparse::Response::new(&mut headers);
        match (answer.parse(&head), answer.code) {
            (Ok(_), Some(200..=299)) => Ok(()),
            (Ok(_), Some(status)) => {
                Err(HttpError::Proxy(format!("it refused with status {status}")))
            }
            _ => Err(HttpError::Proxy("its answer is not HTTP".into())),
        }
    }

    /// Lets what is read and written from now on take no longer than until `deadline`.
    fn limit(&self, deadline: Instant) -> Result<(), HttpError> {
        limit(self.tcp(), deadline)
    }
}

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(out),
            Self::Tls(stream) => stream.read(out),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The host without brackets, and the port.
fn host_and_port(endpoint: &Endpoint) -> (&str, u16) {
    let host = endpoint.host();
    let port = endpoint.authority[host.len()..].strip_prefix(':');
    let port = port.and_then(|port| port.parse().ok());
    let default = if endpoint.tls { 443 } else { 80 };
    (host.trim_matches(['[', ']']), port.unwrap_or(default))
}

/// Tries all addresses of a host until one can be connected to. None of them takes the others' time: behind many a
/// router IPv6 leads nowhere, and without a word.
fn tcp(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, HttpError> {
    let addresses: Vec<_> = (host, port)
        .to_socket_addrs()
        .map_err(|_| HttpError::HostNotFound)?
        .collect();
    let mut last = HttpError::HostNotFound;
    let mut untried = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()) / untried;
        untried -= 1;
        if left.is_zero() {
            return Err(HttpError::Timeout("to connect"));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(tcp) => {
                limit(&tcp, deadline)?;
                return Ok(tcp);
            }
            Err(error) => last = connecting(HttpError::Connection(error)),
        }
    }
    Err(last)
}

fn limit(tcp: &TcpStream, deadline: Instant) -> Result<(), HttpError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(HttpError::Timeout("to connect"));
    }
    let set = tcp.set_read_timeout(Some(left));
    set.and_then(|()| tcp.set_write_timeout(Some(left)))
        .map_err(HttpError::Connection)
}

/// The error of something that is done while connecting.
fn connecting(error: HttpError) -> HttpError {
    match error {
        HttpError::Connection(error) if is_timeout(&error) => HttpError::Timeout("to connect"),
        other => other,
    }
}

/// Whether an error says that nothing moved for too long.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn is_readable(tcp: &TcpStream, timeout: Duration) -> bool {
    let timeout = Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(tcp, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&timeout)) {
            Err(Errno::INTR) => {}
            ready => return matches!(ready, Ok(1..)),
        }
    }
}

/// The text of an error that came out of a connection.
pub(super) fn describe(error: io::Error) -> HttpError {
    if is_timeout(&error) {
        HttpError::Timeout("without a byte moving")
    } else {
        HttpError::of_io(error)
    }
}
