//! Why a machine's role gives no credentials.

use core::fmt;
use std::string::String;

/// Why a machine's role gives no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleError {
    /// What may help.
    pub kind: RoleErrorKind,
    /// What is wrong, one sentence, naming the variable or the service.
    pub what: String,
}

/// What may help against a [`RoleError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleErrorKind {
    /// Nobody answered, or not in a way that is any use now.
    Unanswered,
    /// The role was there before.
    Gone,
    /// The answer was no, or is nothing to work with.
    Refused,
    /// A variable cannot be used.
    Misconfigured,
    /// The role is of another account than is expected.
    WrongAccount,
}

impl RoleError {
    pub(super) fn new(kind: RoleErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
        }
    }

    /// Whether asking again later may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, RoleErrorKind::Unanswered | RoleErrorKind::Gone)
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            RoleErrorKind::Unanswered | RoleErrorKind::Refused => {
                "without --unless-on-aws the configured certificate is used, on AWS as well"
            }
            RoleErrorKind::Gone => {
                "without it the configured certificate is used after a restart, or SIGHUP"
            }
            RoleErrorKind::Misconfigured => {
                "correct the variable; without it, and without --unless-on-aws, it is not looked at"
            }
            RoleErrorKind::WrongAccount => {
                "--expect-account says which account it has to be; give the machine a role there"
            }
        }
    }
}

impl fmt::Display for RoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl core::error::Error for RoleError {}
