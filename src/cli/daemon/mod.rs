//! What the commands have in common that run for as long as the machine does.

mod log;
mod source;
#[cfg(all(test, feature = "sandbox"))]
mod tests;

pub use log::Log;
pub use source::{About, Configured};
