//! What the commands have in common that run for as long as the machine does.

mod log;
mod source;

pub use log::Log;
pub use source::{About, Configured};
