//! Codes and statuses, and what they mean.

use super::*;
use crate::core::http::Answer as _;
use crate::host::s3::Place;

fn bucket() -> Bucket {
    let place = Place {
        region: "eu-west-1".into(),
        ..Place::default()
    };
    Bucket::new("logs", &place).unwrap()
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> S3Error {
    let mut reply = Reply::default();
    reply.status(status);
    for (name, value) in headers {
        reply.header(name, value.as_bytes());
    }
    reply.body(body.as_bytes()).unwrap();
    refusal("PutObject", &bucket(), "a", &reply, None)
}

fn error(status: u16, code: &str) -> S3Error {
    let body = format!("<Error><Code>{code}</Code><Message>why</Message></Error>");
    answer(status, &[], &body)
}

#[test]
fn every_code_of_the_protocol_has_its_kind_and_a_remedy() {
    use FaultKind::{
        Clock, Credentials, Exists, Object, Place, Refused, Restart, Server, Throttled, Unclear,
    };
    for (status, code, kind) in [
        (403, "RequestTimeTooSkewed", Clock),
        (400, "RequestTimeout", Server),
        (400, "RequestTimeoutException", Server),
        (503, "SlowDown", Throttled),
        (400, "ThrottlingException", Throttled),
        (429, "TooManyRequestsException", Throttled),
        (500, "InternalError", Server),
        (503, "ServiceUnavailable", Server),
        (400, "ExpiredToken", Credentials),
        (400, "InvalidToken", Credentials),
        (403, "InvalidAccessKeyId", Credentials),
        (403, "SignatureDoesNotMatch", Unclear),
        (403, "AccessDenied", Refused),
        (400, "BadDigest", Object),
        (400, "XAmzContentSHA256Mismatch", Object),
        (400, "EntityTooSmall", Object),
        (400, "EntityTooLarge", Object),
        (400, "KeyTooLongError", Object),
        (400, "InvalidPart", Restart),
        (400, "InvalidPartOrder", Restart),
        (404, "NoSuchUpload", Restart),
        (409, "ConditionalRequestConflict", Restart),
        (409, "OperationAborted", Server),
        (411, "MissingContentLength", Object),
        (412, "PreconditionFailed", Exists),
        (400, "AuthorizationHeaderMalformed", Place),
        (301, "PermanentRedirect", Place),
        (307, "TemporaryRedirect", Place),
        (404, "NoSuchBucket", Place),
        (400, "KMS.NotFoundException", Unclear),
        (501, "NotImplemented", Unclear),
        (405, "SomethingNew", Unclear),
        // A 200 with an error in it: what it says counts.
        (200, "InternalError", Server),
        (200, "NoSuchUpload", Restart),
        (200, "SomethingNew", Server),
        (400, "SomethingNew", Object),
        (418, "SomethingNew", Object),
        (599, "SomethingNew", Server),
    ] {
        let error = error(status, code);
        assert_eq!(error.kind, kind, "{status} {code}");
        assert_eq!((error.status, error.code.as_str()), (Some(status), code));
        assert!(!error.remedy.is_empty(), "{status} {code}");
        let says = format!("PutObject of s3://logs/a failed with status {status}, {code}: why");
        assert_eq!(error.what, says);
    }
}

#[test]
fn without_a_document_the_status_counts() {
    use FaultKind::{Exists, Network, Place, Refused, Restart, Server, Throttled, Unclear};
    for (status, kind) in [
        (301, Place),
        (400, Unclear),
        (403, Refused),
        (404, Place),
        (407, Network),
        (408, Server),
        (409, Restart),
        (405, Unclear),
        (411, Unclear),
        (412, Exists),
        (413, Unclear),
        (414, Unclear),
        (417, Server),
        (421, Unclear),
        (431, Unclear),
        (451, Unclear),
        (429, Throttled),
        (502, Server),
        (503, Server),
        (504, Server),
        (507, Place),
    ] {
        for body in ["", "<html>", "<Error", "{}"] {
            assert_eq!(answer(status, &[], body).kind, kind, "{status} {body}");
        }
    }
}

#[test]
fn the_region_of_a_bucket_that_is_elsewhere_is_told() {
    let body =
        "<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>";
    let error = answer(400, &[], body);
    assert!(
        error.remedy.contains("--s3-region eu-central-1"),
        "{error:?}"
    );
    let error = answer(301, &[("x-amz-bucket-region", "us-west-2")], "");
    assert!(error.remedy.contains("--s3-region us-west-2"), "{error:?}");
    let error = answer(404, &[("x-amz-bucket-region", "eu-west-1")], "");
    assert!(!error.remedy.contains("is in eu-west-1"), "{error:?}");
}

#[test]
fn waiting_and_ids() {
    let headers = [("Retry-After", "7"), ("x-amz-request-id", "4711")];
    let error = answer(503, &headers, "");
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    assert!(error.what.ends_with("(request 4711)"), "{error:?}");
    let headers = [("Retry-After", "7"), ("x-amz-retry-after", "250")];
    let error = answer(503, &headers, "");
    assert_eq!(error.retry_after, Some(Duration::from_millis(250)));
    for nonsense in ["-1", "soon", "1e9", ""] {
        assert_eq!(
            answer(503, &[("Retry-After", nonsense)], "").retry_after,
            None
        );
    }
}

#[test]
fn what_a_server_says_cannot_steer_a_terminal() {
    let body = "<Error><Code>&#27;[2J</Code><Message>a&#10;b</Message></Error>";
    let error = answer(403, &[], body);
    assert!(!error.what.contains(['\u{1b}', '\n']), "{error:?}");
    assert!(!error.code.contains('\u{1b}'), "{error:?}");
    let long = format!("<Error><Message>{}</Message></Error>", "x".repeat(100_000));
    assert!(answer(403, &[], &long).what.len() < 1500);
}

#[test]
fn no_answer_is_the_network_or_the_content() {
    let of = |failure| super::failure("PutObject", &bucket(), "a", failure);
    let error = of(Failure::Http(HttpError::HostNotFound));
    assert_eq!(error.kind, FaultKind::Network);
    assert!(
        error
            .what
            .starts_with("PutObject at logs.s3.eu-west-1.amazonaws.com: "),
        "{error:?}"
    );
    let error = of(Failure::Content(io::Error::other("gone")));
    assert_eq!(error.kind, FaultKind::Content);
}
