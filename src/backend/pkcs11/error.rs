//! Why a token cannot do what is asked of it, and what to do about it.

use core::fmt;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::call::CallError;
use super::tokens::{PinRole, TokenName};
use super::uri::Uri;
use crate::core::text::Printable;

/// Why a token cannot do what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TokenError {
    /// The module cannot be loaded, or is none.
    Module {
        /// The module.
        path: PathBuf,
        /// What the dynamic linker says.
        reason: String,
    },
    /// A function of the module failed.
    Call {
        /// The module.
        module: PathBuf,
        /// Which, and how.
        error: CallError,
    },
    /// No token is what the URI names.
    NoToken {
        /// What was looked for.
        uri: Box<Uri>,
        /// The tokens that are there.
        present: Vec<Uri>,
    },
    /// Several tokens are, and only one of them can be logged in to.
    SeveralTokens {
        /// What was looked for.
        uri: Box<Uri>,
        /// The tokens that match.
        matches: Vec<Uri>,
    },
    /// No object is what the URI names.
    NoObject {
        /// What was looked for.
        uri: Box<Uri>,
        /// What it should be: `private key`, `certificate`.
        what: String,
        /// What there is of that kind.
        present: Vec<Uri>,
    },
    /// Several objects are, and nothing decides which is meant.
    SeveralObjects {
        /// What was looked for.
        uri: Box<Uri>,
        /// What it should be.
        what: String,
        /// Those that match.
        matches: Vec<Uri>,
    },
    /// The key is none that Roles Anywhere takes, or its public part is nowhere to be had.
    Key {
        /// The key.
        uri: Box<Uri>,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate is for another key.
    KeyMismatch {
        /// The key.
        uri: Box<Uri>,
    },
    /// There is something already where something was to be put.
    Exists {
        /// What is there.
        uri: Box<Uri>,
        /// Which flag allows it, if one does.
        unless: Option<String>,
    },
    /// The token cannot do this, or its module cannot.
    Unsupported {
        /// The token.
        token: Box<TokenName>,
        /// What it cannot do.
        what: String,
        /// What the module said.
        error: Option<CallError>,
        /// What can.
        remedy: String,
    },
    /// The key is not as `--require-hardware` demands it.
    NotHardware {
        /// The key.
        uri: Box<Uri>,
        /// The claims that are missing (`CKA_SENSITIVE`).
        missing: Vec<String>,
    },
    /// A PIN is what is missing, wrong, or at its end.
    Pin {
        /// Of which token.
        token: Box<TokenName>,
        /// Whose.
        role: PinRole,
        /// What is wrong with it.
        problem: PinProblem,
    },
    /// The process that speaks to the module has ended, or does not answer.
    Signer {
        /// What happened.
        reason: String,
    },
}

/// What is wrong with a PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PinProblem {
    /// None is configured, or it can be read only once.
    Needed,
    /// Its source cannot be read.
    Source(String),
    /// The token refused it just now.
    Refused,
    /// The token cannot take it: it is too short, too long, or expired.
    Unusable(CallError),
    /// This stored PIN was refused before. It is not tried again; the file remembers it.
    RefusedBefore(PathBuf),
    /// A wrong PIN would lock the token, so that a stored one is not tried.
    FinalTry,
    /// The token has locked it.
    Locked,
    /// It was never set.
    NotSet,
    /// It has to be changed first.
    ToBeChanged,
    /// It cannot be remembered whether it is refused, so that a stored one is not tried.
    NotRemembered(String),
    /// Another process has been logging in to this token for too long.
    Busy(PathBuf),
    /// The question was cancelled.
    Cancelled,
}

impl TokenError {
    /// Whether a PIN is what has to be looked at.
    pub fn concerns_pin(&self) -> bool {
        matches!(self, Self::Pin { .. })
    }

    /// Whether it may be gone later without anyone changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Call { .. } | Self::Signer { .. } | Self::NoToken { .. } => true,
            Self::Pin { problem, .. } => matches!(problem, PinProblem::Busy(_)),
            _ => false,
        }
    }
}

impl TokenError {
    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::Module { .. } => {
                "name the token's PKCS#11 module: --pkcs11-lib FILE, or module-path=FILE in the URI; \
                 without either it is p11-kit's proxy (Debian: p11-kit-modules)"
            }
            Self::NoToken { .. } | Self::NoObject { .. } => {
                "`keystead token list` shows what there is"
            }
            Self::SeveralTokens { .. } | Self::SeveralObjects { .. } => {
                "name one of them by its whole URI"
            }
            Self::KeyMismatch { .. } => "give the certificate that was issued for this key",
            Self::Exists {
                unless: Some(flag), ..
            } => return Some(std::format!("{flag} does it all the same")),
            Self::Exists { unless: None, .. } => "choose another place for it (id=, object=)",
            Self::Unsupported { remedy, .. } if !remedy.is_empty() => return Some(remedy.clone()),
            Self::NotHardware { .. } => {
                "make a key in the token itself: `keystead key generate`; or leave --require-hardware out"
            }
            Self::Pin { role, problem, .. } => return problem.remedy(*role),
            _ => return None,
        };
        Some(text.into())
    }
}

impl PinProblem {
    fn remedy(&self, role: PinRole) -> Option<String> {
        let source = match role {
            PinRole::SecurityOfficer => "--so-pin-source",
            PinRole::User | PinRole::Signature => "--password-source (or pin-source= in the URI)",
        };
        Some(match self {
            Self::Needed => std::format!(
                "say where it comes from: {source} with file:…|env:…|fd:…|cred:…|cmd:…|prompt"
            ),
            Self::Refused | Self::Unusable(_) => {
                "correct it where it is stored; this one is not tried again".into()
            }
            Self::RefusedBefore(file) => std::format!(
                "correct it where it is stored; if it is right all the same, remove {}",
                file.display()
            ),
            Self::FinalTry => {
                "log in by hand (with `prompt` as its source): the right PIN sets the count back"
                    .into()
            }
            Self::Locked => "unblock it with the token's own tool and its PUK or SO PIN".into(),
            Self::NotSet | Self::ToBeChanged => "set it with the token's own tool".into(),
            Self::NotRemembered(_) => {
                "--state-dir names a folder that can be written to and outlives restarts".into()
            }
            Self::Busy(file) => std::format!("see which process holds {}", file.display()),
            Self::Source(_) | Self::Cancelled => return None,
        })
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module { path, reason } => write!(
                f,
                "the PKCS#11 module {} cannot be loaded: {}",
                path.display(),
                Printable(reason)
            ),
            Self::Call { module, error } => write!(f, "{}: {error}", module.display()),
            Self::NoToken { uri, present } => {
                write!(f, "no token is {uri}")?;
                list(f, "there is", present)
            }
            Self::SeveralTokens { uri, matches } => {
                write!(f, "several tokens are {uri}")?;
                list(f, "they are", matches)
            }
            Self::NoObject { uri, what, present } => {
                write!(f, "no {what} is {uri}")?;
                list(f, "there is", present)
            }
            Self::SeveralObjects { uri, what, matches } => {
                write!(f, "several {what}s are {uri}")?;
                list(f, "they are", matches)
            }
            Self::Key { uri, reason } => write!(f, "{uri}: {reason}"),
            Self::KeyMismatch { uri } => {
                write!(f, "{uri}: the certificate is for another key than this")
            }
            Self::Exists { uri, .. } => write!(f, "there already is {uri}"),
            Self::Unsupported {
                token, what, error, ..
            } => {
                write!(f, "{token} cannot {what}")?;
                match error {
                    Some(error) => write!(f, " ({error})"),
                    None => Ok(()),
                }
            }
            Self::NotHardware { uri, missing } => write!(
                f,
                "{uri}: its module does not claim that the key never was outside hardware: {} missing",
                missing.join(", ")
            ),
            Self::Pin {
                token,
                role,
                problem,
            } => {
                let whose = match role {
                    PinRole::SecurityOfficer => "the SO PIN",
                    PinRole::User | PinRole::Signature => "the PIN",
                };
                write!(f, "{token}: {whose} ")?;
                problem.fmt(f)
            }
            Self::Signer { reason } => write!(f, "keystead-signer: {}", Printable(reason)),
        }
    }
}

impl fmt::Display for PinProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needed => f.write_str("is needed"),
            Self::Source(reason) => write!(f, "cannot be read: {}", Printable(reason)),
            Self::Refused => f.write_str("was refused"),
            Self::Unusable(error) => write!(f, "cannot be used ({error})"),
            Self::RefusedBefore(_) => f.write_str("was refused before, and is not tried again"),
            Self::FinalTry => f.write_str("has one try left, which is not spent on a stored one"),
            Self::Locked => f.write_str("is locked"),
            Self::NotSet => f.write_str("was never set"),
            Self::ToBeChanged => f.write_str("has to be changed first"),
            Self::NotRemembered(reason) => write!(
                f,
                "is not tried, since a refusal could not be remembered: {}",
                Printable(reason)
            ),
            Self::Busy(_) => f.write_str("is being tried by another process that does not end"),
            Self::Cancelled => f.write_str("was not given"),
        }
    }
}

impl core::error::Error for TokenError {}

fn list(f: &mut fmt::Formatter<'_>, before: &str, uris: &[Uri]) -> fmt::Result {
    for (index, uri) in uris.iter().enumerate() {
        let separator = if index == 0 { before } else { "," };
        let colon = if index == 0 { ": " } else { " " };
        write!(
            f,
            "{}{separator}{colon}{uri}",
            if index == 0 { "; " } else { "" }
        )?;
    }
    Ok(())
}
