//! The endpoint that `AWS_CONTAINER_CREDENTIALS_FULL_URI` names (AWS SDKs and Tools Reference Guide,
//! "Container credential provider").

use std::string::String;

use super::authorization::Authorization;
use super::documents;
use super::identity::{Served, Unavailable};
use super::uri;
use crate::host::refresh::FailureKind;
use crate::output::http::{Body, Outcome, Request, Response};

const JSON: &str = "application/json";

/// Where identities are; each is below it, by its name.
pub const FOLDER: &str = "credentials";

/// Answers a request, except for those that are the same everywhere.
pub fn handle(
    request: &Request<'_>,
    identities: &mut [Served],
    authorization: &Authorization,
) -> Outcome {
    if let Err(refusal) = authorized(request, authorization) {
        return Outcome::Done(refusal);
    }
    let name = uri::trimmed(request.path)
        .strip_prefix(FOLDER)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(uri::decoded);
    let served = identities
        .iter_mut()
        .find(|served| Some(served.name.as_str()) == name.as_deref());
    let Some(served) = served else {
        return Outcome::Done(error(
            404,
            "ResourceNotFoundException",
            "there is no identity at this path",
        ));
    };
    if !matches!(request.method, "GET" | "HEAD") {
        let mut response = error(405, "MethodNotAllowedException", "this is for GET and HEAD");
        response.headers.push(("Allow", String::from("GET, HEAD")));
        return Outcome::Done(response);
    }
    match served.container() {
        Ok(document) => Outcome::Done(Response::new(200, JSON, Body::Shared(document))),
        Err(Unavailable::Pending(_)) if !request.is_last => Outcome::Wait,
        Err(unavailable) => {
            let failure = unavailable.into_failure();
            let code = match failure.kind {
                FailureKind::Throttled => "ThrottlingException",
                FailureKind::Temporary | FailureKind::Lasting => "ServiceUnavailableException",
            };
            Outcome::Done(error(503, code, &failure.what))
        }
    }
}

/// Refuses whoever does not send the token.
///
/// # Errors
/// The answer.
pub fn authorized(request: &Request<'_>, authorization: &Authorization) -> Result<(), Response> {
    match request.headers.get("Authorization") {
        Some(sent) if authorization.allows(sent) => Ok(()),
        Some(_) => Err(error(
            403,
            "AccessDeniedException",
            "the token in Authorization is not this server's: read the token file again",
        )),
        None => Err(error(
            401,
            "MissingAuthenticationTokenException",
            "Authorization has to hold the token: set AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        )),
    }
}

/// An error in the form that SDKs read.
pub fn error(status: u16, code: &str, message: &str) -> Response {
    let body = documents::container_error(code, message);
    Response::new(status, JSON, Body::Text(body.into()))
}
