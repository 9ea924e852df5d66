//! The HTTP/1.1 server under the endpoints that SDKs ask for credentials.
//!
//! One thread, which never blocks: a [`Handler`] answers at once, or lets a request wait until a
//! [`Waker`] says that something changed. The server itself decides on sizes, times, numbers of
//! connections, users (by their uid) and keeping connections; hosts, tokens and paths are the handler's.
//!
//! A connection that says nothing costs its socket and a few hundred bytes. There is one buffer to read
//! into for all connections; what has come of a request that is not whole yet is kept for its connection,
//! and cleared afterwards, for it may hold a token. Answers go from the handler's memory to the kernel
//! without a copy, except over TLS.

mod body;
mod connection;
mod limits;
mod listener;
mod parse;
mod request;
mod response;
mod server;
#[cfg(target_os = "linux")]
mod sock_diag;
mod stream;
pub mod tls;
mod users;
mod waker;

pub use body::RestOfBody;
pub use limits::Limits;
pub use listener::Listener;
pub use parse::{Framing, Head, parse};
pub use request::{Header, Headers, Request};
pub use response::{Body, Refusal, Response};
pub use server::Server;
pub use waker::Waker;

use core::time::Duration;

/// Answers requests. It is called on the server's thread, and must not block.
pub trait Handler {
    /// Answers a request, or lets it wait.
    fn handle(&mut self, request: &Request<'_>) -> Outcome;

    /// Called after a [`Waker::wake`], before the waiting requests are handled again.
    fn woken(&mut self) {}

    /// Called when the server starts to run, and again whenever the time that it returned has passed: a
    /// pulse of the loop itself, as a watchdog wants it.
    fn tick(&mut self) -> Option<Duration> {
        None
    }
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The answer.
    Done(Response),
    /// The request waits. It is handled again after [`Waker::wake`], and at the latest when
    /// [`Request::is_last`] is set.
    Wait,
}

#[cfg(test)]
mod tests;
