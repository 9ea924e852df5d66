//! One request and its answer over a connection that is kept: a body that is streamed, an answer that may come
//! before all of it is sent.

use core::time::Duration;
use std::io::{self, Read, Write as _};
use std::string::ToString as _;
use std::sync::Arc;
use std::time::Instant;
use std::vec;
use std::vec::Vec;

use embedded_io::ErrorType;
use rustix::net::sockopt;
use rustls::ClientConfig;
use ureq::Proxy;
use zeroize::Zeroizing;

use super::reply::Reply;
use super::socket::{self, Route, Socket};
use crate::core::http::stream::{StreamError, StreamTransport};
use crate::core::http::{Request, TransportError as _};
use crate::host::clock::HostClock;
use crate::host::endpoint::Endpoint;
use crate::host::tls::{self, Trust};
use crate::host::transport::{HttpError, TransportOptions};

/// How long a connection may stand still.
pub(super) const IDLE: Duration = Duration::from_secs(60);

/// From this length on the server is asked before a body is sent: what it refuses need not go over a thin link.
const ASK_FIRST: u64 = 1 << 20;

/// How long a server has to say that it wants the body. Those that never say so are not asked again.
const CONTINUE_WITHIN: Duration = Duration::from_secs(2);

/// After a connection broke while a body was sent: how long to look for the answer that the server may have sent
/// before it closed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Bytes that are handed to a connection at once.
const PIECE: usize = 64 << 10;

/// The longest head of an answer; S3's have about 1 KiB.
const MAX_HEAD: usize = 8 << 10;

/// What was read of a body goes out after this long, however little it is: a body may be made to come slowly, and
/// servers do not wait for ever.
const GATHER: Duration = Duration::from_millis(500);

/// What the kernel has taken and not yet sent is given the time that a link of this rate needs, in bytes a second…
const THIN_LINK: u64 = 4 << 10;

/// … but not longer than so many times what a connection may stand still.
const MAX_PATIENCE: u64 = 4;

/// A connection to one endpoint, made when it is needed.
pub(super) struct Wire {
    endpoint: Endpoint,
    trust: Trust,
    proxy: Option<Proxy>,
    connect_timeout: Duration,
    idle: Duration,
    clock: Arc<HostClock>,
    config: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    /// For heads of answers.
    buffer: Zeroizing<Vec<u8>>,
    /// Whether the server has said `100 Continue`, or was not asked yet.
    continues: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    Http(HttpError),
    /// The body could not be read.
    Content(io::Error),
}

impl Wire {
    /// # Errors
    /// [`HttpError::Proxy`] if the proxy's URL cannot be used.
    pub(super) fn new(
        endpoint: Endpoint,
        options: &TransportOptions,
        clock: Arc<HostClock>,
    ) -> Result<Self, HttpError> {
        Ok(Self {
            endpoint,
            trust: options.trust.clone(),
            proxy: options.proxy()?,
            connect_timeout: options.connect_timeout,
            idle: IDLE,
            clock,
            config: None,
            connection: None,
            buffer: Zeroizing::new(vec![0; MAX_HEAD]),
            continues: true,
        })
    }

    pub(super) fn idle(&self) -> Duration {
        self.idle
    }

    pub(super) fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
        self.connection = self.connection.take().filter(|connection| {
            // One that cannot be set is closed.
            connection.socket.set_idle(idle).is_ok()
        });
    }

    /// Whether the other end is who it claims to be.
    pub(super) fn verifies_server(&self) -> bool {
        self.endpoint.tls && self.trust != Trust::Anyone
    }

    /// Sends `request` with `length` bytes out of `body`, and reads the answer.
    ///
    /// # Errors
    /// [`Failure`].
    pub(super) fn exchange(
        &mut self,
        request: &Request<'_>,
        body: &mut dyn Read,
        length: u64,
    ) -> Result<Reply, Failure> {
        // What is there to read on a connection that nothing was asked on is its end.
        let kept = self.connection.take();
        let kept = kept.and_then(|mut kept| (!kept.socket.has_input()).then_some(kept));
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        connection.idle = self.idle;
        let mut reply = Reply::default();
        let ask_first = self.continues && length >= ASK_FIRST;
        let mut exchange = Exchange {
            transport: StreamTransport::new(&mut connection, &mut self.buffer),
            request,
            reply: &mut reply,
            continued: None,
        };
        let outcome = exchange.run(body, length, ask_first);
        if exchange.continued == Some(false) {
            self.continues = false;
        }
        let reusable = exchange.transport.is_open() && !exchange.transport.has_unread();
        match outcome {
            Ok(()) => {}
            Err(Stopped::Content(error)) => return Err(Failure::Content(error)),
            Err(Stopped::Stream(error)) => {
                return Err(Failure::Http(connection.explain(error)));
            }
        }
        if reply.status == 417 {
            // RFC 9110 section 15.5.18: somebody on the way does not know how to go on.
            self.continues = false;
        }
        if reusable {
            self.connection = Some(connection);
        }
        Ok(reply)
    }

    fn connect(&mut self) -> Result<Connection, Failure> {
        let route = Route {
            endpoint: &self.endpoint,
            proxy: self.proxy.as_ref(),
            within: self.connect_timeout,
            idle: self.idle,
        };
        let mut tls = || match &mut self.config {
            Some(config) => Ok(config.clone()),
            none => {
                let config = tls::client_config(&self.trust, self.clock.clone())
                    .map_err(|error| HttpError::Roots(error.to_string()))?;
                Ok(none.insert(Arc::new(config)).clone())
            }
        };
        let socket = Socket::connect(&route, &mut tls).map_err(Failure::Http)?;
        Ok(Connection {
            socket,
            out: Zeroizing::new(Vec::with_capacity(PIECE)),
            idle: self.idle,
            patience: 0,
            failure: None,
        })
    }
}

/// Why an exchange stopped.
enum Stopped {
    Stream(StreamError),
    Content(io::Error),
}

impl From<StreamError> for Stopped {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// An exchange under way.
struct Exchange<'a, 'c> {
    transport: StreamTransport<'a, &'c mut Connection>,
    request: &'a Request<'a>,
    reply: &'a mut Reply,
    /// Whether the server said `100 Continue`, if it was asked.
    continued: Option<bool>,
}

impl Exchange<'_, '_> {
    fn run(&mut self, body: &mut dyn Read, length: u64, ask_first: bool) -> Result<(), Stopped> {
        self.transport.send_head(self.request, length, ask_first)?;
        if ask_first {
            self.transport.stream().send()?;
            if self
                .transport
                .stream()
                .socket
                .wait_for_input(CONTINUE_WITHIN)
            {
                if !self.goes_on()? {
                    return Ok(());
                }
                self.continued = Some(true);
            } else {
                self.continued = Some(false);
            }
        }
        match self.send_body(body, length) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(Stopped::Stream(error)) => return self.last_words(error),
            Err(error) => return Err(error),
        }
        self.transport.stream().be_patient(length);
        self.transport.finish(self.request.method, self.reply)?;
        Ok(())
    }

    /// Reads what the server has to say before it has everything. `false` if that was its answer.
    fn goes_on(&mut self) -> Result<bool, StreamError> {
        self.transport
            .await_continue(self.request.method, self.reply)
    }

    /// Sends the body, and what is left of the head. `false` if the answer came before the end.
    fn send_body(&mut self, body: &mut dyn Read, length: u64) -> Result<bool, Stopped> {
        let mut left = length;
        loop {
            let connection = self.transport.stream();
            left -= connection.take(body, left).map_err(Stopped::Content)?;
            // Of a body in one piece nothing can be saved.
            let early = connection.socket.has_input() || self.transport.has_unread();
            if left > 0 && early && !self.goes_on()? {
                return Ok(false);
            }
            self.transport.stream().send()?;
            if left == 0 {
                return Ok(true);
            }
        }
    }

    /// A server that refuses a body may close the connection behind its answer.
    fn last_words(&mut self, error: StreamError) -> Result<(), Stopped> {
        let connection = self.transport.stream();
        connection.out.clear();
        let failure = connection.failure.take();
        if connection.socket.wait_for_input(LAST_WORDS)
            && self
                .transport
                .finish(self.request.method, self.reply)
                .is_ok()
        {
            return Ok(());
        }
        let connection = self.transport.stream();
        connection.failure = failure.or_else(|| connection.failure.take());
        Err(error.into())
    }
}

/// A connection with what is still to be sent on it.
struct Connection {
    socket: Socket,
    /// The head of a request, and pieces of its body: they hold the session token.
    out: Zeroizing<Vec<u8>>,
    idle: Duration,
    /// How often a read that waited in vain waits again.
    patience: u64,
    /// The last error, whole.
    failure: Option<io::Error>,
}

impl Connection {
    /// Takes at most `left` bytes of the body, as many as there is room for.
    fn take(&mut self, body: &mut dyn Read, left: u64) -> io::Result<u64> {
        let mut taken = 0;
        let started = Instant::now();
        while taken < left && self.out.len() < PIECE && started.elapsed() < GATHER {
            let at = self.out.len();
            let room = usize::try_from(left - taken).unwrap_or(PIECE);
            self.out.resize(PIECE.min(at + room), 0);
            let read = body.read(&mut self.out[at..]);
            let len = match &read {
                Ok(len) => *len,
                Err(_) => 0,
            };
            self.out.truncate(at + len);
            match read {
                Ok(0) => {
                    let missing = "there is less of it than there was";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, missing));
                }
                Ok(len) => taken += len as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Sends what was collected.
    fn send(&mut self) -> Result<(), StreamError> {
        let sent = self.socket.write_all(&self.out);
        self.out.clear();
        let sent = sent.and_then(|()| self.socket.flush());
        sent.map_err(|error| StreamError::Io(embedded_io::Error::kind(&self.fail(error))))
    }

    /// Before an answer to a body of `length` bytes: a part of it is still in the kernel, which has its own eye on
    /// whether it moves.
    fn be_patient(&mut self, length: u64) {
        let queue = sockopt::socket_send_buffer_size(self.socket.tcp()).unwrap_or_default();
        let queued = length.min(queue as u64);
        let seconds = queued / THIN_LINK;
        self.patience = (seconds / self.idle.as_secs().max(1)).min(MAX_PATIENCE);
    }

    fn fail(&mut self, error: io::Error) -> IoError {
        let kind = IoError(error.kind());
        self.failure = Some(error);
        kind
    }

    /// What an error of the transport was about.
    fn explain(&mut self, error: StreamError) -> HttpError {
        match (error, self.failure.take()) {
            (StreamError::Io(_), Some(error)) => socket::describe(error),
            (StreamError::BodyTooLong, _) => HttpError::TooLong,
            (StreamError::BadHeader, _) => HttpError::BadRequest,
            (error, _) if error.is_retryable() => {
                HttpError::Connection(io::ErrorKind::UnexpectedEof.into())
            }
            (error, _) => HttpError::NotHttp(error.to_string()),
        }
    }
}

/// What the core wants to know of an error.
#[derive(Debug)]
struct IoError(io::ErrorKind);

impl core::fmt::Display for IoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl core::error::Error for IoError {}

impl embedded_io::Error for IoError {
    fn kind(&self) -> embedded_io::ErrorKind {
        embedded_io::ErrorKind::Other
    }
}

impl ErrorType for Connection {
    type Error = IoError;
}

impl embedded_io::Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        if self.out.len() + bytes.len() > PIECE {
            self.send().map_err(|_| IoError(io::ErrorKind::Other))?;
        }
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), IoError> {
        self.send().map_err(|_| IoError(io::ErrorKind::Other))
    }
}

impl embedded_io::Read for Connection {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        loop {
            match self.socket.read(out) {
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if socket::is_timeout(&error) && self.patience > 0 => {
                    self.patience -= 1;
                }
                // A server that ends TLS without a word has ended the connection all the same: what is missing of
                // the answer shows.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(self.fail(error)),
            }
        }
    }
}
