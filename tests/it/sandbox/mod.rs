//! The local double of AWS: what it takes, what it refuses and in which words.

mod client;
mod command;
mod config;
mod create_session;
mod faults;
mod fixture;
mod s3;
mod sts;
pub mod vectors;
