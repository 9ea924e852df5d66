//! A container's role: the endpoint that the variables of ECS, EKS and others name.

use core::time::Duration;
use std::format;
use std::string::{String, ToString as _};
use std::time::Instant;

use zeroize::Zeroizing;

use super::document::{self, Document};
use super::error::{RoleError, RoleErrorKind};
use super::fetch::{Fetcher, header};
use super::{Found, Look, NoRole, RoleCredentials};
use crate::backend::regular_file;
use crate::core::text::Printable;
use crate::host::endpoint::Endpoint;

/// Where relative URIs are.
const ECS: &str = "http://169.254.170.2";

/// Hosts that may be asked without TLS, beside this machine: those of ECS and EKS.
const LINK_LOCAL: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// How long the endpoint may take. SDKs give it two seconds, several times.
const WITHIN: Duration = Duration::from_secs(5);

/// How long of that it may take to say whether it is keystead. One on this machine answers at once.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

const RELATIVE_URI: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";

/// The credentials of the container's role, if there is one.
pub fn credentials(look: &Look) -> Result<Found, RoleError> {
    let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let surroundings = &look.surroundings;
    let (variable, uri) = match (set(&surroundings.relative_uri), set(&surroundings.full_uri)) {
        (Some(path), _) => (RELATIVE_URI, format!("{ECS}{path}")),
        (None, Some(uri)) => (FULL_URI, uri),
        (None, None) => return Ok(Found::None(NoRole::NotOnAws)),
    };
    let misconfigured = |why: &str| {
        let what = format!("{variable}: `{}`: {why}", Printable(&uri));
        RoleError::new(RoleErrorKind::Misconfigured, what)
    };
    let (endpoint, target) = split(&uri).map_err(|why| misconfigured(&why))?;
    let is_near = endpoint.is_loopback() || LINK_LOCAL.contains(&endpoint.host());
    if !endpoint.tls && !is_near {
        return Err(misconfigured(
            "it is on another machine and has no TLS: the credentials would cross the network in clear",
        ));
    }
    let authorization = authorization(look)?;
    let unanswered = |why: String| {
        let what = format!("{variable}: {}: {why}", endpoint.url(""));
        RoleError::new(RoleErrorKind::Unanswered, what)
    };
    let fetcher = |within| {
        Fetcher::new(&endpoint, within, &look.sts.transport, &look.clock)
            .map_err(|error| unanswered(error.to_string()))
    };
    let began = Instant::now();
    // A keystead that waits for its own credentials must not be waited for. Others need not know HEAD.
    if endpoint.is_loopback()
        && let Ok(reply) = fetcher(PROBE_WITHIN)?.send("HEAD", "/", &[])
        && reply.is_ours
    {
        return Ok(Found::None(NoRole::Ourselves));
    }
    let mut fetcher = fetcher(WITHIN.saturating_sub(began.elapsed()))?;
    let value = authorization.as_ref().map(|value| value.as_str());
    let headers = value.as_ref().map(|value| [header("Authorization", value)]);
    let reply = fetcher
        .send("GET", &target, headers.as_ref().map_or(&[], |all| all))
        .map_err(|error| unanswered(error.to_string()))?;
    if reply.is_ours {
        return Ok(Found::None(NoRole::Ourselves));
    }
    let failed = |kind, why: String| {
        RoleError::new(kind, format!("{variable}: {}: {why}", endpoint.url("")))
    };
    match reply.status {
        200 => {}
        status @ (429 | 500..) => return Err(unanswered(format!("HTTP {status}"))),
        status => return Err(failed(RoleErrorKind::Refused, format!("HTTP {status}"))),
    }
    let text = reply.text().unwrap_or_default();
    let Document {
        mut credentials,
        role_arn,
        account,
    } = document::read(text, &look.clock).map_err(|why| failed(RoleErrorKind::Refused, why))?;
    credentials.role_arn = role_arn.unwrap_or_default();
    Ok(Found::Role(RoleCredentials {
        credentials,
        date: reply.date,
        account,
    }))
}

/// Endpoint, and path with query.
fn split(uri: &str) -> Result<(Endpoint, String), String> {
    let after = uri.find("://").map_or(0, |scheme| scheme + 3);
    let end = uri[after..].find(['/', '?']).map(|end| after + end);
    let (base, target) = uri.split_at(end.unwrap_or(uri.len()));
    let endpoint = Endpoint::custom(base).map_err(|error| error.to_string())?;
    let graphic = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if after == 0 || !graphic(target) || target.contains('#') {
        return Err(String::from("this is no URL with a path"));
    }
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((endpoint, format!("{slash}{target}")))
}

/// The value of the header `Authorization`, read anew each time.
fn authorization(look: &Look) -> Result<Option<Zeroizing<String>>, RoleError> {
    let surroundings = &look.surroundings;
    let misconfigured = |what| RoleError::new(RoleErrorKind::Misconfigured, what);
    let (variable, value) = match &surroundings.authorization_file {
        Some(path) if !path.as_os_str().is_empty() => {
            let variable = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
            let text = regular_file::read_text(path)
                .map(Zeroizing::new)
                .map_err(|error| {
                    misconfigured(format!("{variable}: {}: {error}", path.display()))
                })?;
            (variable, text)
        }
        _ => match &surroundings.authorization {
            Some(value) if !value.is_empty() => {
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", value.clone())
            }
            _ => return Ok(None),
        },
    };
    // A line end after the token is the editor's.
    let value = Zeroizing::new(String::from(value.trim_end_matches(['\r', '\n'])));
    let is_header = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !value.bytes().all(is_header) {
        return Err(misconfigured(format!(
            "{variable}: it has characters that no header can hold"
        )));
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris() {
        for (uri, base, target) in [
            ("http://127.0.0.1:80/a?b=c", "http://127.0.0.1", "/a?b=c"),
            ("http://localhost:1", "http://localhost:1", "/"),
            ("https://x.example?a", "https://x.example", "/?a"),
            ("http://[fd00:ec2::23]/v1", "http://[fd00:ec2::23]", "/v1"),
        ] {
            let (endpoint, path) = split(uri).unwrap();
            assert_eq!((endpoint.url("").as_str(), path.as_str()), (base, target));
        }
        for uri in [
            "",
            "127.0.0.1/a",
            "ftp://x/a",
            "http://u@x/a",
            "http://x/a b",
            "http://x/a#b",
        ] {
            assert!(split(uri).is_err(), "{uri}");
        }
    }
}
