//! Answers, in the forms of the three services.

use core::fmt;
use std::format;
use std::string::{String, ToString as _};

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use s3s::{Body, HttpError, S3ErrorCode};

use super::create_session::Refusal;
use super::faults::Fault;
use super::record::Service;
use super::s3;
use super::sts::StsError;

/// An answer, and why the request was refused, if it was.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) reason: Option<String>,
}

/// The connection is to be closed instead of an answer.
#[derive(Debug)]
pub(super) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed instead of an answer")
    }
}

impl core::error::Error for Closed {}

impl From<HttpError> for Closed {
    fn from(_: HttpError) -> Self {
        Self
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

impl Answer {
    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let value = HeaderValue::from_static(content_type);
        response.headers_mut().insert(CONTENT_TYPE, value);
        Self {
            response,
            reason: None,
        }
    }

    pub(super) fn xml(status: StatusCode, document: String) -> Self {
        Self::new(status, "text/xml", document)
    }

    pub(super) fn json(status: StatusCode, body: &serde_json::Value, request_id: &str) -> Self {
        let answer = Self::new(status, "application/json", body.to_string());
        answer.with_header(REQUEST_ID, request_id)
    }

    /// A status that says all.
    pub(super) fn empty(status: StatusCode, reason: &str) -> Self {
        Self::new(status, "text/plain", String::new()).because(reason)
    }

    pub(super) fn of_refusal(refusal: Refusal, request_id: &str) -> Self {
        let body = serde_json::json!({ "message": refusal.message });
        Self::json(refusal.status, &body, request_id)
            .with_header(ERROR_TYPE, refusal.error_type)
            .because(refusal.reason)
    }

    pub(super) fn of_sts_error(error: StsError, request_id: &str) -> Self {
        Self::xml(error.status, error.body(request_id)).because(error.message)
    }

    /// An answer of `s3s`; the reason is the error's code.
    pub(super) fn of_s3(response: Response<Body>) -> Self {
        let reason = if response.status().is_success() {
            None
        } else {
            s3::error_code(response.body())
        };
        Self { response, reason }
    }

    fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    fn with_header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.response.headers_mut().insert(name, value);
        }
        self
    }
}

/// The answer that a fault gives in the service's place.
///
/// # Errors
/// [`Closed`], if that is the fault.
pub(super) fn failure(service: Service, fault: &Fault, request_id: &str) -> Result<Answer, Closed> {
    let because = format!("fault: {fault:?}");
    let answer = match (fault, service) {
        (Fault::Drop, _) => return Err(Closed),
        (Fault::Garbage, service) => {
            let status = match service {
                Service::RolesAnywhere => StatusCode::CREATED,
                Service::Sts | Service::S3 => StatusCode::OK,
            };
            let page = "<html>Welcome to the hotel's network";
            Answer::new(status, "text/html", page.into())
        }
        (Fault::Throttle, Service::RolesAnywhere) => {
            Answer::of_refusal(Refusal::throttling(), request_id)
        }
        (Fault::Throttle, Service::Sts) => Answer::of_sts_error(StsError::throttling(), request_id),
        (Fault::Throttle, Service::S3) => Answer::of_s3(s3::failure(S3ErrorCode::SlowDown)?),
        (fault, service) => {
            let (status, code) = match fault {
                Fault::Status(408) => (StatusCode::REQUEST_TIMEOUT, S3ErrorCode::RequestTimeout),
                Fault::Status(503) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    S3ErrorCode::ServiceUnavailable,
                ),
                _ => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    S3ErrorCode::InternalError,
                ),
            };
            match service {
                Service::S3 => Answer::of_s3(s3::failure(code)?),
                Service::RolesAnywhere | Service::Sts => Answer::empty(status, ""),
            }
        }
    };
    Ok(answer.because(because))
}
