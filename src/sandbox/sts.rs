//! STS: `GetCallerIdentity`, in the Query protocol, signed with the credentials of a session.

use std::borrow::Cow;
use std::format;
use std::string::{String, ToString};
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};

use super::authorization::{Authorization, single};
use super::config::Config;
use super::sessions::{Found, Session, Sessions};
use super::xml::Escaped;
use crate::core::sigv4::Scope;
use crate::core::sigv4::hmac::{ALGORITHM, SigningKey};
use crate::core::time::UnixTime;

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// An error of the Query protocol.
#[derive(Debug)]
pub(super) struct StsError {
    pub(super) status: StatusCode,
    code: &'static str,
    pub(super) message: String,
}

impl StsError {
    fn new(status: StatusCode, code: &'static str, message: impl ToString) -> Self {
        Self {
            status,
            code,
            message: message.to_string(),
        }
    }

    fn forbidden(code: &'static str, message: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    fn mismatch(message: impl ToString) -> Self {
        Self::forbidden("SignatureDoesNotMatch", message)
    }

    /// Slow down.
    pub(super) fn throttling() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Throttling", "Rate exceeded")
    }

    /// The error document.
    pub(super) fn body(&self, request_id: &str) -> String {
        let Self { code, message, .. } = self;
        let message = Escaped(message);
        format!(
            "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    }
}

/// Answers a request to STS.
///
/// # Errors
/// [`StsError`], as STS names it.
pub(super) fn answer(
    config: &Config,
    sessions: &Sessions,
    head: &Parts,
    body: &[u8],
    now: UnixTime,
    request_id: &str,
) -> Result<String, StsError> {
    let session = authenticate(config, sessions, head, body, now)?;
    let query = head.uri.query().unwrap_or_default().as_bytes();
    let parameter = |name: &str| {
        let mut parameters = form_urlencoded::parse(body).chain(form_urlencoded::parse(query));
        parameters
            .find(|(given, _)| given == name)
            .map(|(_, value)| value)
    };
    match parameter("Action").as_deref() {
        Some("GetCallerIdentity") => Ok(caller_identity(&session, request_id)),
        action => {
            let action = action.map(Cow::Borrowed).unwrap_or_default();
            let message = format!("The sandbox's STS has GetCallerIdentity only, not {action}");
            Err(StsError::new(
                StatusCode::BAD_REQUEST,
                "InvalidAction",
                message,
            ))
        }
    }
}

fn caller_identity(session: &Session, request_id: &str) -> String {
    let arn = session.arn();
    let (arn, id) = (Escaped(&arn), session.id());
    let account = &session.role.account;
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult><Arn>{arn}</Arn>\
         <UserId>{id}</UserId><Account>{account}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>\
         </GetCallerIdentityResponse>"
    )
}

/// Finds the session whose secret signed the request.
fn authenticate(
    config: &Config,
    sessions: &Sessions,
    head: &Parts,
    body: &[u8],
    now: UnixTime,
) -> Result<Arc<Session>, StsError> {
    let (authorization, time) = signature_fields(&head.headers)?;
    check_scope(config, &head.headers, &authorization)?;
    check_date(config, time, now)?;
    let token = single(&head.headers, TOKEN);
    let session = match sessions.find(authorization.id, token, now) {
        Found::Valid(session) => session,
        Found::Expired => {
            let message = "The security token included in the request is expired";
            return Err(StsError::forbidden("ExpiredToken", message));
        }
        Found::WrongToken | Found::Unknown => {
            let message = "The security token included in the request is invalid.";
            return Err(StsError::forbidden("InvalidClientTokenId", message));
        }
    };
    let scope = Scope {
        time,
        region: authorization.region,
        service: authorization.service,
    };
    let expected = authorization
        .string_to_sign(head, Sha256::digest(body).into(), time)
        .map(|string| SigningKey::derive(&session.secret_access_key, &scope).sign(&string));
    match (expected, authorization.signature()) {
        (Some(expected), Some(given)) if expected[..] == given[..] => Ok(session),
        _ => Err(StsError::mismatch(
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method.",
        )),
    }
}

const SERVICE: &str = "sts";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";

/// The `Authorization` header, and the time in `X-Amz-Date`, whose day is the scope's.
fn signature_fields(headers: &HeaderMap) -> Result<(Authorization<'_>, UnixTime), StsError> {
    if !headers.contains_key("authorization") {
        let message = "Request is missing Authentication Token";
        return Err(StsError::forbidden("MissingAuthenticationToken", message));
    }
    let incomplete =
        |message: &str| StsError::new(StatusCode::BAD_REQUEST, "IncompleteSignature", message);
    let authorization = Authorization::of(headers)
        .filter(|authorization| authorization.algorithm == ALGORITHM)
        .ok_or_else(|| incomplete("The Authorization header is not one of AWS4-HMAC-SHA256"))?;
    let date = single(headers, DATE).ok_or_else(|| incomplete("There is no X-Amz-Date header"))?;
    let time = UnixTime::parse_amz(date)
        .ok_or_else(|| incomplete("X-Amz-Date is not YYYYMMDDTHHMMSSZ"))?;
    if !date.starts_with(authorization.day) {
        let day = authorization.day;
        return Err(StsError::mismatch(format!(
            "Date in Credential scope ({day}) does not match X-Amz-Date ({date})"
        )));
    }
    Ok((authorization, time))
}

fn check_scope(
    config: &Config,
    headers: &HeaderMap,
    authorization: &Authorization<'_>,
) -> Result<(), StsError> {
    let region = &config.account.region;
    if authorization.region != region {
        let message = format!("Credential should be scoped to a valid region, {region}");
        return Err(StsError::mismatch(message));
    }
    if authorization.service != SERVICE {
        let message = format!("Credential should be scoped to correct service: '{SERVICE}'.");
        return Err(StsError::mismatch(message));
    }
    let unsigned = ["host", DATE, TOKEN]
        .into_iter()
        .find(|name| headers.contains_key(*name) && !authorization.covers(name));
    match unsigned {
        Some(name) => Err(StsError::mismatch(format!(
            "'{name}' must be a signed header"
        ))),
        None => Ok(()),
    }
}

fn check_date(config: &Config, time: UnixTime, now: UnixTime) -> Result<(), StsError> {
    let off = now.since(time);
    let window = config.date_window.as_secs();
    if off.unsigned_abs() <= window {
        return Ok(());
    }
    let state = if off > 0 {
        "Signature expired"
    } else {
        "Signature not yet current"
    };
    let (time, now) = (time.amz(), now.amz());
    Err(StsError::mismatch(format!(
        "{state}: {time} is more than {window} s from {now}"
    )))
}
