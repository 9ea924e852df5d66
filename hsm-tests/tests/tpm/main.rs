//! Keys in TPMs: swtpm, and tools that were not written here.

mod files;
mod signer;
