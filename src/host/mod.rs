//! What runs on a host and is not an output: configuration, transport, rules, retries.

pub mod arn;
#[cfg(any(feature = "ca", feature = "tpm-direct"))]
pub mod attestation;
#[cfg(feature = "file")]
pub mod cache;
pub mod client_certificate;
pub mod clock;
pub mod config;
pub mod confine;
pub mod document;
pub mod duration;
pub mod endpoint;
#[cfg(feature = "push")]
pub mod fault_points;
pub mod files;
#[cfg(feature = "push")]
pub mod key_template;
#[cfg(feature = "push")]
pub mod media_type;
// It reads the token's file as other files of settings are read.
#[cfg(feature = "file")]
pub mod on_aws;
// It verifies what it reads, with the backends' check.
#[cfg(feature = "file")]
pub mod pkix;
#[cfg(feature = "push")]
pub mod push_config;
pub mod random;
pub mod refresh;
pub mod remedy;
pub mod requester;
mod roots;
pub mod rules;
#[cfg(feature = "push")]
pub mod s3;
pub mod section;
pub mod selector;
pub mod serial;
pub mod serve_config;
pub mod session;
#[cfg(feature = "push")]
pub mod size;
#[cfg(feature = "push")]
pub mod spool;
pub mod tls;
pub mod transport;
pub mod x509_text;
