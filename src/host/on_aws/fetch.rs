//! One request to an endpoint on this machine or next to it.

use core::fmt;
use core::time::Duration;
use std::string::String;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

use zeroize::Zeroizing;

use crate::core::http::{Answer, Body, Header, Request, TooLong, Transport as _};
use crate::core::time::UnixTime;
use crate::host::clock::HostClock;
use crate::host::endpoint::{Endpoint, MARK};
use crate::host::transport::{HttpError, HttpTransport, TransportOptions};

/// The longest answer that is read: session tokens reach a few KiB.
const MAX_ANSWER: usize = 32 << 10;

const USER_AGENT: &str = concat!("keystead/", env!("CARGO_PKG_VERSION"));

/// An endpoint, and how long all requests to it may take together.
pub struct Fetcher {
    transport: HttpTransport,
    authority: String,
    deadline: Instant,
}

/// What came back.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The other end's clock.
    pub date: Option<UnixTime>,
    /// Whether the other end is keystead.
    pub is_ours: bool,
    body: Zeroizing<Vec<u8>>,
}

impl Fetcher {
    /// What asks `endpoint`. No proxy is used, whatever the options say: nobody in between is to see
    /// what comes.
    ///
    /// # Errors
    /// [`HttpError`] if there is no way to ask.
    pub fn new(
        endpoint: &Endpoint,
        within: Duration,
        options: &TransportOptions,
        clock: &Arc<HostClock>,
    ) -> Result<Self, HttpError> {
        let options = TransportOptions {
            trust: options.trust.clone(),
            proxy: None,
            connect_timeout: within,
            timeout: within,
        };
        Ok(Self {
            transport: HttpTransport::new(endpoint.url(""), &options, clock.clone())?,
            authority: endpoint.authority.clone(),
            deadline: Instant::now() + within,
        })
    }

    /// Sends a request without a body.
    ///
    /// # Errors
    /// [`HttpError`] if there is no whole answer in time.
    pub fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[Header<'_>],
    ) -> Result<Reply, HttpError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(HttpError::Timeout("to answer"));
        }
        self.transport.limit(left);
        let own = [
            header("Host", &self.authority),
            header("User-Agent", &USER_AGENT),
        ];
        let request = Request {
            method,
            target,
            headers: &[&own, headers],
            body: Body::Bytes(b""),
        };
        let mut reply = Reply {
            status: 0,
            date: None,
            is_ours: false,
            // With all its room from the start, no copy of a secret is left behind by growing.
            body: Zeroizing::new(Vec::with_capacity(MAX_ANSWER)),
        };
        self.transport.exchange(&request, &mut reply)?;
        Ok(reply)
    }
}

/// A header to send.
pub fn header<'a>(name: &'a str, value: &'a dyn fmt::Display) -> Header<'a> {
    Header { name, value }
}

impl Reply {
    /// The body, if it is text.
    pub fn text(&self) -> Option<&str> {
        core::str::from_utf8(&self.body).ok()
    }
}

impl Answer for Reply {
    fn status(&mut self, status: u16) {
        self.status = status;
        self.date = None;
        self.is_ours = false;
        self.body.clear();
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("date") {
            let text = core::str::from_utf8(value).ok();
            self.date = text.and_then(UnixTime::parse_http);
        } else if name.eq_ignore_ascii_case(MARK.0) {
            self.is_ours = value == MARK.1.as_bytes();
        }
    }

    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.body.len() + piece.len() > MAX_ANSWER {
            return Err(TooLong);
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }
}
