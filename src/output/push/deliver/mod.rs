//! A spool emptied through bad weather.
//!
//! [`Deliverer`] sends what is in a spool, the oldest first, for as long as it lives. What follows from a failure
//! is decided by a state machine without clock, network or disk ([`Schedule`]); threads do what it says.
//!
//! - **Nothing is given up.** Offline, no address, a service that is down or throttles, credentials that are
//!   over, a refusal, a wrong clock: each is tried again, with delays that grow to some minutes, and at once when
//!   the kernel tells of a network. While nothing passes one small entry at a time finds out.
//! - **Nobody waits for others.** What is refused for itself is set aside with its reason: at once if S3 says so
//!   (400), and if others pass with the same session where it says no more than 403. Buckets wait for themselves,
//!   and so does what fails again and again while others pass.
//! - **Nothing is deleted but what S3 has confirmed.**
//! - **Nothing is asked for in vain**: no session and no request without an entry to send.

mod backlog;
mod between;
mod deliverer;
mod disk;
mod event;
mod lane;
mod lookout;
#[cfg(target_os = "linux")]
mod network;
mod pause;
mod probe;
mod same_key;
mod schedule;
mod sessions;
mod tally;
mod worker;

pub use between::{Between, NotBetween};
pub use deliverer::{Deliverer, Options, StartError, Status, Stores};
pub use event::{Event, Observer};
pub use schedule::{End, Next, Place, Schedule, Ticket};
pub use sessions::{Fixed, OfIdentity};
pub use tally::{Counts, LastError, Rate};
