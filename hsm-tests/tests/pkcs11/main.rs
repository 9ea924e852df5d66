//! Keys in PKCS#11 tokens: modules and tools that were not written here.

mod cli;
mod cli_pin;
mod commands;
mod contract;
mod fault_module;
mod harness;
mod isolated;
mod modules;
mod pin_care;
mod provision;
mod recovery;
mod rig;
mod signer;
mod tls;
