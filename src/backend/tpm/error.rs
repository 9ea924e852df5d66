//! Why a TPM cannot do what is asked of it, and what to do about it.

use core::fmt;
use std::borrow::Cow;
use std::path::PathBuf;
use std::string::String;
use std::{borrow::ToOwned as _, format};

use serde::{Deserialize, Serialize};

use super::code::{self, ResponseCode};
use super::device::Object;
use crate::core::key::SignError;
use crate::core::text::Printable;

/// A command of the TPM failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// The command, as the specification names it: `TPM2_Sign`.
    pub call: Cow<'static, str>,
    /// What the TPM returned, or (above 0xFFFF) what libtss2 did.
    pub code: ResponseCode,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", Printable(&self.call), self.code)
    }
}

/// Why a TPM cannot do what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TpmError {
    /// It cannot be reached.
    Unreachable {
        /// Through what.
        tcti: String,
        /// Why.
        reason: String,
    },
    /// A command was sent, and is not answered: whether it was carried out nobody knows.
    Unanswered {
        /// Through what.
        tcti: String,
        /// The command, as the specification names it.
        call: Cow<'static, str>,
        /// Why there is no answer.
        reason: String,
    },
    /// A command failed.
    Call {
        /// What it was about: a key, a file, a handle.
        what: String,
        /// Which, and how.
        error: CallError,
    },
    /// There is nothing at a handle.
    NoKey {
        /// The handle.
        handle: u32,
    },
    /// There is something at a handle where something was to be put.
    Exists {
        /// The handle.
        handle: u32,
    },
    /// The key is none that serves.
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// A file is none that serves.
    File {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// An auth value is what is missing, wrong, or at its end.
    Auth {
        /// Of what.
        of: Object,
        /// What it is called.
        name: String,
        /// What is wrong with it.
        problem: AuthProblem,
    },
    /// The TPM cannot do this.
    Unsupported {
        /// What it cannot do.
        what: String,
        /// What can.
        remedy: String,
    },
    /// The process that speaks to the TPM has ended, or does not answer, or cannot do this.
    Signer {
        /// What happened.
        reason: String,
    },
}

/// What is wrong with an auth value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum AuthProblem {
    /// None is configured, or it can be read only once.
    Needed,
    /// The same, and the empty one was refused before, or its try was not answered. The file remembers it.
    NeededAfter(PathBuf),
    /// Its source cannot be read.
    Source(String),
    /// The TPM refused it just now, and counts that (TPM_RC_AUTH_FAIL) or does not (TPM_RC_BAD_AUTH).
    Refused {
        /// Whether it counts towards lockout.
        counts: bool,
    },
    /// This stored auth value was refused before, or its try was not answered. It is not tried again; the file
    /// remembers it.
    RefusedBefore(PathBuf),
    /// It was sent, and the TPM has not said what it thinks of it: it may have counted it as wrong.
    Unanswered {
        /// What happened.
        reason: String,
        /// What remembers it, so that it is not tried again, if it is a stored one.
        file: Option<PathBuf>,
    },
    /// The TPM is locked (TPM_RC_LOCKOUT).
    Locked,
    /// It is longer than the TPM takes.
    TooLong,
    /// It cannot be remembered whether it is refused, so that a stored one is not tried.
    NotRemembered(String),
    /// Another process has been trying one for too long.
    Busy(PathBuf),
    /// The question was cancelled.
    Cancelled,
}

impl TpmError {
    /// Whether an auth value is what has to be looked at.
    pub fn concerns_auth(&self) -> bool {
        matches!(self, Self::Auth { .. })
    }

    /// What to do about it, if that is known.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "tcti=… of the key's URI or TPM2TOOLS_TCTI says how the TPM is reached; a user needs the group \
                 `tss` for /dev/tpmrm0"
                    .to_owned(),
            ),
            Self::Unanswered { .. } => Some(
                "see whether `keystead tpm status` answers; --token-timeout allows more time".to_owned(),
            ),
            Self::NoKey { .. } => {
                Some("`keystead tpm status` shows what is at which handle".to_owned())
            }
            Self::Exists { .. } => {
                Some("take another handle; `keystead tpm status` shows which are taken".to_owned())
            }
            Self::Key { remedy, .. }
            | Self::File { remedy, .. }
            | Self::Unsupported { remedy, .. } => Some(remedy.clone()),
            Self::Auth { of, problem, .. } => problem.remedy(*of),
            Self::Call { error, .. } => match error.code.bare() {
                code::OBJECT_MEMORY | code::SESSION_MEMORY => Some(
                    "other programs have filled the TPM; through /dev/tpmrm0 each has a place of its own"
                        .to_owned(),
                ),
                code::INITIALIZE => Some(
                    "it was not started: the firmware or the system does that; `tpm2_startup -c` does it by hand"
                        .to_owned(),
                ),
                // What a policy is not met by depends on the TPM.
                code::POLICY_FAIL | code::POLICY | code::PCR_CHANGED => Some(
                    "a key that is bound to PCRs signs only while they are what they were when it was made"
                        .to_owned(),
                ),
                code::FAILURE => Some(
                    "the TPM has failed its self-test: only a restart of the machine may help"
                        .to_owned(),
                ),
                _ => None,
            },
            Self::Signer { .. } => None,
        }
        .filter(|remedy| !remedy.is_empty())
    }
}

impl AuthProblem {
    pub(super) fn remedy(&self, of: Object) -> Option<String> {
        let needed = match of {
            Object::Key => "auth-source=… of the key's URI, or --password-source, says where it is",
            Object::Parent => {
                "parent-auth-source=… of the key's URI, or --parent-auth-source, says where it is"
            }
            Object::Owner => "--owner-auth-source says where it is",
            Object::Endorsement => "it is asked for on a terminal",
        };
        match self {
            Self::Needed => Some(needed.to_owned()),
            Self::NeededAfter(file) => Some(format!(
                "{needed}; if it is the empty one all the same, remove {}",
                file.display()
            )),
            Self::Unanswered { file, .. } => Some(match file {
                Some(file) => format!(
                    "see what `keystead tpm status` says of failures; if it is the right one, remove {}, else put \
                     the right one there",
                    file.display()
                ),
                None => "see what `keystead tpm status` says of failures before it is typed again".to_owned(),
            }),
            Self::Refused { .. } => Some(
                "correct it where it is stored: one that was refused is not tried again".to_owned(),
            ),
            Self::TooLong => Some(
                "it has 32 bytes at most, where the key's name is a SHA-256 hash".to_owned(),
            ),
            Self::NotRemembered(_) => Some(
                "--state-dir names a folder that can be written to and outlives restarts".to_owned(),
            ),
            Self::Locked => Some(
                "`keystead tpm status` says when it unlocks by itself; `tpm2_dictionarylockout -c` unlocks it with \
                 the lockout password"
                    .to_owned(),
            ),
            Self::RefusedBefore(file) => Some(format!(
                "put the right one there; if it is right after all, remove {}",
                file.display()
            )),
            _ => None,
        }
    }
}

impl fmt::Display for TpmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { tcti, reason } => {
                write!(
                    f,
                    "the TPM at {} cannot be reached: {reason}",
                    Printable(tcti)
                )
            }
            Self::Unanswered { tcti, call, reason } => write!(
                f,
                "the TPM at {} has not answered {}: {reason}",
                Printable(tcti),
                Printable(call)
            ),
            Self::Call { what, error } => write!(f, "{}: {error}", Printable(what)),
            Self::NoKey { handle } => write!(f, "tpm:handle={handle:#010x}: there is no key"),
            Self::Exists { handle } => {
                write!(f, "tpm:handle={handle:#010x}: there is something already")
            }
            Self::Key { key, reason, .. } => write!(f, "{}: {reason}", Printable(key)),
            Self::File { name, reason, .. } => write!(f, "{}: {reason}", Printable(name)),
            Self::Auth { of, name, problem } => {
                write!(f, "{}: the auth value of {of} {problem}", Printable(name))
            }
            Self::Unsupported { what, .. } => f.write_str(what),
            Self::Signer { reason } => write!(f, "keystead-signer: {reason}"),
        }
    }
}

impl fmt::Display for AuthProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed => f.write_str("is needed"),
            Self::NeededAfter(file) => write!(
                f,
                "is needed: the empty one was refused before, or its try was not answered ({} remembers it)",
                file.display()
            ),
            Self::Source(reason) => write!(f, "cannot be read: {reason}"),
            Self::Refused { counts: true } => f.write_str(
                "was refused (TPM_RC_AUTH_FAIL), and that counts towards the TPM's lockout",
            ),
            Self::Refused { counts: false } => f.write_str("was refused (TPM_RC_BAD_AUTH)"),
            Self::RefusedBefore(file) => write!(
                f,
                "was refused before, and is not tried again, or its try was not answered ({} remembers it)",
                file.display()
            ),
            Self::Unanswered { reason, file: None } => write!(
                f,
                "was tried, and may have been counted as wrong: {reason}"
            ),
            Self::Unanswered {
                reason,
                file: Some(file),
            } => write!(
                f,
                "was tried, and may have been counted as wrong; it is not tried again ({} remembers it): {reason}",
                file.display()
            ),
            Self::Locked => f.write_str(
                "is not looked at: the TPM has locked itself after too many wrong ones (TPM_RC_LOCKOUT)",
            ),
            Self::TooLong => f.write_str("is longer than the TPM takes"),
            Self::NotRemembered(reason) => write!(
                f,
                "is not tried, since it could not be remembered if it were refused: {reason}"
            ),
            Self::Busy(file) => write!(
                f,
                "is being tried by another process ({} is locked)",
                file.display()
            ),
            Self::Cancelled => f.write_str("was asked for, and the question was cancelled"),
        }
    }
}

impl core::error::Error for TpmError {}

/// What a signer says of an error on the way to its key.
pub fn sign_error(error: &TpmError) -> SignError {
    match error {
        TpmError::NoKey { .. } | TpmError::Key { .. } | TpmError::File { .. } => SignError::KeyGone,
        TpmError::Auth { problem, .. } => match problem {
            AuthProblem::Locked => SignError::PinLocked,
            AuthProblem::Needed
            | AuthProblem::NeededAfter(_)
            | AuthProblem::Source(_)
            | AuthProblem::Cancelled => SignError::PinNeeded,
            _ => SignError::PinRefused,
        },
        TpmError::Call { error, .. } => SignError::Device {
            call: command(&error.call),
            code: error.code.0,
            name: error.code.name(),
        },
        TpmError::Unanswered { call, .. } => SignError::Device {
            call: command(call),
            code: code::IO_ERROR.0,
            name: code::IO_ERROR.name(),
        },
        TpmError::Unreachable { .. } => SignError::Device {
            call: "Tss2_TctiLdr_Initialize",
            code: code::IO_ERROR.0,
            name: code::IO_ERROR.name(),
        },
        TpmError::Signer { .. } => SignError::ProcessEnded,
        _ => SignError::Failed,
    }
}

/// The commands (and calls of libtss2) that signatures need, as texts of the program.
pub fn command(name: &str) -> &'static str {
    const KNOWN: [&str; 12] = [
        "TPM2_Sign",
        "TPM2_ReadPublic",
        "TPM2_Load",
        "TPM2_Import",
        "TPM2_CreatePrimary",
        "TPM2_StartAuthSession",
        "TPM2_FlushContext",
        "TPM2_PolicyPCR",
        "TPM2_PolicyAuthValue",
        "TPM2_PolicyRestart",
        "TPM2_GetCapability",
        "Tss2_TctiLdr_Initialize",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == name)
        .unwrap_or("TPM2")
}
