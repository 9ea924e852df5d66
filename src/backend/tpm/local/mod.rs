//! A TPM, spoken to by this process through libtss2.

mod attest;
mod capability;
mod connection;
mod ek;
mod generate;
mod hierarchy;
mod import;
mod key;
mod load;
mod new_key;
mod nv;
mod parent;
mod persistent;
mod policy;
mod public;
mod salt;
mod scheme;
mod session;
mod signing;
mod status;
mod template;
mod tidied;

use std::boxed::Box;

use self::connection::Connection;
use self::signing::LocalKey;
use super::device::{Access, Device, Done, OpenKey, OpenedKey, Operator, Task};
use super::error::TpmError;
use super::signer::TpmSigner;

/// A TPM that this process speaks to.
#[derive(Debug)]
pub struct Local {
    access: Access,
}

impl Local {
    /// Reaches a TPM. Nothing is sent before there is something to do.
    pub fn new(access: Access) -> Self {
        Self { access }
    }
}

impl Device for Local {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        TpmSigner::<LocalKey>::open(&self.access, request.clone(), operator)
            .map_err(|(error, _)| error)
    }

    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError> {
        let mut connection = Connection::open(&self.access)?;
        match task {
            Task::Status => status::status(&mut connection).map(Done::Status),
            Task::EndorsementKey(template) => {
                ek::with_ek(&mut connection, operator, *template, |_, _, ek| {
                    Ok(Done::EndorsementKey(ek.about.clone()))
                })
            }
            Task::Generate(request) => {
                generate::generate(&mut connection, request, operator).map(Done::Generated)
            }
            Task::AttestRequest(shown) => {
                attest::request(&mut connection, operator, shown).map(Done::AttestRequest)
            }
            Task::AttestAnswer(asked) => {
                attest::answer(&mut connection, operator, asked).map(Done::AttestAnswer)
            }
        }
    }
}
