//! What runs everywhere: `no_std`, no allocator, nothing that grows with the certificate chain.

mod asn1;
pub mod create_session;
pub mod ecdsa;
pub mod http;
pub mod identity;
pub mod key;
pub mod s3;
pub mod sigv4;
pub mod text;
pub mod time;
#[cfg(feature = "tpm-protocol")]
pub mod tpm;
pub mod x509;
