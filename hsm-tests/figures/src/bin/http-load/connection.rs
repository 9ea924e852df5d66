//! A connection, with a request under way.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A connection to the server.
pub struct Connection {
    stream: TcpStream,
    began: Instant,
    answer: Vec<u8>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl Connection {
    /// Connects: on one machine that does not wait for the server.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let began = Instant::now();
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            began,
            answer: Vec::with_capacity(8 << 10),
        })
    }

    /// Sends a request, which is short enough for the socket's buffer. How long the first of a connection
    /// takes, connecting included.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        if self.answer.capacity() == 0 || !self.answer.is_empty() {
            self.answer.clear();
            self.began = Instant::now();
        }
        self.stream.write_all(request)
    }

    /// How long the answer took, if it is here whole.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn receive(&mut self, expect: &str) -> Result<Option<Duration>, String> {
        let mut part = [0; 8 << 10];
        match self.stream.read(&mut part) {
            Ok(0) => return Err("the connection was closed".into()),
            Ok(len) => self.answer.extend_from_slice(&part[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.to_string()),
        }
        let Some(end) = find(&self.answer, b"\r\n\r\n") else {
            return Ok(None);
        };
        let (head, body) = self.answer.split_at(end + 4);
        if !head.starts_with(b"HTTP/1.1 200 ") {
            let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
            return Err(String::from_utf8_lossy(line).into_owned());
        }
        let len = content_length(head).ok_or("an answer without a Content-Length")?;
        if body.len() < len {
            return Ok(None);
        }
        let is_expected = expect.is_empty() || find(body, expect.as_bytes()).is_some();
        if body.len() > len || !is_expected {
            return Err(format!(
                "an answer that is not the one that was expected ({len} bytes)"
            ));
        }
        Ok(Some(self.began.elapsed()))
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
