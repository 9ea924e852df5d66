//! Credentials that outlive the process that asked for them, so that programs which run keystead for
//! every call of theirs share one session.
//!
//! A [`Cache`] is a folder in memory with an [`Entry`] for each [`Key`], which stands for everything that
//! decides about the credentials. [`Cache::obtain`] gives what is there while it lives long enough, and
//! lets one process at a time, of all that want the same, ask for more.

mod clocks;
mod entry;
mod folder;
mod key;
mod obtain;
mod place;
#[cfg(test)]
mod tests;

pub use clocks::{BootId, Clocks, Moment, SystemClocks};
pub use entry::{Entry, Miss};
pub use folder::{Cache, Listed};
pub use key::{Key, KeyBuilder};
pub use obtain::{Created, Event, Failure, NotKept, Obtained, Source, Wanted};
pub use place::{Place, PlaceError};
