use core::fmt;
use std::io::Write as _;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use zeroize::Zeroizing;

use crate::host::endpoint::MARK;

/// An answer. The server adds `Content-Length`, and `Connection` where it has to.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// Further headers. One whose value has control characters is left out.
    pub headers: Vec<(&'static str, String)>,
    /// The body; the server leaves it out in the answer to a `HEAD`.
    pub body: Body,
}

impl Response {
    /// An answer without further headers.
    pub const fn new(status: u16, content_type: &'static str, body: Body) -> Self {
        Self {
            status,
            content_type,
            headers: Vec::new(),
            body,
        }
    }

    /// Plain text.
    pub const fn text(status: u16, body: &'static str) -> Self {
        Self::new(status, TEXT, Body::Static(body))
    }
}

const TEXT: &str = "text/plain; charset=utf-8";

/// The body of an answer. What may hold credentials is cleared when it is dropped; `Debug` shows only its
/// length.
#[derive(Clone)]
pub enum Body {
    /// Something fixed.
    Static(&'static str),
    /// Something for this answer.
    Text(Zeroizing<String>),
    /// Something that goes into several answers, and is not copied for any of them.
    Shared(Arc<Zeroizing<String>>),
}

impl Body {
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Static(text) => text.as_bytes(),
            Self::Text(text) => text.as_bytes(),
            Self::Shared(text) => text.as_bytes(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.as_bytes().len())
    }
}

/// How the connection goes on after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Persistence {
    /// HTTP/1.1: nothing has to be said.
    Keep,
    /// HTTP/1.0: staying open is said.
    KeepOld,
    Close,
}

/// Writes the head of an answer. `out` is emptied first.
pub(super) fn write_head(out: &mut Vec<u8>, response: &Response, persistence: Persistence) {
    out.clear();
    // Writing into a vector does not fail.
    let _ = write!(
        out,
        "HTTP/1.1 {} {}\r\n{}: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
        response.status,
        reason(response.status),
        // Who looks for a machine's own role takes none of ours for it.
        MARK.0,
        MARK.1,
        response.content_type,
        response.body.as_bytes().len(),
    );
    for (name, value) in &response.headers {
        if !value.bytes().any(|byte| byte.is_ascii_control()) {
            for part in [name, ": ", value, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
    }
    out.extend_from_slice(match persistence {
        Persistence::Keep => b"\r\n",
        Persistence::KeepOld => b"Connection: keep-alive\r\n\r\n",
        Persistence::Close => b"Connection: close\r\n\r\n",
    });
}

/// The reason phrases of RFC 9110 section 15 (431: RFC 6585 section 5); empty where there is none, as RFC
/// 9112 section 4 allows.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// Why the server itself refuses a request. Nothing that the peer sent is in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The status code of the answer.
    pub status: u16,
    /// The answer's body: one line.
    pub why: &'static str,
}

impl Refusal {
    pub(super) const fn new(status: u16, why: &'static str) -> Self {
        Self { status, why }
    }

    pub(super) fn response(self) -> Response {
        let mut response = Response::text(self.status, self.why);
        if self.status == 405 {
            // RFC 9110 section 15.5.6 asks for it.
            response.headers.push(("Allow", "GET, HEAD, PUT".into()));
        }
        response
    }
}
