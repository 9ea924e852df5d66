//! Whether credentials can be had: what a supervisor asks.

use core::fmt::Write as _;
use std::string::String;

use crate::core::text::JsonString;
use crate::host::refresh::Status;
use crate::output::http::{Body, Response};

/// How an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// There are credentials.
    Ok,
    /// There are some, and the last refresh failed: they will end.
    Failing,
    /// There are none, and nothing is wrong: nobody has asked, or they are being asked for.
    Idle,
    /// There are none, and none can be had.
    Unavailable,
}

impl Health {
    fn of(status: &Status) -> Self {
        match (status.expiration, &status.failure) {
            (Some(_), None) => Self::Ok,
            (Some(_), Some(_)) => Self::Failing,
            (None, None) => Self::Idle,
            (None, Some(_)) => Self::Unavailable,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Idle => "idle",
            Self::Unavailable => "unavailable",
        }
    }
}

/// 200 while whoever asks for credentials gets some, or may; 503 if an identity has none and the last
/// attempt to get some failed.
pub fn response(statuses: &[Status]) -> Response {
    let is_well = |status| Health::of(status) != Health::Unavailable;
    let (code, word) = match statuses.iter().all(is_well) {
        true => (200, "ok"),
        false => (503, "unavailable"),
    };
    let mut body = std::format!(r#"{{"status":"{word}","identities":{{"#);
    for (index, status) in statuses.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing into a string does not fail.
        let _ = write!(
            body,
            r#"{comma}{}:{{"status":"{}","expiration":{}}}"#,
            JsonString(&status.name),
            Health::of(status).word(),
            expiration(status)
        );
    }
    body += "}}";
    Response::new(code, "application/json", Body::Text(body.into()))
}

fn expiration(status: &Status) -> String {
    match status.expiration {
        Some(time) => std::format!("\"{time}\""),
        None => String::from("null"),
    }
}
