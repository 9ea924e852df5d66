//! What the sandbox was asked: for tests to count, and for people to read along.

use core::fmt;
use std::collections::VecDeque;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::Vec;

use crate::core::text::Printable;

/// The services of the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// IAM Roles Anywhere: `CreateSession`.
    RolesAnywhere,
    /// STS: `GetCallerIdentity`.
    Sts,
    /// S3.
    S3,
}

impl Service {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "rolesanywhere" => Some(Self::RolesAnywhere),
            "sts" => Some(Self::Sts),
            "s3" => Some(Self::S3),
            _ => None,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RolesAnywhere => "rolesanywhere",
            Self::Sts => "sts",
            Self::S3 => "s3",
        })
    }
}

/// One request and how it ended.
#[derive(Clone)]
pub struct Recorded {
    /// The service that it went to.
    pub service: Service,
    /// The method.
    pub method: String,
    /// Path and query, as on the wire.
    pub target: String,
    /// The headers, in the order in which they arrived; they hold signatures and session tokens.
    pub headers: Vec<(String, String)>,
    /// The body; of S3 requests it is not kept.
    pub body: Vec<u8>,
    /// The status of the answer; `None` if the connection was closed instead.
    pub status: Option<u16>,
    /// Why the request was refused, in more words than the answer has.
    pub reason: Option<String>,
}

impl Recorded {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// One line for people: `rolesanywhere POST /sessions 403: the certificate is revoked`.
impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{} {} {path} ", self.service, self.method)?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("connection closed")?,
        }
        match &self.reason {
            // It may repeat what the client sent.
            Some(reason) => write!(f, ": {}", Printable(reason)),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({self})")
    }
}

/// Sees each request when it is answered.
pub type Observer = Arc<dyn Fn(&Recorded) + Send + Sync>;

/// The last requests, the oldest first.
pub(super) struct Record {
    requests: Mutex<VecDeque<Recorded>>,
    observer: Option<Observer>,
}

impl Record {
    /// A sandbox may run for days.
    const MAX_LEN: usize = 10_000;

    pub(super) fn new(observer: Option<Observer>) -> Self {
        Self {
            requests: Mutex::default(),
            observer,
        }
    }

    pub(super) fn add(&self, request: Recorded) {
        if let Some(observer) = &self.observer {
            observer(&request);
        }
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == Self::MAX_LEN {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn a_reason_cannot_steer_the_terminal() {
        let recorded = Recorded {
            service: Service::Sts,
            method: "POST".into(),
            target: "/?Action=x".into(),
            headers: Vec::new(),
            body: Vec::new(),
            status: Some(400),
            reason: Some("not \u{1b}[2J".into()),
        };
        assert_eq!(recorded.to_string(), r"sts POST / 400: not \u{1b}[2J");
    }
}
