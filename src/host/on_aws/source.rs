//! A refresher's source that has the machine's role go before the configured identity.

use core::mem;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use std::vec::Vec;

use super::{Found, Look, NoRole, RoleCredentials, RoleError, RoleErrorKind};
use crate::core::time::UnixTime;
use crate::host::refresh::{Failure, FailureKind, Fresh, Opened, Source};

/// The machine's role where there is one, else another source.
pub struct PreferRole {
    look: Look,
    role: UsedRole,
    other: Box<dyn Source>,
}

impl PreferRole {
    /// The role that `look` finds, else `other`.
    pub fn new(look: Look, other: Box<dyn Source>) -> Self {
        Self {
            look,
            role: UsedRole::default(),
            other,
        }
    }
}

impl Source for PreferRole {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        match self
            .role
            .open(&self.look)
            .map_err(|error| failure(&error))?
        {
            Some(opened) => Ok(opened),
            None => Ok(self.role.unless(self.other.open()?)),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        self.other.files()
    }

    fn reload(&mut self) {
        self.role.may_be_left();
        self.other.reload();
    }
}

/// Whether the machine's role is in use. Then nobody goes on as somebody else because it is gone for a
/// while, whatever is opened anew: only a person who asks for that may leave it.
#[derive(Debug, Default)]
pub struct UsedRole {
    is_used: Arc<AtomicBool>,
    may_be_left: bool,
}

impl UsedRole {
    /// The next [`open`](Self::open) takes the machine as it is.
    pub fn may_be_left(&mut self) {
        self.may_be_left = true;
    }

    /// Whether the role is what was opened last, and nothing else has begun a session since.
    pub fn is_used(&self) -> bool {
        self.is_used.load(Relaxed)
    }

    /// The role that `look` finds, if there is one.
    ///
    /// # Errors
    /// [`RoleError`] if there is one that gives no credentials, or it is in use and not there any more.
    pub fn open(&mut self, look: &Look) -> Result<Option<Box<dyn Opened>>, RoleError> {
        let may_be_left = mem::take(&mut self.may_be_left);
        match look.credentials()? {
            Found::Role(role) => {
                self.is_used.store(true, Relaxed);
                Ok(Some(Box::new(OpenedRole {
                    look: look.clone(),
                    first: Some((role, Instant::now())),
                })))
            }
            Found::None(why) if self.is_used() && !may_be_left => Err(gone(&why)),
            Found::None(_) => Ok(None),
        }
    }

    /// What is opened where there is no role. Once it has begun a session, the role is not in use.
    pub fn unless(&self, opened: Box<dyn Opened>) -> Box<dyn Opened> {
        Box::new(OpenedOther {
            opened,
            is_role_used: self.is_used.clone(),
        })
    }
}

/// How long the credentials that were found at opening are the answer to [`Opened::create`], which is to be
/// one of now: the refresher counts their life from there.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The machine's role.
pub(super) struct OpenedRole {
    pub(super) look: Look,
    /// What was found at opening, and when.
    pub(super) first: Option<(RoleCredentials, Instant)>,
}

impl Opened for OpenedRole {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let first = self.first.take();
        let role = match first.filter(|(_, at)| at.elapsed() < AT_ONCE) {
            Some((role, _)) => role,
            None => match self.look.credentials() {
                Ok(Found::Role(role)) => role,
                Ok(Found::None(why)) => return Err(failure(&gone(&why))),
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

/// What is used where there is no role.
struct OpenedOther {
    opened: Box<dyn Opened>,
    is_role_used: Arc<AtomicBool>,
}

impl Opened for OpenedOther {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let fresh = self.opened.create()?;
        self.is_role_used.store(false, Relaxed);
        Ok(fresh)
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        self.opened.certificate_expires()
    }

    fn certificate(&self) -> Option<&[u8]> {
        self.opened.certificate()
    }

    fn session(&self) -> Option<Duration> {
        self.opened.session()
    }
}

fn gone(why: &NoRole) -> RoleError {
    let what = format!("this machine's role is not there any more: {why}");
    RoleError::new(RoleErrorKind::Gone, what)
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
