//! Keys in TPMs: swtpm, and tools that were not written here.

mod attest;
mod auth;
mod cli;
mod cli_auth;
mod cli_daemon;
mod cli_keys;
mod contract;
mod counts;
mod daemon;
mod desk;
mod endorsement;
mod files;
mod isolated;
mod ledger;
mod life;
mod make;
mod operator;
mod power;
mod recovery;
mod rig;
mod sessions;
mod signer;
mod status;
mod support;
mod tls;

use keystead::backend::tpm::{Access, Local};

/// Whether it is the one without libtss2.
const IS_DIRECT: bool = false;

/// The way to the TPM that these tests are about, where they share their code with those of the other.
fn device(access: Access) -> Local {
    Local::new(access)
}
