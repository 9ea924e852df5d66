//! What a daemon says on standard error: one line for each change of state.

use std::format;
use std::string::String;

use crate::cli::context::Console;
use crate::host::refresh::{Event, FailureKind, Observer};

/// Tells of one identity.
pub struct Log {
    name: String,
    console: Console,
}

impl Log {
    /// The log of the identity of that name.
    pub fn new(name: &str, console: Console) -> Self {
        Self {
            name: name.into(),
            console,
        }
    }
}

impl Observer for Log {
    fn event(&mut self, event: &Event<'_>) {
        let name = &self.name;
        match event {
            Event::Begun { expiration } => self
                .console
                .note(&format!("{name}: credentials until {expiration}")),
            Event::Failed(failure) => {
                let again = match failure.kind {
                    FailureKind::Throttled => "the next attempts are spread over up to 30 minutes",
                    FailureKind::Temporary | FailureKind::Lasting => "it is tried again",
                };
                self.console.warn(
                    &format!("{name}: no new credentials, {again}: {}", failure.what),
                    &failure.remedy,
                );
            }
            Event::Expired => self
                .console
                .warn(&format!("{name}: the last credentials have expired"), ""),
            Event::Unused => self.console.note(&format!(
                "{name}: nobody has asked for these credentials; they are renewed when somebody does"
            )),
            Event::ClockSet { seconds } => {
                let direction = if *seconds < 0 { "back" } else { "ahead" };
                let by = seconds.unsigned_abs();
                self.console.note(&format!(
                    "{name}: the clock was set {by} s {direction}; new credentials are asked for"
                ));
            }
            Event::Reloaded => self.console.note(&format!(
                "{name}: certificate, key and settings were read again"
            )),
            Event::ReloadRefused(failure) => self.console.warn(
                &format!(
                    "{name}: what has changed cannot be used, what was there before goes on: {}",
                    failure.what
                ),
                &failure.remedy,
            ),
        }
    }
}
