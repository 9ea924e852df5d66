//! The policy of a key: what has to be so for it to be used.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;

use tss_esapi::constants::CommandCode;
use tss_esapi::handles::SessionHandle;
use tss_esapi::interface_types::session_handles::PolicySession;
use tss_esapi::structures::{Digest, PcrSelectionList, Public};
use tss_esapi::tss2_esys::{TPML_PCR_SELECTION, TPMS_PCR_SELECTION};

use super::connection::Connection;
use super::session;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{PcrBank, PolicyStep};
use crate::backend::tpm::policy::{explained, names};

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
