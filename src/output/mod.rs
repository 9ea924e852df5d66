//! The ways out: what becomes of credentials.

pub mod credential_process;
#[cfg(feature = "file")]
pub mod credentials_file;
#[cfg(feature = "http-server")]
pub mod http;
#[cfg(feature = "http-server")]
pub mod serve;
pub mod environment;
