//! What policies have in common, whoever carries them out.

use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::code;
use super::error::TpmError;
use super::key_file::{PcrBank, PolicyStep};

/// Whether a policy wants the key's auth value.
pub fn wants_auth(policy: &[PolicyStep]) -> bool {
    policy
        .iter()
        .any(|step| matches!(step, PolicyStep::AuthValue | PolicyStep::Password))
}

/// Says of an error that PCRs have other values than the policy wants, if that is what it means.
pub fn explained(error: TpmError, called: &str, policy: &[PolicyStep]) -> TpmError {
    let is_of_pcrs = matches!(&error, TpmError::Call { error, .. }
        if error.call == "TPM2_PolicyPCR" && error.code.bare() == code::VALUE);
    if !is_of_pcrs {
        return error;
    }
    let pcrs = policy.iter().filter_map(|step| match step {
        PolicyStep::Pcr { banks, .. } => Some(names(banks)),
        _ => None,
    });
    let pcrs: Vec<String> = pcrs.collect();
    TpmError::Key {
        key: called.to_owned(),
        reason: format!(
            "its policy does not let it be used now: PCRs {} have other values than it wants",
            pcrs.join(" or ")
        ),
        remedy: "what they measure (firmware, boot loader, configuration) has changed since the key was made: go \
                 back to it, or make a new key"
            .to_owned(),
    }
}

/// The banks, for people.
pub fn names(banks: &[PcrBank]) -> String {
    let names: Vec<String> = banks.iter().map(PcrBank::to_string).collect();
    names.join(" ")
}
