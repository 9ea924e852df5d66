//! TLS 1.3 for a device without an operating system: [`embedded_tls`] over any `embedded_io` stream, with a verifier
//! of our own, under keystead's core.
//!
//! embedded-tls brings a verifier, which (0.19) takes a server's certificate from anybody who has any certificate of a
//! trusted root, since it does not ask whether an issuer is an authority. It also leaves it to the server
//! whether certificate and signature come at all: its handshake ends well without them; and some records end the program.
//! [`connect`] lets none of that happen, with one exception: the server itself, which has proven who it is, can still end
//! the program, by an encrypted message of the handshake that has no place after it.
//!
//! - [`path`]: from the server's certificate to a root that the device trusts.
//! - [`name`]: whether a certificate is for the server that was meant.
//! - [`verifier`]: the two, and the proof that the server has the certificate's key, as embedded-tls asks for them.
//! - [`record`]: the records that embedded-tls gets to see.
//! - [`signature`]: which signatures are verified, and by what.
//!
//! All of it is `no_std` without an allocator.
#![cfg_attr(not(feature = "host"), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod connection;
pub mod name;
pub mod path;
pub mod record;
pub mod signature;
pub mod verifier;

pub use connection::{ConnectError, Connection, Records, connect};
pub use name::ServerName;
pub use path::{Anchor, Refused};
pub use verifier::Verifier;
