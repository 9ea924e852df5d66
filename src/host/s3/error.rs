//! What keeps an operation from succeeding, and what that means for those who want to go on.

use core::fmt;
use core::time::Duration;
use std::string::String;

use crate::core::time::UnixTime;

/// What a failure is about. None of them is an attempt used up: who uploads goes on until somebody says
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// No whole answer: offline, no address, TLS, a proxy, no progress for too long.
    Network,
    /// The server is in trouble: 500, 502, 503, 504, `RequestTimeout`, an answer that cannot be read, a 200 with
    /// an `<Error>` inside.
    Server,
    /// The server asks to slow down: `SlowDown`, 429…
    Throttled,
    /// The credentials are over or unknown: `ExpiredToken`, `InvalidToken`, `InvalidAccessKeyId`. Others may do.
    Credentials,
    /// Not allowed: 403 `AccessDenied` and its like. Of the entry alone, if others pass with the same session.
    Refused,
    /// Refused either for what it is, or because something is wrong with the way or the place: `KMS.*`, 501,
    /// `SignatureDoesNotMatch`, a 400 without a code, which is a proxy's as likely as S3's. Of the entry alone, if
    /// others pass with the same session.
    Unclear,
    /// `RequestTimeTooSkewed`: the clock is wrong.
    Clock,
    /// Bucket, region or endpoint are wrong, or a person has to do something about the account: `NoSuchBucket`,
    /// redirects, `AuthorizationHeaderMalformed`.
    Place,
    /// Refused for what it is, and would be again: 400 with a code, key too long, too large, a digest that does not match.
    Object,
    /// An upload in parts has to be begun anew: `NoSuchUpload`, `InvalidPart`, 409.
    Restart,
    /// 412: there is an object under that key already.
    Exists,
    /// The content cannot be read from the disk.
    Content,
}

/// Why an operation did not succeed. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Error {
    /// What it is about.
    pub kind: FaultKind,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// S3's code: `AccessDenied`. Empty if there was none.
    pub code: String,
    /// One sentence: what is wrong, for people, with S3's own message and its id of the
    /// request where there was one.
    pub what: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// How long the server asks to wait (`Retry-After`, `x-amz-retry-after`).
    pub retry_after: Option<Duration>,
    /// The server's clock, if its certificate was verified.
    pub date: Option<UnixTime>,
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl core::error::Error for S3Error {}
