//! HTTP/1.1 over any [`embedded_io`] stream: a TLS connection, a modem, a serial line.
//!
//! The head of the request is written while it is formed. The answer's head has to fit into the
//! caller's buffer; its body passes through that buffer in pieces. Sizes are bounded everywhere.

use core::fmt::{self, Write as _};

use embedded_io::{ErrorKind, Read, Write};
use zeroize::Zeroize as _;

use super::answer_head::{Framing, Head, headers};
use super::head::{HeadWriter, body_length, write_head};
use super::{Answer, Body, Request, TooLong, Transport, TransportError};

/// A [`Transport`] over a stream that is already connected. Exchanges follow each other on it for as
/// long as the server keeps it open.
///
/// What passed through the buffer is wiped after each exchange: answers hold credentials.
pub struct StreamTransport<'b, S> {
    stream: S,
    /// Bytes read and not yet used: `buffer[start..end]`.
    buffer: &'b mut [u8],
    start: usize,
    end: usize,
    open: bool,
}

/// Trailers of an answer beyond this number are an error.
const MAX_TRAILERS: usize = 40;

/// Interim answers (1xx) beyond this number are an error.
const MAX_INTERIM: usize = 8;

/// Bytes of trailers and chunk extensions in an answer beyond this number are an error.
const MAX_CHUNK_LINE: usize = 256;

impl<'b, S: Read + Write> StreamTransport<'b, S> {
    /// A transport over `stream`. `buffer` bounds the head of an answer; 2 KiB are enough for AWS.
    pub fn new(stream: S, buffer: &'b mut [u8]) -> Self {
        Self {
            stream,
            buffer,
            start: 0,
            end: 0,
            open: true,
        }
    }

    /// Whether another exchange is possible on this stream.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Gives the stream back.
    pub fn into_stream(self) -> S {
        self.stream
    }

    fn send(&mut self, request: &Request<'_>) -> Result<(), StreamError> {
        let length = body_length(&request.body)?;
        let mut out = HeadWriter::new(&mut self.stream, &mut self.buffer[self.end..]);
        let head = write_head(&mut out, request, length, false);
        let written = head.and_then(|()| match &request.body {
            Body::Bytes(_) => Ok(()),
            Body::Text(text) => write!(out, "{text}"),
        });
        out.finish(written)?;
        if let Body::Bytes(bytes) = request.body {
            self.stream.write_all(bytes).map_err(StreamError::io)?;
        }
        self.stream.flush().map_err(StreamError::io)
    }

    /// Writes the head of `request` alone, for a body of `length` bytes that the caller sends by
    /// [`stream`](Self::stream). With `expect` it asks to be told to go on first (RFC 9110 section 10.1.1).
    ///
    /// # Errors
    /// [`StreamError`]; the stream is of no use then.
    pub fn send_head(
        &mut self,
        request: &Request<'_>,
        length: u64,
        expect: bool,
    ) -> Result<(), StreamError> {
        self.open = false;
        let mut out = HeadWriter::new(&mut self.stream, &mut self.buffer[self.end..]);
        let written = write_head(&mut out, request, length, expect);
        out.finish(written)
    }

    /// The stream itself, to send a body.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// After [`send_head`](Self::send_head): waits to be told to go on. `false` if the whole answer came instead, and
    /// `answer` has seen it: the body is not wanted any more, and the stream of no further use.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn await_continue(
        &mut self,
        method: &str,
        answer: &mut dyn Answer,
    ) -> Result<bool, StreamError> {
        for _ in 0..MAX_INTERIM {
            let head = self.read_head(answer)?;
            if !head.is_interim() {
                let outcome = self.read_body(head, method, answer);
                self.open = false;
                self.wipe(outcome.is_err());
                return outcome.map(|()| false);
            }
            if head.status == 100 {
                return Ok(true);
            }
        }
        Err(StreamError::NotHttp)
    }

    /// After head and body: reads the answer.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn finish(&mut self, method: &str, answer: &mut dyn Answer) -> Result<(), StreamError> {
        let outcome = self.receive(method, answer);
        self.wipe(outcome.is_err());
        outcome
    }

    /// Whether bytes came that belong to no answer that was asked for.
    pub fn has_unread(&self) -> bool {
        self.start < self.end
    }

    /// What was read, and what earlier reads have left behind it; after a failure everything.
    fn wipe(&mut self, failed: bool) {
        if failed {
            self.buffer.zeroize();
        } else {
            self.buffer[..self.start].zeroize();
            self.buffer[self.end..].zeroize();
        }
    }

    /// The next bytes of the stream, into the free end of the buffer.
    fn fill(&mut self) -> Result<(), StreamError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = &mut self.buffer[self.end..];
        if room.is_empty() {
            return Err(StreamError::HeadTooLong);
        }
        let len = self.stream.read(room).map_err(StreamError::io)?;
        if len == 0 {
            return Err(StreamError::Closed);
        }
        self.end += len;
        Ok(())
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads one head, shows it to `answer` unless it is an interim one.
    fn read_head(&mut self, answer: &mut dyn Answer) -> Result<Head, StreamError> {
        loop {
            let unread = self.unread();
            if let Some((head, len)) = Head::read(unread)? {
                if !head.is_interim() {
                    answer.status(head.status);
                    for (name, value) in headers(&unread[..len]) {
                        answer.header(name, value);
                    }
                }
                self.start += len;
                return Ok(head);
            }
            self.fill()?;
        }
    }

    fn receive(&mut self, method: &str, answer: &mut dyn Answer) -> Result<(), StreamError> {
        let mut head = self.read_head(answer)?;
        for _ in 0..MAX_INTERIM {
            if !head.is_interim() {
                break;
            }
            head = self.read_head(answer)?;
        }
        if head.is_interim() {
            return Err(StreamError::NotHttp);
        }
        self.read_body(head, method, answer)
    }

    fn read_body(
        &mut self,
        head: Head,
        method: &str,
        answer: &mut dyn Answer,
    ) -> Result<(), StreamError> {
        let reusable = match head.framing(method) {
            Framing::Length(length) => self.read_length(length, answer).map(|()| true),
            Framing::Chunked => self.read_chunks(answer).map(|()| true),
            Framing::UntilClose => self.read_rest(answer).map(|()| false),
        }?;
        self.open = reusable && !head.close;
        Ok(())
    }

    fn read_length(&mut self, length: u64, answer: &mut dyn Answer) -> Result<(), StreamError> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill()?;
            }
            let here = usize::try_from(left).unwrap_or(usize::MAX);
            let here = here.min(self.end - self.start);
            answer.body(&self.buffer[self.start..self.start + here])?;
            self.start += here;
            left -= here as u64;
        }
        Ok(())
    }

    fn read_chunks(&mut self, answer: &mut dyn Answer) -> Result<(), StreamError> {
        loop {
            let length = loop {
                match httparse::parse_chunk_size(self.unread()) {
                    // To httparse a line without a size is one of zero: the end.
                    Ok(httparse::Status::Complete((len, length)))
                        if self.unread().first().is_some_and(u8::is_ascii_hexdigit) =>
                    {
                        self.start += len;
                        break length;
                    }
                    Ok(httparse::Status::Partial) if self.unread().len() <= MAX_CHUNK_LINE => {
                        self.fill()?;
                    }
                    _ => return Err(StreamError::NotHttp),
                }
            };
            if length == 0 {
                return self.skip_trailers();
            }
            self.read_length(length, answer)?;
            self.skip_line_end()?;
        }
    }

    /// The line end after the data of a chunk.
    fn skip_line_end(&mut self) -> Result<(), StreamError> {
        while self.unread().len() < 2 {
            self.fill()?;
        }
        if !self.unread().starts_with(b"\r\n") {
            return Err(StreamError::NotHttp);
        }
        self.start += 2;
        Ok(())
    }

    fn skip_trailers(&mut self) -> Result<(), StreamError> {
        let mut left = MAX_TRAILERS;
        loop {
            match self.unread().iter().position(|&byte| byte == b'\n') {
                Some(0) => return Err(StreamError::NotHttp),
                Some(1) if self.unread()[0] == b'\r' => {
                    self.start += 2;
                    return Ok(());
                }
                Some(end) if left > 0 => {
                    self.start += end + 1;
                    left -= 1;
                }
                None if self.unread().len() <= MAX_CHUNK_LINE => self.fill()?,
                _ => return Err(StreamError::HeadTooLong),
            }
        }
    }

    fn read_rest(&mut self, answer: &mut dyn Answer) -> Result<(), StreamError> {
        loop {
            answer.body(&self.buffer[self.start..self.end])?;
            self.start = self.end;
            match self.fill() {
                Ok(()) => {}
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

impl<S: Read + Write> Transport for StreamTransport<'_, S> {
    type Error = StreamError;

    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), StreamError> {
        if !self.open {
            return Err(StreamError::Closed);
        }
        // Whatever happens now, half an exchange leaves the stream useless.
        self.open = false;
        let outcome = self
            .send(request)
            .and_then(|()| self.receive(request.method, answer));
        self.wipe(outcome.is_err());
        outcome
    }
}

/// Why an exchange over a stream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream's own error.
    Io(ErrorKind),
    /// The stream ended before the answer did, or an earlier exchange has ended it.
    Closed,
    /// The answer is not HTTP/1.1.
    NotHttp,
    /// The answer's head is longer than the buffer.
    HeadTooLong,
    /// The answer's body is longer than its reader allows.
    BodyTooLong,
    /// A header of the request holds a line break or cannot be written.
    BadHeader,
}

impl StreamError {
    pub(super) fn io(error: impl embedded_io::Error) -> Self {
        Self::Io(error.kind())
    }
}

impl From<TooLong> for StreamError {
    fn from(_: TooLong) -> Self {
        Self::BodyTooLong
    }
}

impl TransportError for StreamError {
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Closed)
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The one that a device meets most, said in words: a device's image may have no names of kinds in it.
            Self::Io(ErrorKind::TimedOut) => f.write_str("the other end did not answer in time"),
            Self::Io(kind) => write!(f, "the connection failed: {kind:?}"),
            Self::Closed => f.write_str("the connection ended before the answer did"),
            Self::NotHttp => f.write_str("the answer is not HTTP/1.1"),
            Self::HeadTooLong => f.write_str("the head of the answer is too long"),
            Self::BodyTooLong => TooLong.fmt(f),
            Self::BadHeader => f.write_str("a header of the request cannot be written"),
        }
    }
}

impl core::error::Error for StreamError {}
