//! Fresh credentials for as long as a program runs: one thread for each identity asks for sessions ahead
//! of the end of the last one, and everybody else takes what there is.
//!
//! A program starts a [`Refresher`] with a [`Source`], which knows how to open certificate and key, and asks
//! it for [credentials](Refresher::credentials) whenever it needs some.
//!
//! - **Nobody waits while there are valid credentials.** New ones are asked for in the background, when a
//!   quarter of the session is left, or up to 26 minutes, and only if somebody has used the old ones.
//! - **One request at a time**, however many ask.
//! - **A failure changes nothing**: what lives is handed out until its end. Attempts are repeated with growing
//!   delays, and where the service throttles spread over up to 30 minutes. Callers never make it more.
//! - **Expired means none.** The end is judged by the wall clock and by the time since the machine was booted,
//!   and what is nearer counts: a clock that is set back revives nothing, and after one that is set forward
//!   there are none, until the attempt that follows at once has succeeded.
//! - **What is new proves itself first.** When files change, or [`Refresher::reload`] says so, certificate and
//!   key are opened anew and have to begin a session, before they replace those that are open.
//!
//! Nothing is printed, and no environment is read: who wants to know what happens gives an [`Observer`].

#[cfg(feature = "file")]
mod identity_files;
mod meter;
mod refresher;
mod requester;
mod schedule;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod watch;
mod worker;

#[cfg(feature = "file")]
pub use identity_files::IdentityFiles;
pub use meter::{Meter, Signatures};
pub use refresher::{Driver, LAST, LAST_ON_DEMAND, Options, Refresher, Status};
pub use source::{Event, Failure, FailureKind, Fresh, Observer, Opened, Source};
pub use time::{Clocks, Now, SystemClocks};
