//! `--debug`: what is signed, sent and answered, on standard error, without secrets.

use core::time::Duration;
use std::string::{String, ToString as _};

use super::context::tell;
use crate::core::create_session::Signed;
use crate::core::http::Body;
use crate::core::text::Printable;
use crate::host::session::{CreateError, Watcher};

/// Shows everything but secrets.
pub struct Debug;

impl Watcher for Debug {
    fn request(&mut self, signed: &Signed<'_>) {
        let request = signed.request;
        tell(format_args!("--- canonical request\n{}", signed.canonical));
        tell(format_args!(
            "--- string to sign\n{}",
            signed.string_to_sign.as_str()
        ));
        tell(format_args!(
            "--- request\n{} {}",
            request.method, request.target
        ));
        for header in request.all_headers() {
            let value = header.value.to_string();
            // Who has the signature can send the request again while its date is accepted.
            let (shown, hidden) = match value.split_once("Signature=") {
                Some((before, _)) => (before, "Signature=…"),
                None => (value.as_str(), ""),
            };
            tell(format_args!("{}: {shown}{hidden}", header.name));
        }
        match request.body {
            Body::Bytes(bytes) => tell(format_args!("\n{}", bytes.escape_ascii())),
            Body::Text(text) => tell(format_args!("\n{text}")),
        }
    }

    fn answer(&mut self, status: u16, body: &[u8]) {
        tell(format_args!("--- answer\nHTTP {status}\n"));
        match redacted(body) {
            Some(text) => tell(format_args!("{text}")),
            // A proxy's error page, for instance.
            None if status >= 300 => tell(format_args!("{}", body.escape_ascii())),
            None => tell(format_args!("({} bytes that are not JSON)", body.len())),
        }
    }

    fn retry(&mut self, error: &CreateError, delay: Duration) {
        tell(format_args!(
            "--- failed: {error}; the next attempt follows in {delay:.1?}"
        ));
    }

    fn clock_corrected(&mut self, seconds: i64) {
        tell(format_args!(
            "--- this machine's clock is wrong: {seconds} seconds are added to it"
        ));
    }
}

/// The members of an answer whose strings are no secrets.
const SHOWN: [&[u8]; 13] = [
    b"accessKeyId",
    b"expiration",
    b"roleArn",
    b"subjectArn",
    b"arn",
    b"assumedRoleId",
    b"sourceIdentity",
    b"code",
    b"Code",
    b"__type",
    b"message",
    b"Message",
    b"retryAfterSeconds",
];

/// A JSON text with every string left out that is not known to be harmless; `None` if it has not the
/// shape of JSON, so that its strings cannot be told from the rest.
fn redacted(json: &[u8]) -> Option<String> {
    let mut shown = String::new();
    let mut rest = json;
    let mut may_show = false;
    while let Some(start) = rest.iter().position(|&byte| byte == b'"') {
        let (between, string) = rest.split_at(start);
        push_structure(&mut shown, between)?;
        let (string, tail) = string.split_at(string_len(string)?);
        let is_key = tail.trim_ascii_start().starts_with(b":");
        if is_key || may_show {
            let string = core::str::from_utf8(string).ok()?;
            shown.push_str(&Printable(string).to_string());
        } else {
            shown.push_str("\"…\"");
        }
        may_show = is_key && SHOWN.contains(&&string[1..string.len() - 1]);
        rest = tail;
    }
    push_structure(&mut shown, rest)?;
    Some(shown)
}

/// What stands between strings: brackets, numbers, `true`, `false`, `null`.
fn push_structure(shown: &mut String, between: &[u8]) -> Option<()> {
    const ALLOWED: &[u8] = b"{}[]:, \r\n\t0123456789+-.Eaeflnrstu";
    for byte in between {
        if !ALLOWED.contains(byte) {
            return None;
        }
        shown.push(char::from(*byte));
    }
    Some(())
}

/// The length of the string that `text` starts with, with both its quotes.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let end = text.iter().skip(1).position(|&byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;

    #[test]
    fn secrets_are_left_out() {
        let answer = br#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIA1","secretAccessKey":"s\"x/y","sessionToken" : "tok"},"roleArn":"arn:r"}],"n":1}"#;
        assert_eq!(
            redacted(answer).as_deref(),
            Some(
                r#"{"credentialSet":[{"credentials":{"accessKeyId":"ASIA1","secretAccessKey":"…","sessionToken" : "…"},"roleArn":"arn:r"}],"n":1}"#
            )
        );
        assert_eq!(redacted(br#"{"secretAccessKey":"s3cr"#), None);
        assert_eq!(redacted(b"<html>"), None);
        let steering = b"{\"message\":\"\x1b[2J\"}";
        assert_eq!(
            redacted(steering).as_deref(),
            Some(r#"{"message":"\u{1b}[2J"}"#)
        );
    }

    proptest! {
        #[test]
        fn no_secret_in_whatever_shape(
            secret in "[A-Z][A-Za-z0-9+/]{12,40}",
            before in "[ -~]{0,20}",
            after in "[ -~]{0,20}",
        ) {
            let answer = format!("{before}{{\"secretAccessKey\":\"{secret}\"}}{after}");
            let shown = redacted(answer.as_bytes()).unwrap_or_default();
            prop_assert!(!shown.contains(&secret), "{}", shown);
        }
    }
}
