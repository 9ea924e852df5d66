//! Keys in TPM 2.0s.
//!
//! What is asked of a TPM, and what it answers ([`Device`]), is plain data; so there are several who do
//! it. [`Direct`] speaks the TPM's own protocol, and uses keys. `Local` (feature `tpm`) speaks to the TPM through
//! libtss2 in this process, and does all that there is to do. The program `keystead` has `keystead-signer` do that,
//! and never calls libtss2 itself.

mod attest;
mod auth;
pub mod code;
mod device;
mod direct;
mod endorsement;
mod error;
pub mod key_file;
mod ledger;
mod leftovers;
mod loading;
#[cfg(feature = "tpm")]
mod local;
mod policy;
mod primary;
mod recovery;
mod salt;
mod scheme;
mod signer;
mod uri;

pub use self::attest::{AttestAnswer, AttestRequest, attest_answer, attest_request};
pub use self::device::*;
pub use self::direct::{Direct, Preferred};
pub use self::endorsement::{EkTemplate, EndorsementKey, endorsement_key};
pub(super) use self::error::command;
pub use self::error::{AuthProblem, CallError, TpmError, sign_error};
#[cfg(feature = "tpm")]
pub use self::local::Local;
pub(super) use self::primary::TIME as PRIMARY_TIME;
pub use self::uri::{KeyName, SaltKey, Uri, UriError};
