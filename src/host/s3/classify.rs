//! What an answer means for whoever wants to go on, in words for people.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::format;
use std::io;
use std::string::{String, ToString as _};

use super::bucket::Bucket;
use super::documents::ErrorDocument;
use super::error::{FaultKind, S3Error};
use super::reply::Reply;
use super::wire::Failure;
use crate::core::text::Printable;
use crate::core::time::UnixTime;
use crate::host::transport::HttpError;

/// What S3's codes mean (S3 API reference, "List of error codes"), and what to do.
struct Known {
    codes: &'static [&'static str],
    kind: FaultKind,
    remedy: &'static str,
}

const KNOWN: [Known; 19] = [
    Known {
        codes: &[
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottledException",
            "RequestThrottled",
            "TooManyRequestsException",
            "TooManyRequests",
            "ProvisionedThroughputExceededException",
            "TransactionInProgressException",
            "RequestLimitExceeded",
            "BandwidthLimitExceeded",
            "LimitExceededException",
            "PriorRequestNotComplete",
            "EC2ThrottledException",
        ],
        kind: FaultKind::Throttled,
        remedy: "the server asks for fewer requests: it is tried again later",
    },
    Known {
        codes: &[
            "InternalError",
            "InternalFailure",
            "ServiceUnavailable",
            "RequestTimeout",
            "RequestTimeoutException",
            "IncompleteBody",
            "RequestTimeOut",
            "ServerBusy",
            "XMinioServerNotInitialized",
        ],
        kind: FaultKind::Server,
        remedy: "it is tried again later; if it stays, see the state of the service",
    },
    Known {
        codes: &[
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
            "RequestExpired",
        ],
        kind: FaultKind::Credentials,
        remedy: "the session is over: the next one may do",
    },
    Known {
        codes: &[
            "InvalidToken",
            "InvalidAccessKeyId",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
        ],
        kind: FaultKind::Credentials,
        remedy: "the server does not know these credentials: check that they are of the partition and account \
                 that the bucket is in; another session may do",
    },
    Known {
        codes: &["SignatureDoesNotMatch", "AuthorizationQueryParametersError"],
        // A session has the key that it came with: another one would sign no better.
        kind: FaultKind::Unclear,
        remedy: "check the secret key, and whether something between here and S3 changes requests (a proxy that \
                 rewrites headers or paths)",
    },
    Known {
        codes: &["RequestTimeTooSkewed", "RequestInTheFuture"],
        kind: FaultKind::Clock,
        remedy: "set the clock (`date -u`). Over TLS with a certificate that is verified, S3's own clock is used \
                 from now on",
    },
    Known {
        codes: &[
            "AccessDenied",
            "AccessDeniedException",
            "Forbidden",
            "AllAccessDisabled",
        ],
        kind: FaultKind::Refused,
        remedy: "the role's policies, the profile's session policy or the bucket's policy do not allow it: uploads \
                 take s3:PutObject on the key, tags s3:PutObjectTagging, KMS keys kms:GenerateDataKey and \
                 kms:Decrypt",
    },
    Known {
        codes: &[
            "AccountProblem",
            "NotSignedUp",
            "InvalidPayer",
            "OptInRequired",
        ],
        kind: FaultKind::Place,
        remedy: "the account has to be put in order: see its page at AWS",
    },
    Known {
        codes: &["NoSuchBucket", "InvalidBucketName", "InvalidBucketState"],
        kind: FaultKind::Place,
        remedy: "check the bucket's name, region and endpoint",
    },
    Known {
        codes: &["NotImplemented", "MethodNotAllowed"],
        kind: FaultKind::Unclear,
        remedy: "the server does not know this operation, or one of its headers: check that --s3-endpoint is an S3 \
                 server, and that it has the storage class, encryption and tags that are asked for",
    },
    Known {
        codes: &[
            "PermanentRedirect",
            "TemporaryRedirect",
            "Redirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "InvalidLocationConstraint",
            "InvalidRegion",
        ],
        kind: FaultKind::Place,
        remedy: "the bucket is in another region: give it with --s3-region",
    },
    Known {
        codes: &["KMS.*", "KMSNotConfigured"],
        kind: FaultKind::Unclear,
        remedy: "check the KMS key: that it is there, in the bucket's region, and enabled",
    },
    Known {
        codes: &[
            "QuotaExceeded",
            "EntityQuotaExceeded",
            "XMinioStorageFull",
            "InsufficientStorage",
        ],
        kind: FaultKind::Place,
        remedy: "the server has no room left: somebody has to make some",
    },
    Known {
        codes: &[
            "NoSuchUpload",
            "InvalidPart",
            "InvalidPartOrder",
            "ConditionalRequestConflict",
        ],
        kind: FaultKind::Restart,
        remedy: "the upload has to be begun anew",
    },
    Known {
        codes: &["OperationAborted"],
        kind: FaultKind::Server,
        remedy: "something else is being done to the bucket at the same time: it is tried again later",
    },
    Known {
        codes: &["PreconditionFailed"],
        kind: FaultKind::Exists,
        remedy: "there is an object under that key already, and it is not to be replaced",
    },
    Known {
        codes: &[
            "BadDigest",
            "InvalidDigest",
            "ChecksumMismatch",
            "InvalidChecksum",
            "XAmzContentSHA256Mismatch",
        ],
        kind: FaultKind::Object,
        remedy: "what arrived is not what was sent: check that nothing changes the file, and the machine's memory",
    },
    Known {
        codes: &[
            "KeyTooLongError",
            "InvalidURI",
            "InvalidObjectName",
            "KeyTooLong",
        ],
        kind: FaultKind::Object,
        remedy: "keys have at most 1024 bytes, and some servers take fewer characters than S3",
    },
    Known {
        codes: &[
            "EntityTooLarge",
            "EntityTooSmall",
            "MetadataTooLarge",
            "MaxMessageLengthExceeded",
            "InvalidTag",
        ],
        kind: FaultKind::Object,
        remedy: "check the size of the object and its parts, its metadata and tags against S3's limits",
    },
];

/// The kind of an answer whose code is not known.
fn by_status(status: u16, code: &str) -> (FaultKind, &'static str) {
    match status {
        200..=299 => (
            FaultKind::Server,
            "the answer says success and error at once: it is tried again later",
        ),
        301 | 302 | 307 | 308 => (
            FaultKind::Place,
            "the bucket is elsewhere: check --s3-region and --s3-endpoint",
        ),
        401 | 403 => (
            FaultKind::Refused,
            "check what the role's policies and the bucket's policy allow",
        ),
        404 => (
            FaultKind::Place,
            "check the bucket's name, and that --s3-endpoint is an S3 server",
        ),
        405 | 501 => (
            FaultKind::Unclear,
            "the server does not know this operation: check that --s3-endpoint is an S3 server",
        ),
        407 => (FaultKind::Network, "the proxy wants a user and a password"),
        408 | 417 | 425 => (FaultKind::Server, "it is tried again later"),
        409 => (FaultKind::Restart, "the upload has to be begun anew"),
        412 => (
            FaultKind::Exists,
            "there is an object under that key already, and it is not to be replaced",
        ),
        429 => (
            FaultKind::Throttled,
            "the server asks for fewer requests: it is tried again later",
        ),
        507 => (
            FaultKind::Place,
            "the server has no room left: somebody has to make some",
        ),
        500..=599 => (
            FaultKind::Server,
            "it is tried again later; if it stays, see the state of the service",
        ),
        // S3 says why with a code. Without one it may be a proxy that takes no request at all.
        _ if code.is_empty() => (
            FaultKind::Unclear,
            "there is no code of S3's in the answer: check --s3-endpoint, and whether a proxy answers in its place",
        ),
        _ => (
            FaultKind::Object,
            "the server does not take the request: see its message",
        ),
    }
}

/// Whether `code` is a known one, which may stand for all that begin like it.
fn is(code: &str, known: &str) -> bool {
    match known.strip_suffix('*') {
        Some(beginning) => code.starts_with(beginning),
        None => code == known,
    }
}

/// What an answer means that is no success.
pub(super) fn refusal(
    operation: &str,
    bucket: &Bucket,
    key: &str,
    reply: &Reply,
    date: Option<UnixTime>,
) -> S3Error {
    let document = ErrorDocument::read(&reply.body).unwrap_or_default();
    let known = KNOWN
        .iter()
        .find(|known| known.codes.iter().any(|code| is(&document.code, code)));
    let (mut kind, mut remedy) = match known {
        // Of a code below 500, whatever the status is; a server in trouble may say anything.
        Some(known) => (known.kind, known.remedy.to_owned()),
        None => {
            let (kind, remedy) = by_status(reply.status, &document.code);
            (kind, remedy.to_owned())
        }
    };
    if document.code == "InvalidRequest" && document.message.contains("AWS4-HMAC-SHA256") {
        kind = FaultKind::Place;
    }
    let region = (document.region.as_deref())
        .or_else(|| reply.value("x-amz-bucket-region"))
        .filter(|region| !region.is_empty() && *region != bucket.region());
    if let (FaultKind::Place, Some(region)) = (kind, region) {
        let (region, given) = (Printable(region), bucket.region());
        remedy = format!("the bucket is in {region}, not in {given}: give --s3-region {region}");
    }
    S3Error {
        kind,
        status: Some(reply.status),
        what: sentence(operation, bucket, key, reply, &document),
        code: Printable(&document.code).to_string(),
        remedy,
        retry_after: retry_after(reply),
        date,
    }
}

fn sentence(
    operation: &str,
    bucket: &Bucket,
    key: &str,
    reply: &Reply,
    document: &ErrorDocument,
) -> String {
    let mut what = format!(
        "{operation} of s3://{}/{} failed with status {}",
        bucket.name(),
        Printable(key),
        reply.status
    );
    if !document.code.is_empty() {
        what += &format!(", {}", Printable(&document.code));
    }
    if !document.message.is_empty() {
        what += &format!(": {}", Printable(document.message.trim()));
    }
    let id = reply.value("x-amz-request-id");
    if let Some(id) = document.request_id.as_deref().or(id) {
        what += &format!(" (request {})", Printable(id));
    }
    what
}

/// `x-amz-retry-after` in milliseconds, else `Retry-After` in seconds.
fn retry_after(reply: &Reply) -> Option<Duration> {
    let number = |name| reply.value(name)?.trim().parse().ok();
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

/// What a success means whose document cannot be read, or does not say what it has to.
pub(super) fn unreadable(
    operation: &str,
    bucket: &Bucket,
    key: &str,
    reply: &Reply,
    why: &str,
) -> S3Error {
    S3Error {
        kind: FaultKind::Server,
        status: Some(reply.status),
        code: String::new(),
        what: format!(
            "the answer to {operation} of s3://{}/{} cannot be used: {why}",
            bucket.name(),
            Printable(key)
        ),
        remedy: "it is tried again later; if it stays, check that --s3-endpoint is an S3 server"
            .to_owned(),
        retry_after: None,
        date: None,
    }
}

/// What it means that there is no answer.
pub(super) fn failure(operation: &str, bucket: &Bucket, key: &str, failure: Failure) -> S3Error {
    let host = &bucket.endpoint().authority;
    let (kind, what, remedy) = match failure {
        Failure::Content(error) => return content(key, &error),
        Failure::Http(error) => {
            let (kind, remedy) = match &error {
                HttpError::HostNotFound => (
                    FaultKind::Network,
                    "check the network and --s3-endpoint; it is tried again later",
                ),
                HttpError::Tls(_) => (
                    FaultKind::Network,
                    "check the clock, --ca-bundle, and whether something between here and S3 opens connections",
                ),
                HttpError::Roots(_) => (FaultKind::Network, "check --ca-bundle"),
                HttpError::Proxy(_) => (
                    FaultKind::Network,
                    "check the proxy that the environment names",
                ),
                HttpError::NotHttp(_) => (
                    FaultKind::Server,
                    "check that --s3-endpoint is an S3 server, and whether it wants https://",
                ),
                HttpError::TooLong => (
                    FaultKind::Server,
                    "check that --s3-endpoint is an S3 server",
                ),
                HttpError::BadRequest => (
                    FaultKind::Object,
                    "a header of the request holds what it must not: check metadata and content type",
                ),
                HttpError::Timeout(_) | HttpError::Connection(_) => {
                    (FaultKind::Network, "it is tried again later")
                }
            };
            let what = format!("{operation} at {host}: {error}");
            (kind, what, remedy)
        }
    };
    S3Error {
        kind,
        status: None,
        code: String::new(),
        what,
        remedy: remedy.to_owned(),
        retry_after: None,
        date: None,
    }
}

/// What it means that the content cannot be read.
fn content(key: &str, error: &io::Error) -> S3Error {
    S3Error {
        kind: FaultKind::Content,
        status: None,
        code: String::new(),
        what: format!("the content for {} cannot be read: {error}", Printable(key)),
        remedy: "check the file and the disk that it is on".to_owned(),
        retry_after: None,
        date: None,
    }
}

/// A request that cannot be formed.
pub(super) fn unsignable(key: &str, why: &str) -> S3Error {
    S3Error {
        kind: FaultKind::Object,
        status: None,
        code: String::new(),
        what: format!("there is no request for {}: {why}", Printable(key)),
        remedy: "check region, metadata and tags".to_owned(),
        retry_after: None,
        date: None,
    }
}

#[cfg(test)]
mod tests;
