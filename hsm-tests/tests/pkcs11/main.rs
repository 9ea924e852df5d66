//! Keys in PKCS#11 tokens: modules and tools that were not written here.

mod cache;
mod chain;
mod cli;
mod cli_failures;
mod cli_pin;
mod commands;
mod contract;
mod every_call;
mod fault_module;
mod harness;
mod isolated;
mod login;
mod modules;
mod pin_care;
mod pin_unspent;
mod provision;
mod recovery;
mod rig;
mod signer;
mod tls;
mod uris;
