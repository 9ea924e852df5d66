//! The head of an answer, read line by line where it lies (RFC 9112).

use super::stream::StreamError;

/// Headers of an answer beyond this number are an error.
const MAX_HEADERS: usize = 40;

/// What every answer of HTTP/1 begins with.
const PROTOCOL: &[u8] = b"HTTP/1.";

/// What the head of an answer says about its body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) status: u16,
    length: Option<u64>,
    chunked: bool,
    pub(super) close: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Head {
    /// Reads a head, and gives its length; `None` if it is not all there. It has to begin like one already.
    ///
    /// # Errors
    /// [`StreamError::NotHttp`], [`StreamError::HeadTooLong`].
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, StreamError> {
        let mut rest = bytes;
        let line = loop {
            // RFC 9112 section 2.2 has servers pass over empty lines; some answer after one.
            match next_line(&mut rest) {
                Some(b"") => {}
                Some(line) => break line,
                None if PROTOCOL.iter().zip(rest).all(|(one, other)| one == other) => {
                    return Ok(None);
                }
                None if rest == b"\r" => return Ok(None),
                None => return Err(StreamError::NotHttp),
            }
        };
        let mut head = Self::of_status_line(line).ok_or(StreamError::NotHttp)?;
        let mut count = 0;
        while let Some(line) = next_line(&mut rest) {
            if line.is_empty() {
                if head.chunked && head.length.is_some() {
                    // RFC 9112 section 6.3: this may be an attempt at smuggling.
                    return Err(StreamError::NotHttp);
                }
                return Ok(Some((head, bytes.len() - rest.len())));
            }
            count += 1;
            if count > MAX_HEADERS {
                return Err(StreamError::HeadTooLong);
            }
            let (name, value) = header(line).ok_or(StreamError::NotHttp)?;
            head.see(name, value)?;
        }
        Ok(None)
    }

    /// `HTTP/1.1 200 OK`
    fn of_status_line(line: &[u8]) -> Option<Self> {
        let (version, rest) = line.strip_prefix(PROTOCOL)?.split_first()?;
        let (status, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
        if !(reason.is_empty() || reason.starts_with(b" ")) || !reason.iter().all(is_text) {
            return None;
        }
        let status: u16 = decimal(status)?.try_into().ok()?;
        Some(Self {
            // RFC 9110 section 15: what is below 100 is no status.
            status: Some(status).filter(|status| *status >= 100)?,
            length: None,
            chunked: false,
            close: match version {
                b'0' => true,
                b'1' => false,
                _ => return None,
            },
        })
    }

    fn see(&mut self, name: &str, value: &[u8]) -> Result<(), StreamError> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = decimal(value).ok_or(StreamError::NotHttp)?;
            if self.length.is_some_and(|earlier| earlier != length) {
                return Err(StreamError::NotHttp);
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            // A coding that we cannot undo must not be taken for the body.
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(StreamError::NotHttp);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            let mut options = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
            self.close |= options.any(|option| option.eq_ignore_ascii_case(b"close"));
        }
        Ok(())
    }

    pub(super) fn is_interim(self) -> bool {
        (100..200).contains(&self.status)
    }

    /// RFC 9112 section 6.3.
    pub(super) fn framing(self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status, 204 | 304) {
            Framing::Length(0)
        } else if self.chunked {
            Framing::Chunked
        } else {
            self.length.map_or(Framing::UntilClose, Framing::Length)
        }
    }
}

/// The headers of a head that [`Head::read`] has read.
pub(super) fn headers(mut head: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    core::iter::from_fn(move || next_line(&mut head)).filter_map(header)
}

/// Takes off the first line, without its end. A carriage return may be missing (RFC 9112 section 2.2).
fn next_line<'h>(rest: &mut &'h [u8]) -> Option<&'h [u8]> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = &rest[..end];
    *rest = &rest[end + 1..];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

/// `name: value`, the value trimmed (RFC 9112 section 5). A line that continues the one before it is none.
fn header(line: &[u8]) -> Option<(&str, &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(is_token) || !value.iter().all(is_text) {
        return None;
    }
    Some((core::str::from_utf8(name).ok()?, value.trim_ascii()))
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: &u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
        || byte.is_ascii_alphanumeric()
}

/// RFC 9110 section 5.5: no control characters but the tab.
fn is_text(byte: &u8) -> bool {
    *byte == b'\t' || !byte.is_ascii_control()
}

/// Digits only: `str::parse` would take a plus sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    proptest! {
        /// What this parser takes, one that was not written here takes as well, and sees the same in it.
        #[test]
        fn agrees_with_httparse(head in damaged()) {
            let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut other = httparse::Response::new(&mut slots);
            let outcome = other.parse(&head);
            if let Ok(Some((ours, len))) = Head::read(&head) {
                prop_assert_eq!(outcome, Ok(httparse::Status::Complete(len)));
                prop_assert_eq!(other.code, Some(ours.status));
                let theirs: Vec<_> = other.headers.iter().map(|header| (header.name, header.value)).collect();
                prop_assert_eq!(headers(&head[..len]).collect::<Vec<_>>(), theirs);
            }
        }
    }

    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            Just("content-length: 5".into()),
            Just("Transfer-Encoding:chunked".into()),
            Just("connection: keep-alive, Close".into()),
            Just("date:\t Sun, 22 Nov 2026 22:41:49 GMT ".into()),
            "[a-zA-Z-]{0,5}[: ]{0,3}[ -~]{0,8}",
        ];
        let lines = prop::collection::vec(line, 0..6);
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        (100..600u16, lines, changes).prop_map(|(status, lines, changes)| {
            let mut head =
                std::format!("HTTP/1.1 {status} OK\r\n{}\r\n\r\nbody", lines.join("\r\n"))
                    .into_bytes();
            for (at, byte) in changes {
                let at = at.index(head.len());
                head[at] = byte;
            }
            head
        })
    }
}
