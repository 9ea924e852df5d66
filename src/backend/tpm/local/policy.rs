//! The policy of a key: what has to be so for it to be used.

use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use tss_esapi::constants::CommandCode;
use tss_esapi::interface_types::session_handles::PolicySession;
use tss_esapi::structures::{Digest, PcrSelectionList};
use tss_esapi::tss2_esys::{TPML_PCR_SELECTION, TPMS_PCR_SELECTION};

use super::connection::Connection;
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{PcrBank, PolicyStep};

/// Whether the policy wants the key's auth value.
pub fn wants_auth(policy: &[PolicyStep]) -> bool {
    policy
        .iter()
        .any(|step| matches!(step, PolicyStep::AuthValue | PolicyStep::Password))
}

/// Carries a policy out in a session that was started for it, or has just been used. `called` is the key.
///
/// # Errors
/// [`TpmError::Key`], if it is not fulfilled; [`TpmError::Call`].
pub fn carry_out(
    connection: &mut Connection,
    called: &str,
    session: PolicySession,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    for step in policy {
        match step {
            PolicyStep::AuthValue => {
                connection.run(called, "TPM2_PolicyAuthValue", |context| {
                    context.policy_auth_value(session)
                })?;
            }
            PolicyStep::Password => {
                connection.run(called, "TPM2_PolicyPassword", |context| {
                    context.policy_password(session)
                })?;
            }
            PolicyStep::Pcr { banks, digest } => pcr(connection, called, session, banks, digest)?,
            PolicyStep::CommandCode(code) => {
                let command = CommandCode::try_from(*code).map_err(|_| TpmError::File {
                    name: called.to_owned(),
                    reason: format!("policy: there is no command {code:#x}"),
                    remedy: String::new(),
                })?;
                connection.run(called, "TPM2_PolicyCommandCode", |context| {
                    context.policy_command_code(session, command)
                })?;
            }
        }
    }
    Ok(())
}

fn pcr(
    connection: &mut Connection,
    called: &str,
    session: PolicySession,
    banks: &[PcrBank],
    digest: &[u8],
) -> Result<(), TpmError> {
    let unknown = || TpmError::File {
        name: called.to_owned(),
        reason: format!("policy: PCRs {} are none of this TPM's", names(banks)),
        remedy: String::new(),
    };
    let selection = selection(banks).ok_or_else(unknown)?;
    let digest = Digest::try_from(digest).map_err(|_| unknown())?;
    connection
        .run(called, "TPM2_PolicyPCR", |context| {
            context.policy_pcr(session, digest.clone(), selection.clone())
        })
        .map_err(|error| match &error {
            TpmError::Call { error: call, .. } if call.code.bare() == code::VALUE => {
                TpmError::Key {
                    key: called.to_owned(),
                    reason: format!(
                        "its policy does not let it be used now: PCRs {} have other values than it wants",
                        names(banks)
                    ),
                    remedy: "what they measure (firmware, boot loader, configuration) has changed since the key was \
                             made: go back to it, or make a new key"
                        .to_owned(),
                }
            }
            _ => error,
        })
}

/// What an error of a command means that the policy was to authorise.
pub fn explained(error: TpmError, called: &str) -> TpmError {
    match &error {
        TpmError::Call { error: call, .. } if call.code.bare() == code::POLICY_FAIL => {
            TpmError::File {
                name: called.to_owned(),
                reason:
                    "policy: it does not lead to the policy that the key has (TPM_RC_POLICY_FAIL)"
                        .to_owned(),
                remedy: "the file was not made for this key, or not in this way".to_owned(),
            }
        }
        _ => error,
    }
}

fn selection(banks: &[PcrBank]) -> Option<PcrSelectionList> {
    let mut list = TPML_PCR_SELECTION::default();
    for bank in banks {
        let place = list
            .pcrSelections
            .get_mut(usize::try_from(list.count).ok()?)?;
        let mut selection = TPMS_PCR_SELECTION {
            hash: bank.hash,
            sizeofSelect: u8::try_from(bank.select.len()).ok()?,
            ..TPMS_PCR_SELECTION::default()
        };
        selection
            .pcrSelect
            .get_mut(..bank.select.len())?
            .copy_from_slice(&bank.select);
        *place = selection;
        list.count += 1;
    }
    PcrSelectionList::try_from(list).ok()
}

fn names(banks: &[PcrBank]) -> String {
    let names: Vec<String> = banks.iter().map(PcrBank::to_string).collect();
    names.join(" ")
}
