//! The server over real sockets.

mod basics;
mod support;
