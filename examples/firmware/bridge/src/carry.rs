//! The bridge: takes HTTP requests from a serial line, and has one of keystead's transports carry them to a service.
//!
//! The line is not encrypted. Whoever listens to it, or runs this, sees the session's credentials, and can change what
//! is not signed: answers above all.
//!
//! Requests are answered one after the other, in their order. A request with the header `x-line-mark` gets it back in
//! its answer: so a device that has given up waiting, or was restarted, knows a late answer from the one that it asks for.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use keystead::core::http::{Answer, Body, Header, Request, TooLong, Transport};
use keystead::core::text::JsonString;

/// No device of ours sends or takes a head or a body that is longer.
const MAX_LEN: usize = 64 << 10;

/// The header that is the line's own.
const MARK: &str = "x-line-mark";

/// Serves the line until its other end is gone. `transport` gives what carries requests to a host. What is no request
/// is passed over: half of one, from a device that was restarted, or noise.
///
/// # Errors
/// The line's.
pub fn serve<T: Transport<Error: fmt::Display>>(
    line: impl Read + Write,
    mut transport: impl FnMut(&str) -> T,
) -> io::Result<()> {
    let mut line = BufReader::new(line);
    while let Some(request) = Received::read(&mut line)? {
        let headers: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| Header { name, value })
            .collect();
        let outgoing = Request {
            method: &request.method,
            target: &request.target,
            headers: &[&headers],
            body: Body::Bytes(&request.body),
        };
        let mut answer = Collected::default();
        if let Err(error) = transport(request.host()).exchange(&outgoing, &mut answer) {
            answer = Collected::bad_gateway(&error.to_string());
        }
        let line = line.get_mut();
        line.write_all(&answer.into_bytes(&request))?;
        line.flush()?;
    }
    Ok(())
}

/// Serves the line of a device that speaks TLS itself: carries bytes to one connection, and from it, until the line's
/// other end is gone.
///
/// # Errors
/// Those of the line and the connection.
pub fn pipe(line: &UnixStream, connection: &TcpStream) -> io::Result<()> {
    thread::scope(|scope| {
        let (mut from, mut to) = (connection, line);
        let answers = scope.spawn(move || io::copy(&mut from, &mut to));
        let (mut from, mut to) = (line, connection);
        let sent = io::copy(&mut from, &mut to);
        // The other direction ends with it.
        connection.shutdown(Shutdown::Both)?;
        sent.and(answers.join().expect("io::copy does not panic"))?;
        Ok(())
    })
}

/// A request as it came, without its length, which transports set.
struct Received {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    /// What the answer is to be known by.
    mark: Option<String>,
    body: Vec<u8>,
}

impl Received {
    /// The next request; `None` at the end of the line.
    fn read(line: &mut impl BufRead) -> io::Result<Option<Self>> {
        loop {
            match Self::read_here(line) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                outcome => return outcome,
            }
        }
    }

    /// The request that begins here.
    fn read_here(line: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = line.take(MAX_LEN as u64);
        let Some(first) = text_line(&mut head)? else {
            return Ok(None);
        };
        let mut words = first.split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(invalid("no request line of HTTP/1.1"));
        };
        let mut headers = Vec::new();
        let (mut len, mut mark) = (0, None);
        loop {
            let header = text_line(&mut head)?.ok_or_else(|| invalid("half a head"))?;
            if header.is_empty() {
                break;
            }
            let colon = header.split_once(':');
            let (name, value) = colon.ok_or_else(|| invalid("a header without a colon"))?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                len = value.parse().map_err(|_| invalid("a length"))?;
            } else if name.eq_ignore_ascii_case(MARK) {
                mark = Some(value.to_owned());
            } else {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        if len > MAX_LEN {
            return Err(invalid("more than 64 KiB"));
        }
        let mut body = vec![0; len];
        line.read_exact(&mut body)?;
        Ok(Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            mark,
            body,
        }))
    }

    fn host(&self) -> &str {
        let mut headers = self.headers.iter();
        let host = headers.find(|(name, _)| name.eq_ignore_ascii_case("host"));
        host.map_or("", |(_, value)| value)
    }
}

/// The next line, without its end; `None` if the other end is gone.
fn text_line(head: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    match line.strip_suffix("\r\n") {
        Some(line) => Ok(Some(line.to_owned())),
        None => Err(invalid(
            "a line without an end, or a head of more than 64 KiB",
        )),
    }
}

fn invalid(what: &str) -> io::Error {
    let what = format!("the device sent what is no request: {what}");
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// An answer, to be sent with its length: a serial line has no end that could stand for it.
#[derive(Default)]
struct Collected {
    status: u16,
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Collected {
    /// What the device is told when the service was not reached.
    fn bad_gateway(why: &str) -> Self {
        let body = format!(r#"{{"code":"BadGateway","message":{}}}"#, JsonString(why));
        Self {
            status: 502,
            head: Vec::new(),
            body: body.into_bytes(),
        }
    }

    fn into_bytes(mut self, request: &Received) -> Vec<u8> {
        // RFC 9110 section 9.3.2: what followed would be taken for the next answer.
        if request.method == "HEAD" {
            self.body.clear();
        }
        let mut bytes = format!("HTTP/1.1 {} \r\n", self.status).into_bytes();
        bytes.extend(self.head);
        if let Some(mark) = &request.mark {
            bytes.extend(format!("{MARK}: {mark}\r\n").into_bytes());
        }
        bytes.extend(format!("content-length: {}\r\n\r\n", self.body.len()).into_bytes());
        bytes.extend(self.body);
        bytes
    }
}

impl Answer for Collected {
    fn status(&mut self, status: u16) {
        *self = Self {
            status,
            ..Self::default()
        };
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        // These are about the connection that ends here (RFC 9110 section 7.6.1), or about the length.
        const OWN: [&str; 5] = [
            "connection",
            "content-length",
            "keep-alive",
            "transfer-encoding",
            MARK,
        ];
        if !OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                self.head.extend(part);
            }
        }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.body.len() + piece.len() > MAX_LEN {
            return Err(TooLong);
        }
        self.body.extend(piece);
        Ok(())
    }
}
