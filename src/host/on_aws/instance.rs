//! An instance's role, from the instance metadata service (IMDSv2).

use core::time::Duration;
use std::format;
use std::string::{String, ToString as _};

use super::document::{self, Document};
use super::error::{RoleError, RoleErrorKind};
use super::fetch::{Fetcher, Reply, header};
use super::{Found, Look, NoRole, RoleCredentials, machine};
use crate::host::endpoint::{Endpoint, Partition};
use crate::host::transport::HttpError;

/// How long everything together may take. The service is on the machine's own link, and answers within
/// a millisecond where it answers at all.
const WITHIN: Duration = Duration::from_secs(1);

/// The longest life of a token.
const TOKEN_TTL: u32 = 21_600;

const TOKEN: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
const IDENTITY: &str = "/latest/dynamic/instance-identity/document";

const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// The credentials of the instance's role, if there is one.
pub fn credentials(look: &Look) -> Result<Found, RoleError> {
    let surroundings = &look.surroundings;
    if !machine::is_ec2(&surroundings.sys) {
        return Ok(Found::None(NoRole::NotOnAws));
    }
    if surroundings.is_metadata_disabled {
        return Ok(Found::None(NoRole::Disabled));
    }
    let endpoint = endpoint(look)?;
    let absent = |why: String| Ok(Found::None(NoRole::NoMetadata(why)));
    let fetcher = Fetcher::new(&endpoint, WITHIN, &look.sts.transport, &look.clock);
    let mut fetcher = match fetcher {
        Ok(fetcher) => fetcher,
        Err(error) => return absent(error.to_string()),
    };
    let ttl = [header("X-aws-ec2-metadata-token-ttl-seconds", &TOKEN_TTL)];
    let token = match fetcher.send("PUT", TOKEN, &ttl) {
        Ok(reply) if reply.is_ours => return Ok(Found::None(NoRole::Ourselves)),
        Ok(reply) if reply.status == 200 => reply,
        Ok(reply) => return absent(format!("HTTP {}", reply.status)),
        Err(error) => return absent(error.to_string()),
    };
    let is_token = |text: &&str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let Some(token) = token.text().filter(is_token) else {
        return absent(String::from("what it gives is no token"));
    };
    // From here on the service is there: what goes wrong is no reason to go on as somebody else.
    let mut get = |target: &str| {
        let headers = [header("X-aws-ec2-metadata-token", &token)];
        fetcher.send("GET", target, &headers)
    };
    let roles = whole(get(ROLES))?;
    let role = match (roles.status, roles.text()) {
        (404, _) => return Ok(Found::None(NoRole::NoInstanceRole)),
        (200, Some(text)) => text.lines().next().unwrap_or_default().trim(),
        (status, _) => return Err(refused(status, ROLES)),
    };
    if role.is_empty() {
        return Ok(Found::None(NoRole::NoInstanceRole));
    }
    // IAM, CreateRole: RoleName.
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@-_".contains(&byte);
    if role.len() > 64 || !role.bytes().all(is_name) {
        return Err(error(RoleErrorKind::Refused, "what it names is no role"));
    }
    let document = whole(get(&format!("{ROLES}{role}")))?;
    if document.status != 200 {
        return Err(refused(document.status, "the role's document"));
    }
    let Document {
        mut credentials, ..
    } = document::read(document.text().unwrap_or_default(), &look.clock)
        .map_err(|why| error(RoleErrorKind::Refused, &why))?;
    let identity = get(IDENTITY).ok().filter(|reply| reply.status == 200);
    let identity = identity.and_then(|reply| document::read_identity(reply.text()?));
    if let Some((account, region)) = &identity {
        // The role's path is not to be had.
        let partition = Partition::of_region(region).name;
        credentials.role_arn = format!("arn:{partition}:iam::{account}:role/{role}");
    }
    Ok(Found::Role(RoleCredentials {
        credentials,
        date: document.date,
        account: identity.map(|(account, _)| account),
    }))
}

fn endpoint(look: &Look) -> Result<Endpoint, RoleError> {
    let surroundings = &look.surroundings;
    let given = surroundings.metadata_endpoint.as_deref();
    let url = match given.filter(|url| !url.is_empty()) {
        Some(url) => url,
        None if surroundings.is_metadata_ipv6 => "http://[fd00:ec2::254]",
        None => "http://169.254.169.254",
    };
    Endpoint::custom(url).map_err(|why| {
        let what = format!("{ENDPOINT}: `{url}`: {why}");
        RoleError::new(RoleErrorKind::Misconfigured, what)
    })
}

fn whole(reply: Result<Reply, HttpError>) -> Result<Reply, RoleError> {
    reply.map_err(|why| error(RoleErrorKind::Unanswered, &why.to_string()))
}

fn refused(status: u16, what: &str) -> RoleError {
    let kind = match status {
        429 | 500.. => RoleErrorKind::Unanswered,
        _ => RoleErrorKind::Refused,
    };
    error(kind, &format!("HTTP {status} for {what}"))
}

fn error(kind: RoleErrorKind, why: &str) -> RoleError {
    RoleError::new(kind, format!("the instance metadata service: {why}"))
}
