//! Tests of keystead against programs that were not written here: AWS's clients in Python, OpenSSL,
//! PKCS#11 modules and the tools around them.
//!
//! `scripts/test` installs those programs, as packages or into `target/venv`. A test whose program is
//! missing fails.

/// The programs that it shows are compiled here, where the AWS SDK is at hand.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
pub struct Library;

pub mod alone;
pub mod chance;
pub mod contract;
pub mod fault;
pub mod holder;
pub mod hub;
pub mod lab;
pub mod operator;
pub mod p11_kit;
pub mod piv;
pub mod port;
pub mod power;
pub mod processes;
pub mod program;
pub mod s3;
pub mod softhsm;
pub mod swtpm;
pub mod systemd;
pub mod terminal;
pub mod tls_server;
pub mod weather;

pub use alone::{Surroundings, alone};
pub use fault::FaultModule;
pub use holder::Holder;
pub use hub::Hub;
pub use lab::{Device, Lab};
pub use operator::StoredPin;
pub use piv::Card;
pub use program::{Finished, keystead, python, run};
pub use softhsm::SoftHsm;
pub use swtpm::{CharacterDevice, Interposer, ResourceManager, Startup, Swtpm};
pub use systemd::{Files, Systemd};
pub use tls_server::TlsServer;
