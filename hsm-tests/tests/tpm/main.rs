//! Keys in TPMs: swtpm, and tools that were not written here.

mod cli;
mod counts;
mod endorsement;
mod files;
mod make;
mod operator;
mod isolated;
mod operator;
mod signer;
mod status;
mod support;
