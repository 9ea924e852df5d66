//! The errors of IAM Roles Anywhere.

use std::format;
use std::string::{String, ToString};

use http::StatusCode;

/// An error answer, and why.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Refusal {
    pub(in crate::sandbox) status: StatusCode,
    /// `AccessDeniedException`…: the header `x-amzn-ErrorType`.
    pub(in crate::sandbox) error_type: &'static str,
    /// What the body says.
    pub(in crate::sandbox) message: String,
    /// What AWS does not say; for the sandbox's own log.
    pub(in crate::sandbox) reason: String,
}

impl Refusal {
    fn new(
        status: StatusCode,
        error_type: &'static str,
        message: impl ToString,
        reason: impl ToString,
    ) -> Self {
        Self {
            status,
            error_type,
            message: message.to_string(),
            reason: reason.to_string(),
        }
    }

    pub(super) fn access_denied(message: impl ToString, reason: impl ToString) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            message,
            reason,
        )
    }

    pub(super) fn insufficient_certificate(reason: &impl ToString) -> Self {
        let message = "Untrusted certificate. Insufficient certificate";
        Self::access_denied(message, reason.to_string())
    }

    pub(super) fn untrusted(reason: impl ToString) -> Self {
        Self::access_denied("Untrusted signing certificate", reason)
    }

    pub(super) fn invalid_signature(reason: impl ToString) -> Self {
        Self::access_denied("Invalid signature", reason)
    }

    pub(super) fn unable_to_assume(role_arn: &str, reason: &str) -> Self {
        let message = format!("Unable to assume role for {role_arn}: {reason}");
        Self::access_denied(message, reason)
    }

    pub(super) fn incomplete_signature(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "IncompleteSignature", reason, reason)
    }

    pub(super) fn validation(message: impl ToString) -> Self {
        let message = message.to_string();
        let reason = message.clone();
        Self::new(
            StatusCode::BAD_REQUEST,
            "ValidationException",
            message,
            reason,
        )
    }

    pub(super) fn unknown_operation() -> Self {
        let status = StatusCode::NOT_FOUND;
        let message = "The sandbox's IAM Roles Anywhere has POST /sessions only";
        Self::new(status, "UnknownOperationException", message, message)
    }

    pub(super) fn not_found(message: &str, reason: impl ToString) -> Self {
        let status = StatusCode::NOT_FOUND;
        Self::new(status, "ResourceNotFoundException", message, reason)
    }

    pub(in crate::sandbox) fn throttling() -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self::new(status, "ThrottlingException", "Rate exceeded", "throttled")
    }

    pub(super) fn internal(reason: &str) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "InternalFailure", "Internal failure", reason)
    }
}
