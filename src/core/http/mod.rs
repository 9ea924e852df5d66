//! HTTP/1.1 as the AWS client needs it: a request whose head is visited header by header, an answer
//! that is visited as it arrives, and the [`Transport`] seam between them.

mod answer_head;
mod collect;
mod head;
pub mod stream;

use core::fmt;

pub use collect::Collected;

/// One header. The value is written when it is asked for, possibly several times: into the hash that
/// is signed, and to the connection.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    /// The name, in any case.
    pub name: &'a str,
    /// The value, without line breaks.
    pub value: &'a dyn fmt::Display,
}

/// Headers in several lists, one after the other: so that some can be added where there is no memory to copy to.
pub type Headers<'a> = &'a [&'a [Header<'a>]];

/// What is sent after the head.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Bytes that are all there.
    Bytes(&'a [u8]),
    /// Text that is written as it is sent; it must be the same every time.
    Text(&'a dyn fmt::Display),
}

/// A request. `Host` is among the headers; `Content-Length` is added by the transport.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method: `GET`, `POST`, `PUT`…
    pub method: &'a str,
    /// Path and query, encoded as they go on the wire.
    pub target: &'a str,
    /// The headers, in the order in which they are sent. Their values may hold secrets.
    pub headers: Headers<'a>,
    /// The body.
    pub body: Body<'a>,
}

impl<'a> Request<'a> {
    /// The headers, of all lists.
    pub fn all_headers(&self) -> impl Iterator<Item = &'a Header<'a>> + use<'a> {
        self.headers.iter().copied().flatten()
    }
}

/// Takes an answer as it arrives: the status first, then the headers, then the body in pieces.
pub trait Answer {
    /// The status code. Interim answers (1xx) are not shown.
    fn status(&mut self, status: u16);

    /// One header; the value as it was on the wire, trimmed.
    fn header(&mut self, name: &str, value: &[u8]);

    /// The next bytes of the body.
    ///
    /// # Errors
    /// [`TooLong`] if there is no room for them: the transport gives up the exchange.
    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong>;
}

/// An answer is longer than its reader allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is longer than allowed")
    }
}

impl core::error::Error for TooLong {}

/// Carries one request and its answer.
pub trait Transport {
    /// Why an exchange failed.
    type Error: TransportError;

    /// Sends `request`, shows the answer to `answer`. After an error, what `answer` was shown is
    /// void.
    ///
    /// # Errors
    /// Whatever kept the whole answer from arriving. An answer with an error status is no error here.
    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), Self::Error>;
}

impl<T: Transport + ?Sized> Transport for &mut T {
    type Error = T::Error;

    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), Self::Error> {
        (**self).exchange(request, answer)
    }
}

/// What a retry needs to know of a transport's error.
pub trait TransportError: fmt::Debug {
    /// Whether the same request may succeed later.
    fn is_retryable(&self) -> bool;
}
