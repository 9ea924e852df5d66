//! Tokens and TPMs in another process: `keystead-signer` loads the PKCS#11 modules and libtss2, and
//! does what it is told over a pair of pipes. Foreign code that crashes, hangs or leaks costs one
//! signature, and neither sees nor harms what else this process holds. docs/isolation.md tells the
//! whole.

mod budget;
mod buffer;
mod channel;
mod client;
mod confine;
mod connection;
mod exit;
mod family;
mod launcher;
mod line;
mod message;
mod signer;
mod starter;
#[cfg(feature = "pkcs11")]
mod tokens;
#[cfg(feature = "tpm-direct")]
mod tpm;
mod worker;

#[cfg(test)]
mod tests;

pub use channel::{ChannelError, MAX_MESSAGE_LEN};
pub use confine::{NotStarted, Pipes, Watch, bound_memory, end_with, protect_memory, take_socket};
pub use launcher::{LAUNCHER, Launcher, launch};
pub use starter::{Environment, Starter, WORKER};
#[cfg(feature = "pkcs11")]
pub use tokens::Isolated;
#[cfg(feature = "tpm-direct")]
pub use tpm::IsolatedTpm;
pub use worker::Worker;

/// Whether modules can be loaded by another process alone: this program is static, and has no dynamic
/// linker in it.
pub const REQUIRED: bool = cfg!(target_feature = "crt-static");
