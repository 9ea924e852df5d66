//! The policy of a key: what has to be so for it to be used.

use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use tss_esapi::constants::CommandCode;
use tss_esapi::handles::SessionHandle;
use tss_esapi::interface_types::session_handles::PolicySession;
use tss_esapi::structures::{Digest, PcrSelectionList, Public};
use tss_esapi::tss2_esys::{TPML_PCR_SELECTION, TPMS_PCR_SELECTION};

use super::connection::Connection;
use super::session;
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{PcrBank, PolicyStep};

/// Whether the policy wants the key's auth value.
pub fn wants_auth(policy: &[PolicyStep]) -> bool {
    policy
        .iter()
        .any(|step| matches!(step, PolicyStep::AuthValue | PolicyStep::Password))
}

/// Finds out whether the policy of a key is fulfilled now, and leads to that which the key has. `called` is
/// the key.
///
/// # Errors
/// [`TpmError::Key`] if not; [`TpmError`].
pub fn check(
    connection: &mut Connection,
    called: &str,
    public: &Public,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    let session = session::start_policy(connection, None, public.name_hashing_algorithm())?;
    let reached = connection.while_loaded(SessionHandle::from(session), |connection| {
        carry_out(connection, called, session, policy)?;
        connection.run(called, "TPM2_PolicyGetDigest", |context| {
            context.policy_get_digest(session)
        })
    });
    if reached? == *public.auth_policy() {
        return Ok(());
    }
    Err(TpmError::File {
        name: called.to_owned(),
        reason: "policy: it does not lead to the policy that the key has".to_owned(),
        remedy: "the file was not made for this key, or not in this way".to_owned(),
    })
}

/// Carries a policy out in a session that was started for it, or was used since. `called` is the key.
///
/// # Errors
/// [`TpmError::Key`], if PCRs have other values; [`TpmError::Call`].
pub fn carry_out(
    connection: &mut Connection,
    called: &str,
    session: PolicySession,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    steps(connection, called, session, policy).map_err(|error| explained(error, called, policy))
}

fn steps(
    connection: &mut Connection,
    called: &str,
    session: PolicySession,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    for step in policy {
        match step {
            // They lead to the same policy (TPM 2.0 Part 3, section 23.18), and only with TPM2_PolicyPassword
            // the value would go over the bus.
            PolicyStep::AuthValue | PolicyStep::Password => {
                connection.run(called, "TPM2_PolicyAuthValue", |context| {
                    context.policy_auth_value(session)
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
    connection.run(called, "TPM2_PolicyPCR", |context| {
        context.policy_pcr(session, digest.clone(), selection.clone())
    })
}

/// Says of an error that PCRs have other values than the policy wants, if that is what it means.
fn explained(error: TpmError, called: &str, policy: &[PolicyStep]) -> TpmError {
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
