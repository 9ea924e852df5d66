//! Events, one JSON object a line.

use std::format;
use std::string::String;

use crate::core::text::JsonString;

/// An event that is being written.
#[must_use]
pub struct Event(String);

impl Event {
    /// One of that name.
    pub fn new(name: &str) -> Self {
        Self(format!("{{\"event\":\"{name}\""))
    }

    /// With a text.
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.0 += &format!(",\"{name}\":{}", JsonString(value));
        self
    }

    /// With a number.
    pub fn number(mut self, name: &str, value: u64) -> Self {
        self.0 += &format!(",\"{name}\":{value}");
        self
    }

    /// As a line.
    pub fn line(mut self) -> String {
        self.0 += "}\n";
        self.0
    }
}
