//! Short-lived AWS credentials for machines outside AWS, from an X.509 certificate whose private key
//! stays in hardware.
//!
//! The layers, each importing only from those above it:
//!
//! | module | environment | what lives there |
//! |---|---|---|
//! | [`core`] | `no_std`, no allocator ([for devices](device)) | SigV4 in both forms, HTTP/1.1, the `CreateSession` exchange, the [`core::key::Signer`] seam |
//! | `backend` | std | keys and certificates in files, tokens and TPMs, and the process that holds foreign code |
//! | `host` | std | configuration, the HTTPS transport, certificate rules, retries, client certificates for `rustls` ([`tls`]) |
//! | `output` | std | one module for each way out of the program |
//! | `ca`, `sandbox` | std | the development CA, a local double of AWS |
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![warn(
    missing_docs,
    clippy::std_instead_of_core,
    clippy::alloc_instead_of_core
)]

#[cfg(any(feature = "std", test))]
extern crate std;

pub mod core;
pub mod device;

#[cfg(feature = "std")]
pub mod backend;
#[cfg(feature = "ca")]
pub mod ca;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "host")]
pub mod host;
#[cfg(feature = "host")]
pub mod output;
#[cfg(feature = "sandbox")]
pub mod sandbox;

#[cfg(feature = "host")]
pub use host::client_certificate as tls;
#[cfg(feature = "aws-sdk")]
pub use output::aws_sdk;
