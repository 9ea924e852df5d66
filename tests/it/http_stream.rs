//! HTTP/1.1 over an `embedded_io` stream: in memory, a few bytes at a time, and over TCP.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use embedded_io_adapters::std::FromStd;
use keystead::core::http::stream::{StreamError, StreamTransport};
use keystead::core::http::{Answer, Body, Header, Request, TooLong, Transport as _};
use proptest::prelude::*;

/// A stream that gives `answer` in pieces of `piece` bytes, and keeps what is written.
struct Memory<'a> {
    answer: &'a [u8],
    piece: usize,
    written: Vec<u8>,
}

impl ErrorType for Memory<'_> {
    type Error = ErrorKind;
}

impl Read for Memory<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize, ErrorKind> {
        let len = out.len().min(self.piece).min(self.answer.len());
        let (now, later) = self.answer.split_at(len);
        out[..len].copy_from_slice(now);
        self.answer = later;
        Ok(len)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let len = bytes.len().min(self.piece);
        self.written.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// Everything that was shown of an answer.
#[derive(Debug, Default, PartialEq)]
struct Shown {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

const LONGEST_BODY: usize = 100;

impl Answer for Shown {
    fn status(&mut self, status: u16) {
        self.status = status;
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let value = String::from_utf8_lossy(value).into_owned();
        self.headers.push((name.to_owned(), value));
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.body.len() + piece.len() > LONGEST_BODY {
            return Err(TooLong);
        }
        self.body.push_str(&String::from_utf8_lossy(piece));
        Ok(())
    }
}

const GET: Request<'static> = Request {
    method: "GET",
    target: "/",
    headers: &[],
    body: Body::Bytes(b""),
};

/// The outcome of one exchange, and whether the stream is still open after it.
fn receive(method: &str, answer: &[u8], piece: usize) -> (Result<Shown, StreamError>, bool) {
    let mut buffer = [0; 96];
    let stream = Memory {
        answer,
        piece,
        written: Vec::new(),
    };
    let mut transport = StreamTransport::new(stream, &mut buffer);
    let mut shown = Shown::default();
    let outcome = transport.exchange(&Request { method, ..GET }, &mut shown);
    (outcome.map(|()| shown), transport.is_open())
}

#[test]
fn nothing_of_an_answer_stays_in_the_buffer() {
    let body = "S".repeat(LONGEST_BODY);
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONGEST_BODY}\r\n\r\n{body}");
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{body}");
    let chunked =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n{body}\r\n0\r\n\r\n");
    for answer in [length, until_close, chunked] {
        for piece in 1..answer.len() {
            let mut buffer = [0; 96];
            let stream = Memory {
                answer: answer.as_bytes(),
                piece,
                written: Vec::new(),
            };
            let mut shown = Shown::default();
            let outcome = StreamTransport::new(stream, &mut buffer).exchange(&GET, &mut shown);
            assert_eq!((outcome, &shown.body), (Ok(()), &body));
            assert!(!buffer.contains(&b'S'), "{answer:?} by {piece}");
        }
    }
}

#[test]
fn the_request_on_the_wire() {
    let mut buffer = [0; 64];
    let stream = Memory {
        answer: b"HTTP/1.1 204 No Content\r\n\r\n",
        piece: 7,
        written: Vec::new(),
    };
    let mut transport = StreamTransport::new(stream, &mut buffer);
    let long = "x".repeat(1000);
    let headers = [
        Header {
            name: "Host",
            value: &"sensor.example:8443",
        },
        Header {
            name: "X-Long",
            value: &long,
        },
    ];
    let request = Request {
        method: "POST",
        target: "/sessions",
        headers: &[&headers],
        body: Body::Text(&format_args!("{{{}}}", 7)),
    };
    transport.exchange(&request, &mut Shown::default()).unwrap();
    let written = String::from_utf8(transport.into_stream().written).unwrap();
    assert_eq!(
        written,
        format!(
            "POST /sessions HTTP/1.1\r\nHost: sensor.example:8443\r\nX-Long: {long}\r\ncontent-length: 3\r\n\r\n{{7}}"
        )
    );
}

#[test]
fn no_line_break_gets_into_the_head() {
    for (target, value) in [("/\r\nX: y", "a"), ("/", "a\r\nX: y"), ("/", "a\n")] {
        let mut buffer = [0; 64];
        let stream = Memory {
            answer: b"",
            piece: 99,
            written: Vec::new(),
        };
        let mut transport = StreamTransport::new(stream, &mut buffer);
        let headers = [Header {
            name: "X-A",
            value: &value,
        }];
        let request = Request {
            target,
            headers: &[&headers],
            ..GET
        };
        let outcome = transport.exchange(&request, &mut Shown::default());
        assert_eq!(outcome, Err(StreamError::BadHeader));
        assert!(!transport.is_open());
    }
}

#[test]
fn answers_in_pieces_of_any_size() {
    let answers: [(&str, &[u8], &str, bool); 6] = [
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA:  b \r\n\r\nhello", "hello", true),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n", "hello", true),
        ("GET", b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello", "hello", false),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\nhello", "hello", false),
        ("GET", b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\nA: b\r\n\r\n", "", false),
        ("HEAD", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\n", "", true),
    ];
    for (method, answer, body, open) in answers {
        for piece in 1..=answer.len() {
            let (outcome, is_open) = receive(method, answer, piece);
            let shown = outcome.unwrap();
            assert_eq!((shown.status, shown.body.as_str()), (200, body), "{piece}");
            assert!(shown.headers.contains(&("A".to_owned(), "b".to_owned())));
            assert_eq!(is_open, open, "{}", String::from_utf8_lossy(answer));
        }
    }
}

#[test]
fn answers_that_are_refused() {
    let long_head = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(200));
    let long_body = format!("HTTP/1.1 200 OK\r\n\r\n{}", "y".repeat(LONGEST_BODY + 1));
    let long_extension = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}",
        "y".repeat(300)
    );
    let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(20);
    for (answer, error) in [
        ("", StreamError::Closed),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
            StreamError::Closed,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            StreamError::Closed,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n\r\n",
            StreamError::NotHttp,
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", StreamError::NotHttp),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
            StreamError::NotHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
            StreamError::NotHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            StreamError::NotHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            StreamError::NotHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            StreamError::NotHttp,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello",
            StreamError::NotHttp,
        ),
        (&long_head, StreamError::HeadTooLong),
        (&long_body, StreamError::BodyTooLong),
        (&long_extension, StreamError::HeadTooLong),
        (&interim, StreamError::NotHttp),
    ] {
        let (outcome, open) = receive("GET", answer.as_bytes(), 1000);
        assert_eq!(outcome, Err(error), "{answer}");
        assert!(!open);
    }
}

#[test]
fn several_exchanges_over_one_tcp_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for round in 0..3 {
            let mut seen = Vec::new();
            let mut byte = [0];
            while !seen.ends_with(b"\r\n\r\n") {
                stream.read_exact(&mut byte).unwrap();
                seen.push(byte[0]);
            }
            let close = if round == 2 {
                "Connection: close\r\n"
            } else {
                ""
            };
            write!(
                stream,
                "HTTP/1.1 200 OK\r\n{close}Content-Length: 1\r\n\r\n{round}"
            )
            .unwrap();
        }
    });
    let mut buffer = [0; 128];
    let stream = FromStd::new(TcpStream::connect(address).unwrap());
    let mut transport = StreamTransport::new(stream, &mut buffer);
    for round in 0..3 {
        let mut shown = Shown::default();
        transport.exchange(&GET, &mut shown).unwrap();
        assert_eq!(shown.body, round.to_string());
    }
    let outcome = transport.exchange(&GET, &mut Shown::default());
    assert_eq!(outcome, Err(StreamError::Closed));
    server.join().unwrap();
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(answer: Vec<u8>, piece in 1..50usize) {
        let _ = receive("GET", &answer, piece);
    }

    #[test]
    fn no_damaged_answer_makes_it_panic(at in 0..90usize, byte: u8, piece in 1..50usize) {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: u\r\n\r\n".to_vec();
        let at = at % answer.len();
        answer[at] = byte;
        let _ = receive("GET", &answer, piece);
    }
}
