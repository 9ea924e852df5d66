//! How an upload ends.

use core::fmt;
use std::string::String;

use crate::host::refresh::Failure;
use crate::host::s3::{S3Error, Stored};

/// How an upload of one object ends, if nothing kept it from ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// S3 has confirmed the checksum of what it stored: the source may go.
    Confirmed(Stored),
    /// It was not to be replaced, and is there already with this very content.
    WasThere(Stored),
    /// S3 has taken it (200), but nobody confirmed the content: the server echoes no checksum, and neither HEAD nor
    /// the ETag say more. The source may go only if a status is enough for the user.
    Unconfirmed(Stored),
    /// It was not to be replaced, and something is there, of which nobody says what it is, or which is something
    /// else. The source stays, set aside.
    Unsettled(String),
    /// It would be refused each time: the source stays, set aside.
    Poison(S3Error),
}

/// Why an upload did not end. Nothing is lost, and no attempt is used up: whoever asked for it asks again, when
/// there is reason to expect more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Halt {
    /// S3, or the way to it.
    Store(S3Error),
    /// There are no credentials.
    Session(Failure),
    /// [`Pace::stop`](super::Pace::stop).
    Stopped,
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Session(failure) => failure.fmt(f),
            Self::Stopped => f.write_str("the upload was stopped"),
        }
    }
}

impl core::error::Error for Halt {}

/// Is told how far an upload is. Called often, from the uploading thread.
pub trait Progress: Send {
    /// `bytes` more of the content are on their way.
    fn sent(&mut self, bytes: u64);
    /// `bytes` that were told have to be sent again.
    fn again(&mut self, bytes: u64);
    /// `bytes` of it S3 has already, from an attempt before.
    fn resumed(&mut self, bytes: u64);
}

impl Progress for () {
    fn sent(&mut self, _bytes: u64) {}
    fn again(&mut self, _bytes: u64) {}
    fn resumed(&mut self, _bytes: u64) {}
}
