//! A server that does what a test says, byte by byte.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use keystead::host::endpoint::Endpoint;
use keystead::host::s3::{Bucket, Client, Place};
use keystead::host::transport::TransportOptions;

use super::support::client;

pub struct Server {
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Runs `script` with the connections that come.
    pub fn start(script: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            thread: Some(std::thread::spawn(move || script(&listener))),
        }
    }

    /// Serves one connection.
    pub fn once(script: impl FnOnce(&mut Connection) + Send + 'static) -> Self {
        Self::start(|listener| script(&mut Connection::accept(listener)))
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn client(&self) -> Client {
        let place = Place {
            region: "us-east-1".into(),
            endpoint: Some(Endpoint::custom(&format!("http://{}", self.address)).unwrap()),
            ..Place::default()
        };
        client(
            Bucket::new("logs", &place).unwrap(),
            &TransportOptions::default(),
        )
    }

    /// Waits for the script's end, and fails if it failed.
    pub fn finish(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// A request, as far as it came.
#[derive(Debug, Default)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn length(&self) -> usize {
        self.header("content-length").unwrap().parse().unwrap()
    }
}

impl Connection {
    pub fn accept(listener: &TcpListener) -> Self {
        Self {
            stream: BufReader::new(listener.accept().unwrap().0),
        }
    }

    pub fn head(&mut self) -> Seen {
        let mut lines = (&mut self.stream).lines().map(Result::unwrap);
        let line = lines.next().unwrap();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                (name.to_owned(), value.to_owned())
            })
            .collect();
        Seen { line, headers }
    }

    pub fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        body
    }

    /// A whole request.
    pub fn request(&mut self) -> (Seen, Vec<u8>) {
        let head = self.head();
        let body = self.body(head.length());
        (head, body)
    }

    /// Whether the other end has nothing more to say.
    pub fn is_at_end(&mut self) -> bool {
        // A connection that is reset has ended, too.
        !matches!(self.stream.fill_buf(), Ok([_, ..]))
    }

    /// Passes over what came.
    pub fn skip(&mut self) {
        let len = self.stream.buffer().len();
        self.stream.consume(len);
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Whether the other end still listens.
    pub fn try_say(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// An answer with a length.
    pub fn answer(&mut self, status: &str, headers: &str, body: &str) {
        let length = body.len();
        self.say(
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        );
    }
}
