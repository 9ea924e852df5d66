//! Proof that a key is in a TPM: the device's side.

use serde::{Deserialize, Serialize};

use super::device::{Device, Done, OpenKey, Operator, Task, other_answer};
use super::endorsement::EkTemplate;
use super::error::TpmError;
use crate::backend::attestation::{Answer, Challenge, Request};

/// What is to be shown to an authority.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttestRequest {
    /// The key.
    pub key: OpenKey,
    /// By which endorsement key; `None` for the first that has a certificate.
    pub ek: Option<EkTemplate>,
}

/// What is to be answered to an authority.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AttestAnswer {
    /// The key.
    pub key: OpenKey,
    /// The authority's challenge.
    pub challenge: Challenge,
}

/// What an authority has to see before it can challenge the TPM: its endorsement key with the maker's
/// certificate, an attestation key, and the key.
///
/// # Errors
/// [`TpmError`]; also if the TPM has no certificate for its endorsement key.
pub fn attest_request(
    device: &mut dyn Device,
    request: &AttestRequest,
    operator: &mut dyn Operator,
) -> Result<Request, TpmError> {
    match device.perform(&Task::AttestRequest(request.clone()), operator)? {
        Done::AttestRequest(request) => Ok(request),
        _ => Err(other_answer()),
    }
}

/// The answer to an authority's challenge: the key, certified by the attestation key over what only this
/// TPM could decrypt.
///
/// # Errors
/// [`TpmError`]; also if the challenge is for another TPM or another attestation key.
pub fn attest_answer(
    device: &mut dyn Device,
    answer: &AttestAnswer,
    operator: &mut dyn Operator,
) -> Result<Answer, TpmError> {
    match device.perform(&Task::AttestAnswer(answer.clone()), operator)? {
        Done::AttestAnswer(answer) => Ok(answer),
        _ => Err(other_answer()),
    }
}
