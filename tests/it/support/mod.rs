//! What several areas' tests share.

pub mod certificate;
pub mod hub;
pub mod openssl;
pub mod program;
pub mod service;
pub mod vectors;
pub mod wait;
