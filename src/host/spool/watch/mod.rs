//! A folder whose files are taken over into the spool as they appear.
//!
//! A file is taken when it is complete: at once if it was renamed to its name, else when nothing has happened
//! to it for a while since it was closed. It is copied into the spool, and removed when it is on disk there. Who
//! dies in between takes it once more, under the same key.

mod chooser;
mod events;
mod folder;
mod refusal;
mod take;
#[cfg(test)]
mod tests;
mod watcher;

pub use chooser::Look;
pub use events::NoEvents;
pub use folder::{Folder, Found, Removal};
pub use refusal::Refusal;
pub use take::Names;
pub use watcher::{Event, Observer, Options, Watcher};
