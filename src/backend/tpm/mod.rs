//! Keys in TPM 2.0s.
//!
//! What is asked of a TPM, and what it answers ([`Device`]), is plain data; so there are two who do
//! it. `Local` (feature `tpm`) speaks to the TPM through libtss2 in this process. The program `keystead` has
//! `keystead-signer` do so, and never calls libtss2 itself.

mod attest;
pub mod code;
mod device;
mod endorsement;
mod error;
pub mod key_file;
#[cfg(feature = "tpm")]
mod local;
mod uri;

pub use self::attest::{AttestAnswer, AttestRequest, attest_answer, attest_request};
pub use self::device::*;
pub use self::endorsement::{EkTemplate, EndorsementKey, endorsement_key};
pub(super) use self::error::command;
pub use self::error::{AuthProblem, CallError, TpmError, sign_error};
#[cfg(feature = "tpm")]
pub use self::local::Local;
pub use self::uri::{KeyName, SaltKey, Uri, UriError};
