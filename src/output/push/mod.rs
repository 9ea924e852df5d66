//! To S3: one object whole and confirmed ([`Outcome`]), and a spool emptied through bad weather.

mod outcome;

pub use outcome::{Outcome, Progress};
