//! What runs on a host and is not an output: configuration, transport, rules, retries.

pub mod arn;
pub mod config;
pub mod document;
pub mod duration;
pub mod endpoint;
pub mod x509_text;
