//! What several areas' tests share.

pub mod vectors;
