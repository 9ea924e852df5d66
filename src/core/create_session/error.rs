//! Why there is no session.

use core::fmt;

use super::json::{Reader, Value};
use crate::core::http::TransportError;
use crate::core::key::SignError;
use crate::core::text::{Printable, cut};

/// Why an exchange gave no credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionError<'b, E> {
    /// The request cannot be formed: region or host are not what they should be.
    Unsignable,
    /// The signer failed.
    Sign(SignError),
    /// The transport failed.
    Transport(E),
    /// The service refused.
    Service(ServiceError<'b>),
    /// The service's answer is not to be trusted.
    Answer(AnswerError),
}

impl<E: TransportError> SessionError<'_, E> {
    /// Whether the same request, signed again, may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unsignable | Self::Answer(_) => false,
            Self::Sign(error) => error.is_retryable(),
            Self::Transport(error) => error.is_retryable(),
            Self::Service(error) => error.is_retryable(),
        }
    }
}

impl<E: fmt::Display> fmt::Display for SessionError<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsignable => f.write_str("the region or the host is too long to sign for"),
            Self::Sign(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Service(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for SessionError<'_, E> {}

/// A refusal: an answer with an error status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceError<'b> {
    /// The HTTP status.
    pub status: u16,
    /// The error code, without namespace: `AccessDeniedException`. Empty if the answer has none.
    pub code: &'b str,
    /// The message for people. Empty if the answer has none.
    pub message: &'b str,
}

/// Codes that mean "too fast", whatever the status is: the service sends them with 400.
const THROTTLING: [&str; 6] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
];

impl<'b> ServiceError<'b> {
    /// Whether the service asks to be called less often.
    pub fn is_throttling(&self) -> bool {
        self.status == 429 || THROTTLING.contains(&self.code)
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.is_throttling() || matches!(self.status, 408 | 500..=599)
    }

    /// Reads a refusal: the code from the header `x-amzn-ErrorType`, else from the body's `code` or
    /// `__type`; the message from the body's `message` or `Message`. What cannot be read is empty.
    pub(super) fn read(
        status: u16,
        error_type: &'b [u8],
        body: &'b [u8],
        scratch: &'b mut [u8],
    ) -> Self {
        let header = core::str::from_utf8(error_type).unwrap_or_default();
        let mut this = Self {
            status,
            code: bare_code(header),
            message: "",
        };
        // What cannot be read is left out: the status alone says enough. Of what is no text, the beginning may be.
        let text = core::str::from_utf8(body).or_else(|error| {
            let valid = body.get(..error.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(valid)
        });
        let text = text.unwrap_or_default();
        let _ = this.read_body(Reader::new(text, scratch));
        this
    }

    fn read_body(&mut self, mut reader: Reader<'b>) -> Result<(), AnswerError> {
        if !reader.enter_object()? {
            return Err(AnswerError::NotJson);
        }
        while let Some(member) = reader.next_member(Member::of)? {
            let Value::String(text) = reader.value()? else {
                continue;
            };
            match member {
                Member::Code if self.code.is_empty() => self.code = bare_code(text),
                Member::Message if self.message.is_empty() => self.message = text,
                _ => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for ServiceError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = match self.code {
            "" => "no error code",
            code => code,
        };
        let colon = if self.message.is_empty() { "" } else { ": " };
        // What anybody may have said who is on the way.
        let (code, message) = (Printable(code), Printable(self.message));
        write!(f, "{code} (HTTP {}){colon}{message}", self.status)
    }
}

impl core::error::Error for ServiceError<'_> {}

/// `com.amazonaws.rolesanywhere#AccessDeniedException:http://…` → `AccessDeniedException`
fn bare_code(text: &str) -> &str {
    let (mut name, _) = cut(text, b':');
    while let (_, Some(rest)) = cut(name, b'#') {
        name = rest;
    }
    name.trim_ascii()
}

enum Member {
    Code,
    Message,
    Other,
}

impl Member {
    fn of(key: &str) -> Self {
        match key {
            "code" | "__type" => Self::Code,
            "message" | "Message" => Self::Message,
            _ => Self::Other,
        }
    }
}

/// A field of the answer, by the name that it has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// `credentialSet`
    CredentialSet,
    /// `credentials`
    Credentials,
    /// `accessKeyId`
    AccessKeyId,
    /// `secretAccessKey`
    SecretAccessKey,
    /// `sessionToken`
    SessionToken,
    /// `expiration`
    Expiration,
    /// `roleArn`
    RoleArn,
    /// `subjectArn`
    SubjectArn,
}

impl Field {
    pub(super) const COUNT: usize = Self::SubjectArn as usize + 1;
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CredentialSet => "credentialSet",
            Self::Credentials => "credentials",
            Self::AccessKeyId => "accessKeyId",
            Self::SecretAccessKey => "secretAccessKey",
            Self::SessionToken => "sessionToken",
            Self::Expiration => "expiration",
            Self::RoleArn => "roleArn",
            Self::SubjectArn => "subjectArn",
        })
    }
}

/// Why an answer with a success status is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is not the JSON document that it should be.
    NotJson,
    /// A value that had to be unescaped did not fit into the scratch buffer.
    TooLong,
    /// A field is not there.
    Missing(Field),
    /// A field is empty.
    Empty(Field),
    /// A field is there twice, is no string, or holds what it must not.
    Malformed(Field),
    /// The credentials are for another role than the one asked for.
    OtherRole,
    /// The credentials have already expired.
    Expired,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, is) = match self {
            Self::NotJson => return f.write_str("the answer is not a JSON document"),
            Self::TooLong => return f.write_str("a value in the answer is too long"),
            Self::Missing(field) => return write!(f, "the answer has no {field}"),
            Self::Empty(field) => (*field, "empty"),
            Self::Malformed(field) => (*field, "malformed"),
            Self::OtherRole => (Field::RoleArn, "another role than the one asked for"),
            Self::Expired => (Field::Expiration, "already past"),
        };
        write!(f, "the answer's {field} is {is}")
    }
}

impl core::error::Error for AnswerError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    fn read(status: u16, error_type: &str, body: &[u8]) -> (std::string::String, bool) {
        let mut scratch = [0; 64];
        let error = ServiceError::read(status, error_type.as_bytes(), body, &mut scratch);
        (error.to_string(), error.is_retryable())
    }

    #[test]
    fn what_a_person_reads() {
        let denied = br#"{"message": "no\r\ndone\u001b[2J"}"#;
        let (text, retryable) = read(403, "a.b#AccessDeniedException:http://x", denied);
        assert_eq!(
            text,
            r"AccessDeniedException (HTTP 403): no\r\ndone\u{1b}[2J"
        );
        assert!(!retryable);
        assert_eq!(read(502, "", b"").0, "no error code (HTTP 502)");
        let transport = SessionError::Transport(crate::core::http::TooLong);
        assert_eq!(transport.to_string(), "the answer is longer than allowed");
        let answer: SessionError<'_, SignError> = SessionError::Answer(AnswerError::Expired);
        assert_eq!(answer.to_string(), AnswerError::Expired.to_string());
    }

    #[test]
    fn what_comes_before_a_byte_that_is_no_text_counts() {
        for (body, text, retryable) in [
            (
                &b"{\"code\": \"ThrottlingException\", \"message\": \"slow \xff down\"}"[..],
                "ThrottlingException (HTTP 400)",
                true,
            ),
            (b"\xff{}", "no error code (HTTP 400)", false),
            (
                b"{\"message\": \"caf\xc3\xa9\"}\xc3",
                "no error code (HTTP 400): caf\u{e9}",
                false,
            ),
        ] {
            assert_eq!(read(400, "", body), (text.to_string(), retryable));
        }
    }
}
