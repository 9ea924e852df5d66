//! Keys in TPMs that are used without libtss2: swtpm, and tools that were not written here. What holds for both ways
//! to a TPM is in one place, and is run by both.

#[path = "../tpm/auth.rs"]
mod auth;
mod contract;
mod counts;
#[path = "../tpm/files/mod.rs"]
mod files;
mod hostile;
#[path = "../tpm/ledger.rs"]
mod ledger;
mod lost;
#[path = "../tpm/operator.rs"]
mod operator;
mod program;
#[path = "../tpm/recovery.rs"]
mod recovery;
mod sessions;
#[expect(dead_code, reason = "the other way's tests use all of it")]
#[path = "../tpm/support.rs"]
mod support;

use keystead::backend::tpm::{Access, Direct};

/// Whether it is the one without libtss2.
const IS_DIRECT: bool = true;

/// The way to the TPM that these tests are about, where they share their code with those of the other.
fn device(access: Access) -> Direct {
    Direct::new(access)
}
