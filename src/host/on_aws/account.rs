//! Whose the credentials are: by what came with them, else by asking STS.

use std::format;
use std::string::{String, ToString as _};

use sha2::{Digest as _, Sha256};

use super::error::{RoleError, RoleErrorKind};
use super::fetch::{Fetcher, header};
use super::{Look, RoleCredentials};
use crate::core::sigv4::hmac::{ALGORITHM, SigningKey};
use crate::core::sigv4::{Authorization, CanonicalRequest, PathRule, Payload, Scope, StringToSign};
use crate::core::text::Printable;
use crate::core::time::Clock as _;
use crate::host::endpoint::Endpoint;
use crate::host::session::Credentials;
use crate::host::transport::TransportOptions;

/// AWS STS, API reference: GetCallerIdentity.
const TARGET: &str = "/?Action=GetCallerIdentity&Version=2011-06-15";

/// How STS is reached.
#[derive(Debug, Clone)]
pub struct StsOptions {
    /// The region to sign for.
    pub region: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// Trust and timeouts.
    pub transport: TransportOptions,
}

/// Asserts that the credentials are of the account that is expected.
pub fn check(look: &Look, role: &RoleCredentials) -> Result<(), RoleError> {
    let Some(expected) = &look.expect_account else {
        return Ok(());
    };
    let account = match &role.account {
        Some(account) => account.clone(),
        None => of_caller(look, &role.credentials)?,
    };
    if account == *expected {
        return Ok(());
    }
    Err(RoleError::new(
        RoleErrorKind::WrongAccount,
        format!(
            "this machine's role is of account {}, and {expected} is expected",
            Printable(&account)
        ),
    ))
}

/// The account, as STS says.
fn of_caller(look: &Look, credentials: &Credentials) -> Result<String, RoleError> {
    let endpoint = &look.sts.endpoint;
    let error = |kind, why: &str| {
        let what = format!(
            "the account of this machine's role is not known: {}: {why}",
            endpoint.url("")
        );
        RoleError::new(kind, what)
    };
    let unanswered = |why: &str| error(RoleErrorKind::Unanswered, why);
    let scope = Scope {
        time: look.clock.now(),
        region: &look.sts.region,
        service: "sts",
    };
    let date = scope.time.amz();
    let token = credentials.session_token.as_str();
    let signed = [
        header("Host", &endpoint.authority),
        header("X-Amz-Date", &date),
        header("X-Amz-Security-Token", &token),
    ];
    let request = CanonicalRequest {
        method: "GET",
        target: TARGET,
        path: PathRule::STANDARD,
        headers: &[&signed],
        payload: Payload::Sha256(Sha256::digest(b"").into()),
    };
    let string = request
        .hash()
        .ok()
        .and_then(|hash| StringToSign::new(ALGORITHM, &scope, &hash).ok())
        .ok_or_else(|| error(RoleErrorKind::Misconfigured, "the region is too long"))?;
    let key = SigningKey::derive(&credentials.secret_access_key, &scope);
    let authorization = Authorization {
        algorithm: ALGORITHM,
        credential: &credentials.access_key_id,
        scope: &scope,
        headers: &[&signed],
        signature: &key.sign(&string),
    };
    let [_, date, token] = signed;
    let headers = [date, token, header("Authorization", &authorization)];
    let within = look.sts.transport.timeout;
    let reply = Fetcher::new(endpoint, within, &look.sts.transport, &look.clock)
        .and_then(|mut fetcher| fetcher.send("GET", TARGET, &headers))
        .map_err(|why| unanswered(&why.to_string()))?;
    match reply.status {
        200 => {}
        status @ (429 | 500..) => return Err(unanswered(&format!("HTTP {status}"))),
        status => return Err(error(RoleErrorKind::Refused, &format!("HTTP {status}"))),
    }
    let text = reply.text().unwrap_or_default();
    let account = text
        .split_once("<Account>")
        .and_then(|(_, rest)| rest.split_once("</Account>"));
    match account {
        Some((account, _)) if is_account(account) => Ok(account.into()),
        _ => Err(error(RoleErrorKind::Refused, "its answer names no account")),
    }
}

/// Whether this can be an account's id.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}
