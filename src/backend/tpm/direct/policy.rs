//! The policy of a key: what has to be so for it to be used.

use std::borrow::ToOwned as _;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::connection::Connection;
use super::session;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::key_file::{PcrBank, PolicyStep};
use crate::backend::tpm::policy::explained;
use crate::core::tpm::{PcrSelection, PublicArea, Session};

/// Finds out whether the policy of a key is fulfilled now, and leads to that which the key has. `called` is
/// the key.
///
/// # Errors
/// [`TpmError::Key`] if not; [`TpmError`].
pub fn check(
    connection: &mut Connection,
    called: &str,
    area: &PublicArea,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    let mut session = session::start_policy(connection, area, None)?;
    let reached = connection.while_loaded(session.handle(), |connection| {
        carry_out(connection, called, &mut session, policy)?;
        connection.run(called, "TPM2_PolicyGetDigest", |chip| {
            chip.policy_is(&session, area.policy())
        })
    });
    if reached? {
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
    session: &mut Session,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    steps(connection, called, session, policy).map_err(|error| explained(error, called, policy))
}

fn steps(
    connection: &mut Connection,
    called: &str,
    session: &mut Session,
    policy: &[PolicyStep],
) -> Result<(), TpmError> {
    for step in policy {
        match step {
            // They lead to the same policy (TPM 2.0 Part 3, section 23.18), and only with TPM2_PolicyPassword
            // the value would go over the bus.
            PolicyStep::AuthValue | PolicyStep::Password => {
                connection.run(called, "TPM2_PolicyAuthValue", |chip| {
                    chip.policy_auth_value(session)
                })?;
            }
            PolicyStep::Pcr { banks, digest } => {
                let selection: Vec<_> = banks.iter().map(selection).collect();
                connection.run(called, "TPM2_PolicyPCR", |chip| {
                    chip.policy_pcr(session, digest, &selection)
                })?;
            }
            PolicyStep::CommandCode(code) => {
                if *code != SIGN {
                    return Err(TpmError::File {
                        name: called.to_owned(),
                        reason: format!("policy: it is for the command {code:#x} alone"),
                        remedy: String::new(),
                    });
                }
                connection.run(called, "TPM2_PolicyCommandCode", |chip| {
                    chip.policy_command_code(session, *code)
                })?;
            }
        }
    }
    Ok(())
}

/// TPM2_Sign (TPM 2.0 Part 2, section 6.5.2).
const SIGN: u32 = 0x15d;

fn selection(bank: &PcrBank) -> PcrSelection<'_> {
    PcrSelection {
        hash: bank.hash,
        select: &bank.select,
    }
}
