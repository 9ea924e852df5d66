//! The key that sessions are salted to: what is said of it, whoever looks at it.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;

use super::error::TpmError;
use super::uri::SaltKey;

/// What it is called.
pub fn what(salt: &SaltKey) -> String {
    format!("the salt key {:#010x}", salt.handle)
}

/// It cannot be used.
pub fn wrong(salt: &SaltKey, reason: &str, remedy: &str) -> TpmError {
    TpmError::Key {
        key: what(salt),
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// Another key is in its place.
pub fn changed(salt: &SaltKey) -> TpmError {
    wrong(
        salt,
        "what the TPM says it is has not the name that was recorded: this is another TPM, it was cleared, or \
         somebody between here and the TPM puts a key of their own in its place",
        "look at the machine before the auth value of a key is typed or stored there; after the TPM was cleared \
         on purpose its keys are gone, too, and new ones have to be made",
    )
}
