//! What keeps records from being accepted.

use core::fmt;
use std::string::{String, ToString as _};

use crate::host::spool::SpoolError;

/// Why records were not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Whether it is for want of room, which passes when entries are delivered.
    pub is_full: bool,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl core::error::Error for RecordError {}

impl RecordError {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self {
            is_full: false,
            what: what.into(),
            remedy: "",
        }
    }
}

impl From<SpoolError> for RecordError {
    fn from(error: SpoolError) -> Self {
        Self {
            is_full: error.is_full(),
            what: error.to_string(),
            remedy: error.remedy(),
        }
    }
}
