//! A refresher's source that has the machine's role go before the configured identity.

use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use super::{Found, Look, RoleCredentials, RoleError};
use crate::core::time::UnixTime;
use crate::host::refresh::{Failure, FailureKind, Fresh, Opened, Source};

/// The machine's role where there is one, else another source.
pub struct PreferRole {
    look: Look,
    other: Box<dyn Source>,
}

impl PreferRole {
    /// The role that `look` finds, else `other`.
    pub fn new(look: Look, other: Box<dyn Source>) -> Self {
        Self { look, other }
    }
}

impl Source for PreferRole {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        match open(&self.look).map_err(|error| failure(&error))? {
            Some(opened) => Ok(opened),
            None => self.other.open(),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.other.files()
    }
}

/// The role that `look` finds, if there is one.
///
/// # Errors
/// [`RoleError`] if there is one that gives no credentials.
pub fn open(look: &Look) -> Result<Option<Box<dyn Opened>>, RoleError> {
    match look.credentials()? {
        Found::Role(role) => Ok(Some(Box::new(OpenedRole {
            look: look.clone(),
            first: Some(role),
        }))),
        Found::None(_) => Ok(None),
    }
}

/// The machine's role. Once it was there, nobody goes on as somebody else because it is gone for a while:
/// that takes another [`Source::open`].
struct OpenedRole {
    look: Look,
    first: Option<RoleCredentials>,
}

impl Opened for OpenedRole {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let role = match self.first.take() {
            Some(role) => role,
            None => match self.look.credentials() {
                Ok(Found::Role(role)) => role,
                Ok(Found::None(why)) => {
                    return Err(Failure {
                        kind: FailureKind::Temporary,
                        what: std::format!("this machine's role is not there any more: {why}"),
                        remedy: String::from("a restart, or SIGHUP, looks for it anew"),
                    });
                }
                Err(error) => return Err(failure(&error)),
            },
        };
        Ok(Fresh {
            credentials: role.credentials,
            date: role.date,
        })
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        None
    }
}

fn failure(error: &RoleError) -> Failure {
    Failure {
        kind: if error.is_retryable() {
            FailureKind::Temporary
        } else {
            FailureKind::Lasting
        },
        what: error.what.clone(),
        remedy: error.remedy().into(),
    }
}
