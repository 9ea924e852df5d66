//! What a program that uses the library has at hand as a source: an open identity, or what opens one.

use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::thread;
use std::vec::Vec;

use super::source::{Failure, FailureKind, Fresh, Opened, Source};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::remedy;
use crate::host::requester::Requester;
use crate::host::session::{CreateError, CreateErrorKind};

impl From<&CreateError> for FailureKind {
    fn from(error: &CreateError) -> Self {
        if error.is_throttling() {
            Self::Throttled
        } else if error.is_retryable() {
            Self::Temporary
        } else {
            Self::Lasting
        }
    }
}

impl From<&CreateError> for Failure {
    fn from(error: &CreateError) -> Self {
        let remedy = match &error.kind {
            _ if error.is_throttling() => remedy::THROTTLED,
            CreateErrorKind::Refused(refusal) => {
                remedy::of(refusal.status, &refusal.code, &refusal.message).unwrap_or_default()
            }
            _ => "",
        };
        Self {
            kind: error.into(),
            what: error.to_string(),
            remedy: String::from(remedy),
        }
    }
}

impl Opened for Requester {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let created = self.create(&mut thread::sleep, &mut ());
        created
            .map_err(|error| Failure::from(&error))
            .map(|created| Fresh {
                credentials: created.credentials,
                date: created.date,
            })
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        let leaf = Certificate::from_der(self.identity.leaf()).ok()?;
        Some(leaf.not_after)
    }

    fn certificate(&self) -> Option<&[u8]> {
        Some(self.identity.leaf())
    }

    fn session(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.request.duration_seconds.into()))
    }
}

/// A closure that opens an identity, in a token for instance. It is called again from time to time, and when
/// the refresher is told to [reload](super::Refresher::reload).
impl<F: FnMut() -> Result<Requester, Failure> + Send> Source for F {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        Ok(Box::new(self()?))
    }

    fn files(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn has_device(&self) -> bool {
        true
    }
}
