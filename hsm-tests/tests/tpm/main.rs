//! Keys in TPMs: swtpm, and tools that were not written here.

mod attest;
mod auth;
mod cli;
mod cli_keys;
mod counts;
mod desk;
mod endorsement;
mod files;
mod isolated;
mod ledger;
mod make;
mod operator;
mod signer;
mod status;
mod support;
