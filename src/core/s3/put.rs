//! `PutObject` in one request.

use core::fmt::{self, Write as _};

use super::answer::{Collected, Refusal, Stored};
use super::{Credentials, ObjectPath, S3Request, Unsignable};
use crate::core::http::{Body, Header, Transport, TransportError};
use crate::core::sigv4::{Payload, hash_body};
use crate::core::text::Base64Text;
use crate::core::time::Clock;

/// An object to store.
#[derive(Clone, Copy)]
pub struct Put<'a> {
    /// The value of the `Host` header: `bucket.s3.eu-west-1.amazonaws.com`.
    pub host: &'a str,
    /// The region to sign for.
    pub region: &'a str,
    /// Where it goes. The bucket is named here if it is not in the host's name.
    pub path: ObjectPath<'a>,
    /// Headers that go with it, all of them signed: `content-type`, `x-amz-meta-…`, `if-none-match`.
    pub headers: &'a [Header<'a>],
    /// Its content.
    pub content: &'a [u8],
    /// The value of the `User-Agent` header, which is not signed.
    pub user_agent: &'a str,
}

/// Memory of the caller's for one exchange.
pub struct Buffers<'b> {
    /// For path and key, encoded: a byte of the key may become three.
    pub target: &'b mut [u8],
    /// For the answer: 1 KiB is enough for what S3 says of an error. Of a longer one, the end is cut off.
    pub answer: &'b mut [u8],
}

impl Put<'_> {
    /// Signs the request, sends it, and reads the answer. S3 compares what it received with its SHA-256, which is
    /// sent as a checksum too, so that it is kept with the object.
    ///
    /// # Errors
    /// [`PutError`].
    pub fn send<'b, T: Transport>(
        &self,
        credentials: &Credentials<'_>,
        transport: &mut T,
        clock: &dyn Clock,
        buffers: Buffers<'b>,
    ) -> Result<Stored<'b>, PutError<'b, T::Error>> {
        let body = Body::Bytes(self.content);
        let hash = hash_body(&body).map_err(|_| PutError::Unsignable)?;
        let checksum = Base64Text(&hash);
        let own = [Header {
            name: "x-amz-checksum-sha256",
            value: &checksum,
        }];
        let mut target = TextBuffer::new(buffers.target);
        write!(target, "{}", self.path).map_err(|_| PutError::Unsignable)?;
        let request = S3Request {
            method: "PUT",
            host: self.host,
            target: target.text(),
            region: self.region,
            headers: [&own, self.headers],
            payload: Payload::Sha256(hash),
            user_agent: self.user_agent,
        };
        let mut collected = Collected::new(buffers.answer);
        request
            .with_signed(credentials, clock.now(), body, |request| {
                transport.exchange(request, &mut collected)
            })?
            .map_err(PutError::Transport)?;
        collected.outcome().map_err(PutError::Refused)
    }
}

/// Why an object was not stored, or perhaps was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError<'b, E> {
    /// The request cannot be formed: the target does not fit, or the region is far too long.
    Unsignable,
    /// The transport failed. The object may have been stored.
    Transport(E),
    /// S3 refused.
    Refused(Refusal<'b>),
}

impl<E: TransportError> PutError<'_, E> {
    /// Whether the same request, signed again, may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unsignable => false,
            Self::Transport(error) => error.is_retryable(),
            Self::Refused(refusal) => refusal.is_retryable(),
        }
    }
}

impl<E> From<Unsignable> for PutError<'_, E> {
    fn from(_: Unsignable) -> Self {
        Self::Unsignable
    }
}

impl<E: fmt::Display> fmt::Display for PutError<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsignable => {
                f.write_str("the request cannot be formed: its target or its region is too long")
            }
            Self::Transport(error) => error.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for PutError<'_, E> {}

/// Text in a buffer of the caller's.
struct TextBuffer<'b> {
    buffer: &'b mut [u8],
    len: usize,
}

impl<'b> TextBuffer<'b> {
    fn new(buffer: &'b mut [u8]) -> Self {
        Self { buffer, len: 0 }
    }

    fn text(&self) -> &str {
        // Only whole strings were written.
        core::str::from_utf8(&self.buffer[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for TextBuffer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.buffer[self.len..].get_mut(..text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
