//! The host's end of `examples/firmware`.
//!
//! - [`carry`] is the bridge: requests come over a serial line, and go on over HTTPS.
//! - [`sector`] writes what a device is given when it is made.
//! - [`board`] runs the firmware in QEMU, [`element`] is its secure element there.
//! - [`image`] says what the firmware takes of flash, [`limits`] what it may take of everything.

pub mod board;
pub mod carry;
pub mod element;
pub mod image;
pub mod limits;
pub mod sector;
