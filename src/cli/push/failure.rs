//! What kept an upload from ending well, for people.

use std::format;
use std::string::String;

use crate::cli::error::{CliError, Exit};
use crate::host::refresh::{Failure, FailureKind};
use crate::host::s3::{FaultKind, S3Error};
use crate::output::push::{Confirm, Halt, Outcome};

/// What became of an upload.
pub enum End {
    /// It is there, and was sent.
    Uploaded(Done),
    /// It was there before.
    WasThere(Done),
    /// It is not there, or nobody knows.
    Failed(CliError),
}

/// What S3 said of an object.
pub struct Done {
    /// Its `ETag`, with its quotes.
    pub etag: String,
    /// Its version, in buckets that have them.
    pub version: Option<String>,
}

/// What an outcome means to whoever waits for it.
pub fn end(outcome: Outcome, confirm: Confirm) -> End {
    let failed = |what, remedy| End::Failed(CliError::new(Exit::Refused, what, remedy));
    match outcome {
        Outcome::Confirmed(stored) => End::Uploaded(Done {
            etag: stored.etag,
            version: stored.version,
        }),
        Outcome::Unconfirmed(stored) if confirm == Confirm::Status => End::Uploaded(Done {
            etag: stored.etag,
            version: stored.version,
        }),
        Outcome::WasThere(stored) => End::WasThere(Done {
            etag: stored.etag,
            version: stored.version,
        }),
        Outcome::Unconfirmed(_) => failed(
            String::from("the server has taken it, and confirms no checksum"),
            "--confirm status takes that for success; --checksum sha256 may be confirmed",
        ),
        Outcome::Unsettled(what) => failed(what, "without --if-none-match it would be replaced"),
        Outcome::Poison(error) => End::Failed(of_store(&error)),
    }
}

/// The error for what S3 said, or did not say.
pub fn of_store(error: &S3Error) -> CliError {
    let exit = match error.kind {
        FaultKind::Network | FaultKind::Server | FaultKind::Throttled | FaultKind::Clock => {
            Exit::Network
        }
        FaultKind::Content => Exit::Internal,
        _ => Exit::Refused,
    };
    CliError::new(exit, error.what.as_str(), error.remedy.as_str())
}

/// What may be done about an upload that did not end.
pub enum Next {
    /// The same again, in a while.
    Again(CliError),
    /// Nothing; the next one may do better.
    GiveUp(CliError),
    /// Nothing, and the next one would do no better.
    End(CliError),
}

/// What may be done about it.
pub fn next(halt: &Halt) -> Next {
    match halt {
        Halt::Stopped => Next::End(interrupted()),
        Halt::Session(failure) => match failure.kind {
            FailureKind::Lasting => Next::End(of_session(failure, Exit::Refused)),
            _ => Next::Again(of_session(failure, Exit::Network)),
        },
        Halt::Store(error) => {
            let failed = of_store(error);
            match error.kind {
                FaultKind::Network
                | FaultKind::Server
                | FaultKind::Throttled
                | FaultKind::Clock
                | FaultKind::Restart => Next::Again(failed),
                FaultKind::Place | FaultKind::Credentials => Next::End(failed),
                // All files have the same attributes; what is no answer of S3's may be about this one.
                FaultKind::Unclear if !error.code.is_empty() => Next::End(failed),
                _ => Next::GiveUp(failed),
            }
        }
    }
}

/// The error for what a person has stopped.
pub fn interrupted() -> CliError {
    CliError::new(Exit::Internal, "the upload was stopped", "")
}

fn of_session(failure: &Failure, exit: Exit) -> CliError {
    let what = format!("there are no credentials: {}", failure.what);
    CliError::new(exit, what, failure.remedy.as_str())
}
