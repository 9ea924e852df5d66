//! What the commands have in common that run for as long as the machine does.

pub mod accounts;
mod footprint;
mod log;
mod notify;
mod reach;
mod reload;
mod reporter;
mod service;
pub mod signals;
mod sockets;
mod source;
#[cfg(all(test, feature = "sandbox"))]
mod tests;

pub use footprint::Footprint;
pub use log::Log;
pub use reach::is_remote;
pub use reporter::Reporter;
pub use service::Service;
pub use sockets::{Activated, Socket};
pub use source::Configured;
