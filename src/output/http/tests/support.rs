//! A server on a thread of its own, and a client that says just what it is told to.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::string::{String, ToString as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::vec;
use std::vec::Vec;
use std::{assert, format, panic};

use zeroize::Zeroizing;

use super::super::{Body, Handler, Limits, Listener, Outcome, Request, Response, Server, Waker};

/// Long enough for everything that is to happen, however busy the machine is.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is stopped, and has ended in order, when this is dropped.
pub struct Running {
    pub waker: Waker,
    pub addresses: Vec<Option<SocketAddr>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(
        listeners: Vec<Listener>,
        limits: Limits,
        handler: impl Handler + Send + 'static,
    ) -> Self {
        let count = listeners.len();
        let mut server = Server::new(listeners, limits).unwrap();
        let addresses = (0..count).map(|index| server.local_addr(index)).collect();
        let waker = server.waker();
        let mut handler = handler;
        let thread = thread::spawn(move || server.run(&mut handler).unwrap());
        Self {
            waker,
            addresses,
            thread: Some(thread),
        }
    }

    /// One listener on the loopback address.
    pub fn plain(limits: Limits, handler: impl Handler + Send + 'static) -> Self {
        Self::start(vec![loopback()], limits, handler)
    }

    pub fn client(&self) -> Client<TcpStream> {
        Client::connect(self.addresses[0].unwrap())
    }

    /// Waits until the server has ended.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.waker.stop();
        self.join();
    }
}

pub fn loopback() -> Listener {
    Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap()
}

/// Answers with what the request was. `/wait` waits until it is the last time, `/big` has a long answer.
pub struct Echo;

impl Handler for Echo {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        let text = match request.path {
            "/wait" if !request.is_last => return Outcome::Wait,
            "/big" => "x".repeat(8 << 20),
            path => format!(
                "{} {path} {}",
                request.method,
                request.query.unwrap_or_default()
            ),
        };
        Outcome::Done(Response::new(
            200,
            "text/plain",
            Body::Text(Zeroizing::new(text)),
        ))
    }
}

/// Is [`Echo`], and says on a channel what it is asked.
pub struct Told(Sender<String>);

impl Handler for Told {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        // The test may be over.
        let _ = self.0.send(request.path.to_string());
        Echo.handle(request)
    }
}

pub fn told() -> (Told, Receiver<String>) {
    let (sender, receiver) = mpsc::channel();
    (Told(sender), receiver)
}

/// Waits until the handler has been asked for this.
pub fn await_asked(asked: &Receiver<String>, path: &str) {
    while asked.recv_timeout(PATIENCE).unwrap() != path {}
}

pub struct Client<S> {
    pub stream: S,
    read: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn closes(&self) -> bool {
        self.head.contains("\r\nConnection: close\r\n")
    }
}

impl Client<TcpStream> {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        self.answer()
    }

    /// What is said to these bytes.
    pub fn ask(&mut self, bytes: &str) -> Answer {
        self.send(bytes);
        self.answer()
    }

    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more(), "the body ends early");
        }
        let body = self.read.drain(..length).collect();
        Answer {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// The head of an answer alone, as it comes to a HEAD.
    pub fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more(), "no answer, only {:?}", self.read);
        };
        let head = self.read.drain(..end).collect();
        String::from_utf8(head).unwrap()
    }

    /// Whether the server has closed the connection, without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.read.is_empty() && !self.more()
    }

    /// Reads once. Whether something came.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(read) => {
                self.read.extend_from_slice(&buffer[..read]);
                read > 0
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("the server says nothing: {error}"),
        }
    }
}
