//! Keys in TPMs: swtpm, and tools that were not written here.

mod attest;
mod cli;
mod counts;
mod endorsement;
mod files;
mod isolated;
mod make;
mod operator;
mod signer;
mod status;
mod support;
