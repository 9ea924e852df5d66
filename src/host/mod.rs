//! What runs on a host and is not an output: configuration, transport, rules, retries.

pub mod document;
pub mod duration;
