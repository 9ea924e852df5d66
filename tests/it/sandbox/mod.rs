//! The local double of AWS: what it takes, what it refuses and in which words.

pub mod client;
mod command;
mod config;
mod create_session;
mod faults;
pub mod fixture;
mod s3;
mod sts;
pub mod vectors;
