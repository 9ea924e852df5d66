//! What the sandbox was asked: for tests to count, and for people to read along.

use core::fmt;
use std::collections::VecDeque;
use std::string::String;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
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
    /// When its head had come.
    pub began: Instant,
    /// When it was answered, or the connection closed. A request that its client has given up before is not
    /// recorded.
    pub answered: Instant,
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

    /// How much memory it takes, about.
    fn size(&self) -> usize {
        let headers = self.headers.iter();
        let headers: usize = headers.map(|(name, value)| name.len() + value.len()).sum();
        size_of::<Self>() + self.target.len() + headers + self.body.len()
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
    requests: Mutex<Kept>,
    observer: Option<Observer>,
}

#[derive(Default)]
struct Kept {
    requests: VecDeque<Recorded>,
    /// How much memory they take, about.
    size: usize,
}

impl Record {
    /// A sandbox may run for days, and be sent bodies of a megabyte.
    const MAX_SIZE: usize = 32 << 20;

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
        let mut kept = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        kept.size += request.size();
        kept.requests.push_back(request);
        while kept.size > Self::MAX_SIZE
            && let Some(oldest) = kept.requests.pop_front()
        {
            kept.size -= oldest.size();
        }
    }

    pub(super) fn all(&self) -> Vec<Recorded> {
        let kept = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        kept.requests.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;
    use std::vec;

    fn recorded(body: usize) -> Recorded {
        Recorded {
            service: Service::Sts,
            began: Instant::now(),
            answered: Instant::now(),
            method: "POST".into(),
            target: "/?Action=x".into(),
            headers: Vec::new(),
            body: vec![0; body],
            status: Some(400),
            reason: Some("not \u{1b}[2J".into()),
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let record = Record::new(None);
        for _ in 0..40 {
            record.add(recorded(1 << 20));
        }
        assert_eq!(record.all().len(), 31);
        record.add(recorded(Record::MAX_SIZE));
        assert_eq!(record.all().len(), 0);
    }

    #[test]
    fn a_reason_cannot_steer_the_terminal() {
        let recorded = recorded(0);
        assert_eq!(recorded.to_string(), r"sts POST / 400: not \u{1b}[2J");
    }
}
