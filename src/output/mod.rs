//! The ways out: what becomes of credentials.

#[cfg(feature = "aws-sdk")]
pub mod aws_sdk;
pub mod credential_process;
#[cfg(feature = "file")]
pub mod credentials_file;
pub mod environment;
#[cfg(feature = "http-server")]
pub mod http;
#[cfg(feature = "http-server")]
pub mod metrics;
#[cfg(feature = "push")]
pub mod push;
#[cfg(feature = "http-server")]
pub mod serve;
