//! Keys in PKCS#11 tokens: modules and tools that were not written here.

mod harness;
mod signer;
