//! `keystead push`, and what it shares with `keystead spool`.

pub mod attributes;
pub mod flags;
pub mod inputs;
pub mod moment;
pub mod place;
pub mod plan;
pub mod target;
pub mod transfer;
