//! What S3 answers a `PutObject`, in a buffer of the caller's.

use core::fmt;
use core::time::Duration;

use super::xml::{Token, XmlError, XmlReader};
use crate::core::http::{Answer, TooLong};
use crate::core::text::Printable;
use crate::core::time::UnixTime;

/// The object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'b> {
    /// The `ETag`, with its quotes; empty without one.
    pub etag: &'b str,
    /// The server's clock.
    pub date: Option<UnixTime>,
}

/// An answer with an error status, or with an error in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusal<'b> {
    /// The HTTP status.
    pub status: u16,
    /// `AccessDenied`, `SlowDown`… Empty if the answer has none.
    pub code: &'b str,
    /// S3's message for people, as it is in the document. Empty if the answer has none.
    pub message: &'b str,
    /// The server's clock.
    pub date: Option<UnixTime>,
    /// How long to wait, by `Retry-After`.
    pub retry_after: Option<Duration>,
}

/// Codes that mean "too fast" (SDK reference guide, "Retry behavior").
pub(super) const THROTTLING: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
];

impl<'b> Refusal<'b> {
    /// Whether the server asks to be called less often.
    pub fn is_throttling(&self) -> bool {
        self.status == 429 || THROTTLING.contains(&self.code)
    }

    /// Whether the same request may succeed later. With other credentials more may.
    pub fn is_retryable(&self) -> bool {
        self.is_throttling()
            || matches!(self.status, 408 | 500 | 502 | 503 | 504)
            || matches!(self.code, "RequestTimeout" | "RequestTimeoutException")
    }

    /// Whether the clock that signed is wrong by more than a quarter of an hour.
    pub fn is_clock(&self) -> bool {
        self.code == "RequestTimeTooSkewed"
    }

    /// Reads `<Error>` out of a body. What cannot be read is empty.
    pub(super) fn read(&mut self, body: &'b [u8]) {
        let _ = self.read_error(body);
    }

    fn read_error(&mut self, body: &'b [u8]) -> Result<(), XmlError> {
        let mut reader = XmlReader::new(body)?;
        if reader.next_token()? != Some(Token::Start("Error")) {
            return Ok(());
        }
        while let Some(token) = reader.next_token()? {
            match token {
                Token::Start("Code") => self.code = reader.text()?,
                Token::Start("Message") => self.message = reader.text()?,
                Token::Start(_) => drop(reader.text()?),
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 refused with status {}", self.status)?;
        if !self.code.is_empty() {
            write!(f, ", {}", Printable(self.code))?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", Printable(self.message))?;
        }
        Ok(())
    }
}

impl core::error::Error for Refusal<'_> {}

/// Collects an answer. Of a body that is longer than the buffer, the beginning.
pub(super) struct Collected<'b> {
    buffer: &'b mut [u8],
    /// `buffer[..etag_len]` is the ETag, `buffer[etag_len..][..len]` the body.
    etag_len: usize,
    len: usize,
    status: u16,
    date: Option<UnixTime>,
    retry_after: Option<Duration>,
}

impl<'b> Collected<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            etag_len: 0,
            len: 0,
            status: 0,
            date: None,
            retry_after: None,
        }
    }

    pub(super) fn outcome(self) -> Result<Stored<'b>, Refusal<'b>> {
        let (etag, rest) = self.buffer.split_at(self.etag_len);
        let mut refusal = Refusal {
            status: self.status,
            date: self.date,
            retry_after: self.retry_after,
            ..Refusal::default()
        };
        refusal.read(&rest[..self.len]);
        if (200..300).contains(&self.status) && refusal.code.is_empty() {
            Ok(Stored {
                etag: core::str::from_utf8(etag).unwrap_or_default(),
                date: self.date,
            })
        } else {
            Err(refusal)
        }
    }
}

impl Answer for Collected<'_> {
    fn status(&mut self, status: u16) {
        self.status = status;
        self.etag_len = 0;
        self.len = 0;
        self.date = None;
        self.retry_after = None;
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let text = core::str::from_utf8(value).unwrap_or_default();
        if name.eq_ignore_ascii_case("date") {
            self.date = UnixTime::parse_http(text);
        } else if name.eq_ignore_ascii_case("retry-after") {
            self.retry_after = text.parse().ok().map(Duration::from_secs);
        } else if name.eq_ignore_ascii_case("etag")
            && self.len == 0
            && let Some(room) = self.buffer.get_mut(..value.len())
        {
            room.copy_from_slice(value);
            self.etag_len = value.len();
        }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        let room = &mut self.buffer[self.etag_len + self.len..];
        let len = piece.len().min(room.len());
        room[..len].copy_from_slice(&piece[..len]);
        self.len += len;
        Ok(())
    }
}
