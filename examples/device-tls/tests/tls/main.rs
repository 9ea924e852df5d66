//! The example's TLS against servers that are in order, and against those that are not.

mod client;
mod forged;
mod program;
mod refused;
mod servers;
mod silent_server;
