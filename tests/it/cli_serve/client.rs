//! The requests of programs, byte for byte.

use core::time::Duration;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The head, with its lines.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn read(stream: &mut impl Read) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{text}"));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("{head}")),
            head: head.into(),
            body: body.into(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }
}

/// `HOST:PORT` and path of a URL.
pub fn parts(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").expect("a URL").1;
    let end = rest.find('/').unwrap_or(rest.len());
    rest.split_at(end)
}

/// A request on a connection of its own, as bytes. `Host` is that of the URL, unless `headers` have one.
pub fn request(method: &str, url: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let (host, path) = parts(url);
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "Host") {
        text += &format!("Host: {host}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}

/// Asks, and gives the answer.
#[track_caller]
pub fn ask(method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
    let mut stream = TcpStream::connect(parts(url).0).expect("it listens");
    let limit = Some(Duration::from_secs(30));
    stream.set_read_timeout(limit).expect("a limit");
    stream
        .write_all(&request(method, url, headers))
        .expect("a reader");
    Answer::read(&mut stream)
}
