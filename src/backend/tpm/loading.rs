//! What a key file says, and what a TPM's refusal of it means, whoever loads it.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::code;
use super::error::TpmError;
use super::key_file::{KeyFile, ParentKey, PolicyStep};

const ITS_TPM: &str = "a key file serves only with the TPM that it was made by or for, and while its owner hierarchy was \
                       not cleared";

/// The policy that has to be carried out: none for a key that its auth value alone is enough for
/// (`user_with_auth`). `called` is the file.
///
/// # Errors
/// [`TpmError::File`].
pub fn steps(
    file: &KeyFile,
    user_with_auth: bool,
    called: &str,
) -> Result<Vec<PolicyStep>, TpmError> {
    if user_with_auth {
        return Ok(Vec::new());
    }
    let steps = file.policy_steps().map_err(|error| error.of(called))?;
    if steps.is_empty() {
        return Err(wrong(
            called,
            "policy: the key is used by a policy only (no userWithAuth attribute), and there is none".to_owned(),
            "make the file with a program that writes the policy down, or the key with userWithAuth",
        ));
    }
    Ok(steps)
}

/// What was recorded as the parent's name says for sure whether this is the right one.
///
/// # Errors
/// [`TpmError::File`].
pub fn check_name(file: &KeyFile, parent: &[u8], called: &str) -> Result<(), TpmError> {
    match &file.parent_name {
        Some(recorded) if *recorded != *parent => Err(wrong(
            called,
            format!(
                "its parent, {}, has another name than was recorded in Parent-Name: this is another TPM, it was \
                 cleared, or there is another key in the parent's place",
                file.parent
            ),
            ITS_TPM,
        )),
        _ => Ok(()),
    }
}

/// Whether a key was not loaded since it was made under another parent.
pub fn is_of_another_parent(error: &TpmError) -> bool {
    matches!(error, TpmError::Call { error, .. } if error.call == "TPM2_Load" && error.code.bare() == code::INTEGRITY)
}

/// Says of an error what it means for the file. `fitting` is what the parent was made by that the key is loadable
/// under.
pub fn explained(
    error: TpmError,
    parent: ParentKey,
    called: &str,
    fitting: Option<&str>,
) -> TpmError {
    let (call, code) = match &error {
        TpmError::NoKey { handle } if *handle == parent.handle() => {
            let reason = format!("parent: there is no key at {handle:#010x} in this TPM");
            return wrong(called, reason, ITS_TPM);
        }
        TpmError::Call { error, .. } => (&*error.call, error.code.bare()),
        _ => return error,
    };
    match (call, code) {
        ("TPM2_Load", code::INTEGRITY) => match fitting {
            Some(template) => wrong(
                called,
                format!(
                    "parent: the key was not made under {parent}, as the file says, but under that by {template}"
                ),
                "make that key persistent (tpm2_createprimary, tpm2_evictcontrol), and the file with its handle as \
                 parent (tpm2_encodeobject -C)",
            ),
            None => wrong(
                called,
                format!(
                    "parent: the key was not made under {parent} of this TPM (TPM_RC_INTEGRITY)"
                ),
                ITS_TPM,
            ),
        },
        ("TPM2_Load", code::BINDING) => wrong(
            called,
            "pubkey and privkey are not of the same key (TPM_RC_BINDING)".to_owned(),
            "",
        ),
        ("TPM2_Load" | "TPM2_Import", code::TYPE | code::ATTRIBUTES) => wrong(
            called,
            format!(
                "{parent} does not take the key: it keeps no others, or the attributes of the two do not go \
                 together ({})",
                code::ResponseCode(code)
            ),
            "a parent is a storage key (restricted, decrypt)",
        ),
        (
            "TPM2_Import",
            code::INTEGRITY | code::VALUE | code::ECC_POINT | code::SIZE | code::INSUFFICIENT,
        ) => wrong(
            called,
            format!(
                "secret: the key was not wrapped for {parent} of this TPM ({})",
                code::ResponseCode(code)
            ),
            ITS_TPM,
        ),
        _ => error,
    }
}

/// The error for a file.
pub fn wrong(called: &str, reason: String, remedy: &str) -> TpmError {
    TpmError::File {
        name: called.to_owned(),
        reason,
        remedy: remedy.to_owned(),
    }
}
