//! Why there is no session.

use core::fmt;

use super::json::{Reader, Value};
use crate::core::http::TransportError;
use crate::core::key::SignError;

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
        // What cannot be read is left out: the status alone says enough.
        let _ = Reader::new(body, scratch).and_then(|reader| this.read_body(reader));
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

/// `com.amazonaws.rolesanywhere#AccessDeniedException:http://…` → `AccessDeniedException`
fn bare_code(text: &str) -> &str {
    let text = text.split(':').next().unwrap_or_default();
    text.rsplit('#').next().unwrap_or_default().trim_ascii()
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
        match self {
            Self::NotJson => f.write_str("the answer is not a JSON document"),
            Self::TooLong => f.write_str("a value in the answer is too long"),
            Self::Missing(field) => write!(f, "the answer has no {field}"),
            Self::Empty(field) => write!(f, "the answer's {field} is empty"),
            Self::Malformed(field) => write!(f, "the answer's {field} is malformed"),
            Self::OtherRole => {
                f.write_str("the answer's roleArn is another role than the one asked for")
            }
            Self::Expired => f.write_str("the answer's expiration is already past"),
        }
    }
}

impl core::error::Error for AnswerError {}
