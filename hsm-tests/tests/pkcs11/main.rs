//! Keys in PKCS#11 tokens: modules and tools that were not written here.

mod fault_module;
mod harness;
mod provision;
mod signer;
mod tls;
