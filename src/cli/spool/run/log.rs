//! What `keystead spool run` says on standard error: one line for each change of state.

use std::format;

use crate::cli::context::Console;
use crate::cli::place;
use crate::host::s3::FaultKind;
use crate::output::push::deliver::{Event, Observer};

/// Tells of deliveries.
pub struct DeliveryLog {
    console: Console,
}

impl DeliveryLog {
    /// The log on that console.
    pub fn new(console: Console) -> Self {
        Self { console }
    }
}

impl Observer for DeliveryLog {
    fn event(&mut self, event: &Event<'_>) {
        let console = self.console;
        match event {
            Event::Failing { error, kind, again } => {
                let what = match kind {
                    FaultKind::Throttled => "S3 asks to slow down",
                    _ => "nothing passes",
                };
                let again = again.as_secs() + 1;
                console.warn(
                    &format!(
                        "{what}, it is tried again in {again} s: {}",
                        place::shown(&error.what)
                    ),
                    &error.remedy,
                );
            }
            Event::Passing => console.note("uploads pass again"),
            Event::SetAside {
                bucket,
                key,
                reason,
            } => {
                let (bucket, key) = (place::shown(bucket), place::shown(key));
                console.warn(
                    &format!(
                        "s3://{bucket}/{key} is set aside: {}: {}",
                        place::shown(&reason.code),
                        place::shown(&reason.what)
                    ),
                    "`keystead spool retry` has it sent again, `keystead spool drop` deletes it",
                );
            }
            Event::Disk(what) => console.warn(what, ""),
            Event::WindowOpened => console.note("the upload window is open"),
            Event::WindowClosed(until) => console.note(&format!(
                "the upload window is closed for {} min",
                until.as_secs().div_ceil(60)
            )),
            // That there are no credentials the identity's own log says.
            _ => {}
        }
    }
}
