//! The firmware in QEMU, when all goes well and when nothing does: it says what happened, and comes to an end.

mod bridge;
mod limits;
mod line;
mod scene;
mod service;
