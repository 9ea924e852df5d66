//! A development certificate authority: keys, certificates that IAM Roles Anywhere accepts, and
//! certificate revocation lists.
//!
//! [`Authority`] issues, in memory; what it signs is made of the types of `x509-cert`, and the signing
//! key is any [`Signer`](crate::core::key::Signer). [`Directory`] keeps an authority and what it issued
//! in files.

pub mod attest;
mod authority;
mod certificate;
mod challenges;
mod crl;
mod directory;
mod error;
mod index;
mod validity;

pub use authority::{Authority, Issued};
pub use certificate::{Template, Usage, certificate_pem};
pub use challenges::Proof;
pub use crl::{Reason, Revoked};
pub use directory::{CertifiedKey, Directory, NewAuthority};
pub use error::Error;
pub use index::{Record, Revocation, Status};
pub use validity::Validity;

pub use crate::backend::file::{KeyType, PrivateKey};
pub use crate::host::pkix::{
    AlternativeName, AlternativeNameError, CertificateRequest, RequestError, Subject, SubjectError,
};
