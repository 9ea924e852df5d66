//! The ways out: what becomes of credentials.

pub mod credential_process;
#[cfg(feature = "http-server")]
pub mod http;
