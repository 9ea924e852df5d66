//! The head of a request, written while it is formed.

use core::fmt::{self, Write as _};

use embedded_io::Write;
use zeroize::Zeroize as _;

use super::stream::StreamError;
use super::{Body, Request};

/// The length of a body in bytes.
pub(super) fn body_length(body: &Body<'_>) -> Result<u64, StreamError> {
    struct Count(u64);
    impl fmt::Write for Count {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len() as u64;
            Ok(())
        }
    }
    match body {
        Body::Bytes(bytes) => Ok(bytes.len() as u64),
        Body::Text(text) => {
            let mut count = Count(0);
            write!(count, "{text}").map_err(|_| StreamError::BadHeader)?;
            Ok(count.0)
        }
    }
}

pub(super) fn write_head<S: Write>(
    out: &mut HeadWriter<'_, S>,
    request: &Request<'_>,
    length: u64,
    expect: bool,
) -> fmt::Result {
    write!(
        Checked(out),
        "{} {} HTTP/1.1",
        request.method,
        request.target
    )?;
    out.write_str("\r\n")?;
    for header in request.all_headers() {
        write!(Checked(out), "{}: {}", header.name, header.value)?;
        out.write_str("\r\n")?;
    }
    if expect {
        out.write_str("expect: 100-continue\r\n")?;
    }
    write!(out, "content-length: {length}\r\n\r\n")
}

/// Gathers small pieces of text in memory of its caller's, and keeps the error that [`fmt::Write`] cannot carry.
pub(super) struct HeadWriter<'s, S> {
    stream: &'s mut S,
    piece: &'s mut [u8],
    len: usize,
    error: Option<StreamError>,
}

impl<'s, S: Write> HeadWriter<'s, S> {
    pub(super) fn new(stream: &'s mut S, piece: &'s mut [u8]) -> Self {
        Self {
            stream,
            piece,
            len: 0,
            error: None,
        }
    }

    fn flush_piece(&mut self) -> fmt::Result {
        let len = core::mem::take(&mut self.len);
        let (stream, piece) = (&mut self.stream, &self.piece[..len]);
        stream.write_all(piece).map_err(|error| {
            self.error = Some(StreamError::io(error));
            fmt::Error
        })
    }

    pub(super) fn finish(mut self, written: fmt::Result) -> Result<(), StreamError> {
        let outcome = written.and_then(|()| self.flush_piece());
        // Heads hold session tokens.
        self.piece.zeroize();
        outcome.map_err(|fmt::Error| self.error.unwrap_or(StreamError::BadHeader))
    }
}

impl<S: Write> fmt::Write for HeadWriter<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let room = &mut self.piece[self.len..];
            let here = rest.len().min(room.len());
            if here == 0 {
                // A caller without memory has none to gather in.
                if self.piece.is_empty() {
                    let sent = self.stream.write_all(rest);
                    return sent.map_err(|error| {
                        self.error = Some(StreamError::io(error));
                        fmt::Error
                    });
                }
                self.flush_piece()?;
                continue;
            }
            let (now, later) = rest.split_at(here);
            room[..here].copy_from_slice(now);
            self.len += here;
            rest = later;
        }
        Ok(())
    }
}

/// Lets no line break into a line: a value that holds one would become another header.
struct Checked<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for Checked<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return Err(fmt::Error);
        }
        self.0.write_str(text)
    }
}
