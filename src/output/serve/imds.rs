//! EC2's instance metadata service, version 2, as far as programs look for credentials and their region in
//! it ("Use IMDSv2", Amazon EC2 User Guide).

use std::string::{String, ToString as _};

use super::documents;
use super::identity::{Served, Unavailable};
use super::session_token::{SessionTokens, TTL};
use super::uri;
use crate::core::time::UnixTime;
use crate::host::refresh::{Failure, FailureKind};
use crate::output::http::{Body, Outcome, Request, Response};

const TOKEN: &str = "X-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "X-aws-ec2-metadata-token-ttl-seconds";

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";

/// Answers a request.
pub fn handle(
    request: &Request<'_>,
    served: &mut Served,
    tokens: &SessionTokens,
    now: UnixTime,
) -> Outcome {
    // An empty one comes from a proxy as well.
    if request.headers.contains("X-Forwarded-For") {
        return plain(403, "requests that come through a proxy are refused");
    }
    let path = uri::trimmed(request.path);
    if let Some(version) = path.strip_suffix("/api/token") {
        return match version {
            "latest" => token(request, tokens),
            _ if is_version(version) => plain(403, "tokens are at /latest/api/token"),
            _ => plain(404, "not found"),
        };
    }
    let valid = request.headers.get(TOKEN);
    let Some(ttl) = valid.and_then(|token| tokens.remaining(token)) else {
        return plain(
            401,
            "a valid token is needed: PUT /latest/api/token gives one",
        );
    };
    let outcome = match request.method {
        "GET" | "HEAD" => metadata(path, request.is_last, served, now),
        _ => not_allowed("GET, HEAD"),
    };
    match outcome {
        Outcome::Done(mut response) => {
            response.headers.push((TOKEN_TTL, ttl.to_string()));
            Outcome::Done(response)
        }
        Outcome::Wait => Outcome::Wait,
    }
}

/// `PUT /latest/api/token`.
fn token(request: &Request<'_>, tokens: &SessionTokens) -> Outcome {
    if request.method != "PUT" {
        return not_allowed("PUT");
    }
    let Some(ttl) = request.headers.get(TOKEN_TTL).and_then(seconds) else {
        return plain(
            400,
            "X-aws-ec2-metadata-token-ttl-seconds has to be from 1 to 21600",
        );
    };
    let Ok(token) = tokens.issue(ttl) else {
        return plain(503, "the system has no randomness");
    };
    let mut response = Response::new(200, TEXT, Body::Text(token.into()));
    response.headers.push((TOKEN_TTL, ttl.to_string()));
    Outcome::Done(response)
}

fn seconds(value: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(value).ok()?;
    // Rust's parser takes a sign.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let ttl = text.parse().ok().filter(|_| is_number)?;
    TTL.contains(&ttl).then_some(ttl)
}

/// `2021-03-23`, as versions of the service are called.
fn is_version(name: &str) -> bool {
    let shape = name.bytes().map(|byte| match byte {
        b'0'..=b'9' => b'0',
        other => other,
    });
    shape.eq(*b"0000-00-00")
}

const ROLES: &str = "latest/meta-data/iam/security-credentials";

fn metadata(path: &str, is_last: bool, served: &mut Served, now: UnixTime) -> Outcome {
    match path {
        ROLES => text(TEXT, served.role_name()),
        // botocore reads the zone, the Rust SDK the region, the Go SDK the document.
        "latest/meta-data/placement/availability-zone" => {
            text(TEXT, documents::availability_zone(&served.region))
        }
        "latest/meta-data/placement/region" => text(TEXT, served.region.clone()),
        "latest/dynamic/instance-identity/document" => text(
            TEXT,
            documents::instance_identity(&served.region, served.account()),
        ),
        _ => {
            let role = path
                .strip_prefix(ROLES)
                .and_then(|rest| rest.strip_prefix('/'))
                .and_then(uri::decoded);
            match role {
                Some(role) if served.is_role(&role) => credentials(is_last, served, now),
                _ => plain(404, "not found"),
            }
        }
    }
}

fn credentials(is_last: bool, served: &mut Served, now: UnixTime) -> Outcome {
    match served.role(now) {
        Ok(document) => done(Response::new(200, JSON, Body::Shared(document))),
        Err(Unavailable::Pending(_)) if !is_last => Outcome::Wait,
        Err(unavailable) => {
            let failure = unavailable.into_failure();
            let body = documents::imds_failure(code(&failure), &failure.what, now);
            done(Response::new(503, JSON, Body::Text(body.into())))
        }
    }
}

/// The codes of the real service: the SDK for Rust takes the second one for an error of configuration,
/// which no retry helps against.
fn code(failure: &Failure) -> &'static str {
    match failure.kind {
        FailureKind::Temporary => "ServiceUnavailable",
        FailureKind::Lasting => "AssumeRoleUnauthorizedAccess",
        FailureKind::Throttled => "Throttling",
    }
}

fn text(content_type: &'static str, body: String) -> Outcome {
    done(Response::new(200, content_type, Body::Text(body.into())))
}

fn plain(status: u16, why: &'static str) -> Outcome {
    done(Response::text(status, why))
}

fn not_allowed(methods: &str) -> Outcome {
    let mut response = Response::text(405, "this method is not for this path");
    response.headers.push(("Allow", methods.into()));
    done(response)
}

fn done(response: Response) -> Outcome {
    Outcome::Done(response)
}
