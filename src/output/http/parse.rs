//! Heads of requests: RFC 9112 sections 2 to 7, strictly. What a server may accept out of kindness is
//! refused: no client that this one is for needs it.

use core::mem::MaybeUninit;

use httparse::{Error, Header, Status};

use super::limits::Limits;
use super::request::Headers;
use super::response::Refusal;

/// The head of a request.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// `GET`, `HEAD` or `PUT`.
    pub method: &'a str,
    /// The path, undecoded; it begins with `/`.
    pub path: &'a str,
    /// What follows the first `?`, undecoded.
    pub query: Option<&'a str>,
    /// The headers, in their order.
    pub headers: Headers<'a>,
    /// How long the head is, in bytes.
    pub len: usize,
    /// The minor version of HTTP/1.
    pub version: u8,
    /// Whether the connection may be used again after the answer.
    pub keep_alive: bool,
    /// Whether the peer waits for a `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Where the body ends.
    pub framing: Framing,
}

/// Where a request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes; without a body 0.
    Length(u64),
    /// After the last chunk and the trailers.
    Chunked,
}

/// Reads the head of a request from the beginning of `bytes`; `None` if it is not whole yet. `headers` is
/// room for the parser.
///
/// # Errors
/// [`Refusal`], with which the connection has to end: where the next request begins is not known.
pub fn parse<'a>(
    bytes: &'a [u8],
    headers: &'a mut [MaybeUninit<Header<'a>>; Limits::MAX_HEADERS],
    limits: &Limits,
) -> Result<Option<Head<'a>>, Refusal> {
    let headers = &mut headers[..limits.headers.min(Limits::MAX_HEADERS)];
    let mut request = httparse::Request::new(&mut []);
    let parsed = match request.parse_with_uninit_headers(bytes, headers) {
        Ok(parsed) => parsed,
        Err(Error::TooManyHeaders) => return Err(TOO_LARGE),
        Err(Error::Version) => {
            return Err(Refusal::new(505, "Only HTTP/1.0 and 1.1 are spoken.\n"));
        }
        Err(_) => return Err(MALFORMED),
    };
    let len = match parsed {
        Status::Complete(len) if len <= limits.head => len,
        Status::Partial if bytes.len() < limits.head => return Ok(None),
        _ if is_line_too_long(bytes, limits) => {
            return Err(Refusal::new(414, "The request line is too long.\n"));
        }
        _ => return Err(TOO_LARGE),
    };
    let (Some(method), Some(target), Some(version)) =
        (request.method, request.path, request.version)
    else {
        return Err(MALFORMED);
    };
    let headers = Headers::new(request.headers);
    check_method(method)?;
    let (path, query) = target_parts(target, headers)?;
    if headers.all("host").count() > 1 || (version == 1 && !headers.contains("host")) {
        // RFC 9112 section 3.2
        return Err(Refusal::new(400, "One Host header is needed.\n"));
    }
    Ok(Some(Head {
        method,
        path,
        query,
        headers,
        len,
        version,
        keep_alive: keep_alive(headers, version),
        expects_continue: expects_continue(headers, version)?,
        framing: framing(headers, version, limits)?,
    }))
}

const MALFORMED: Refusal = Refusal::new(400, "This is not a well-formed HTTP request.\n");
const TOO_LARGE: Refusal = Refusal::new(431, "The headers are too many or too long.\n");

fn is_line_too_long(bytes: &[u8], limits: &Limits) -> bool {
    let start = &bytes[..limits.head.min(bytes.len())];
    !start.trim_ascii_start().contains(&b'\n')
}

/// Other methods than these have no use here. Those of RFC 9110 section 9 and RFC 5789 are known, and not
/// allowed.
fn check_method(method: &str) -> Result<(), Refusal> {
    match method {
        "GET" | "HEAD" | "PUT" => Ok(()),
        "POST" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => {
            Err(Refusal::new(405, "Only GET, HEAD and PUT are allowed.\n"))
        }
        _ => Err(Refusal::new(501, "This method is not known.\n")),
    }
}

/// Path and query of a target in origin form or, as RFC 9112 section 3.2.2 demands of servers, in absolute
/// form. The host that the latter names would count instead of `Host`, which is what handlers check: so it
/// has to be the same one.
fn target_parts<'a>(
    target: &'a str,
    headers: Headers<'_>,
) -> Result<(&'a str, Option<&'a str>), Refusal> {
    const WRONG: Refusal = Refusal::new(400, "The request's target is not a path.\n");
    if target
        .bytes()
        .any(|byte| !byte.is_ascii_graphic() || byte == b'#')
    {
        return Err(WRONG);
    }
    let local = if target.starts_with('/') {
        target
    } else {
        let rest = ["http://", "https://"].iter().find_map(|scheme| {
            let (start, rest) = target.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        let rest = rest.ok_or(WRONG)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, local) = rest.split_at(end);
        let named = headers.get("host");
        if !named.is_some_and(|named| named.eq_ignore_ascii_case(host.as_bytes())) {
            return Err(Refusal::new(400, "Target and Host name different hosts.\n"));
        }
        local
    };
    let (path, query) = match local.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (local, None),
    };
    Ok((if path.is_empty() { "/" } else { path }, query))
}

/// RFC 9112 section 9.3
fn keep_alive(headers: Headers<'_>, version: u8) -> bool {
    let mut keep = version == 1;
    for value in headers.all("connection") {
        for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if option.eq_ignore_ascii_case(b"close") {
                return false;
            }
            keep |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }
    keep
}

/// RFC 9110 section 10.1.1
fn expects_continue(headers: Headers<'_>, version: u8) -> Result<bool, Refusal> {
    let mut expected = headers.all("expect").peekable();
    if version == 0 || expected.peek().is_none() {
        return Ok(false);
    }
    if expected.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
        Ok(true)
    } else {
        Err(Refusal::new(417, "Only 100-continue can be expected.\n"))
    }
}

/// RFC 9112 section 6.3. Whatever could be read in two ways is refused.
fn framing(headers: Headers<'_>, version: u8, limits: &Limits) -> Result<Framing, Refusal> {
    const UNCLEAR: Refusal = Refusal::new(400, "Where the body ends is not clear.\n");
    let mut lengths = headers.all("content-length");
    let mut codings = headers.all("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(length), None) if lengths.next().is_none() => {
            if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
                return Err(UNCLEAR);
            }
            // What does not fit into a number is certainly too large.
            let length = str::from_utf8(length)
                .ok()
                .and_then(|text| text.parse().ok());
            match length {
                Some(length) if length <= limits.body as u64 => Ok(Framing::Length(length)),
                _ => Err(BODY_TOO_LARGE),
            }
        }
        (None, Some(coding)) if codings.next().is_none() && version == 1 => {
            if coding.eq_ignore_ascii_case(b"chunked") {
                Ok(Framing::Chunked)
            } else {
                Err(Refusal::new(
                    501,
                    "Only the transfer coding chunked is known.\n",
                ))
            }
        }
        _ => Err(UNCLEAR),
    }
}

pub(super) const BODY_TOO_LARGE: Refusal = Refusal::new(413, "The body is too large.\n");
