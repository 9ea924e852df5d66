//! A TPM that another process speaks to.

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::family::{Answer, Family, PRIMES};
use super::line::Line;
use super::starter::Starter;
use super::worker::Worker;
use crate::backend::BoxedSigner;
use crate::backend::secret::{Secret, SecretError};
use crate::backend::tpm::code::ResponseCode;
use crate::backend::tpm::{
    Access, AuthRequest, Device, Done, KeyPlace, OpenKey, OpenedKey, Operator, PRIMARY_TIME, Task,
    TpmError, Warning, command, sign_error,
};
use crate::core::key::SignError;
use crate::core::text::Printable;

/// TSS2_BASE_RC_MEMORY (TSS 2.0 Overview and Common Structures, section 3.2), in any layer of libtss2:
/// the process has used up what it gets. A TPM's own codes are of layer 0.
const OUT_OF_MEMORY: u32 = 23;

/// A TPM that a `keystead-signer` speaks to.
///
/// Each key that is opened gets a worker of its own. All else is asked of one worker, which the next
/// key takes over.
#[derive(Debug)]
pub struct IsolatedTpm(pub(super) Client<Tpm>);

impl IsolatedTpm {
    /// Reaches a TPM by workers from `starter`. None is started before there is something to do.
    pub fn new(starter: Starter, access: Access) -> Self {
        Self(Client::new(starter, access))
    }
}

impl Worker {
    /// Serves those who want a TPM. `device` is called with how they want to reach it.
    pub fn tpm<D: Device + 'static>(self, device: impl FnOnce(Access) -> D + 'static) -> Self {
        self.with::<Tpm>(|access| Box::new(device(access)))
    }
}

#[derive(Debug)]
pub struct Tpm;

/// What is said of [`OpenedKey`], whose signer stays with the worker.
#[derive(Serialize, Deserialize)]
pub struct Opened {
    name: Vec<u8>,
    warnings: Vec<Warning>,
}

impl Device for IsolatedTpm {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        let (signer, Opened { name, warnings }) = self.0.open(request, operator)?;
        Ok(OpenedKey {
            signer,
            name,
            warnings,
        })
    }

    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError> {
        self.0.perform(task, operator, Some)
    }
}

impl Answer<Tpm> for dyn Operator + '_ {
    fn secret(&mut self, question: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        self.auth(question)
    }

    fn is_person(&self) -> bool {
        Operator::is_person(self)
    }

    fn notify(&mut self, notice: &TpmError) {
        Operator::failed(self, notice);
    }

    fn failed(&mut self, error: &TpmError) {
        Operator::failed(self, error);
    }
}

impl Operator for Line<Tpm> {
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError> {
        self.secret(request)
    }

    fn is_person(&self) -> bool {
        Answer::is_person(self)
    }

    fn failed(&mut self, error: &TpmError) {
        Answer::notify(self, error);
    }
}

impl Family for Tpm {
    const FEATURE: &'static str = "tpm";
    // Without a resource manager, what a killed program had loaded stays in the TPM.
    const TIDIES: bool = true;

    type Access = Access;
    type OpenKey = OpenKey;
    type Opened = Opened;
    type Task = Task;
    type Done = Done;
    type Question = AuthRequest;
    // A TPM has nothing to say while it works; what comes is why it did not sign.
    type Notice = TpmError;
    type Error = TpmError;
    type Operator = dyn Operator;
    type Device = dyn Device;

    fn timeout(access: &Access) -> Duration {
        access.timeout
    }

    fn place(access: &Access) -> String {
        format!("the TPM at {}", Printable(&access.tcti))
    }

    fn time_to_open(request: &OpenKey) -> Duration {
        match request.key {
            KeyPlace::Handle(_) => Duration::ZERO,
            // For the primary key that it is loaded under.
            KeyPlace::File { .. } => PRIMARY_TIME,
        }
    }

    fn time_for(task: &Task) -> Duration {
        match task {
            Task::Status => Duration::ZERO,
            // The others make keys, or load them under a primary key.
            _ => PRIMES,
        }
    }

    fn patience(_: &TpmError) -> Duration {
        Duration::ZERO
    }

    fn failed(reason: String) -> TpmError {
        TpmError::Signer { reason }
    }

    fn unreadable(request: &OpenKey) -> TpmError {
        TpmError::Key {
            key: request.key.to_string(),
            reason: "its public key cannot be read".into(),
            remedy: String::new(),
        }
    }

    fn sign_error(error: &TpmError) -> SignError {
        sign_error(error)
    }

    fn device_error(call: &str, code: u32) -> Option<SignError> {
        Some(SignError::Device {
            call: command(call),
            code,
            name: ResponseCode(code).name(),
        })
    }

    fn is_out_of_memory(code: u32) -> bool {
        code >> 16 != 0 && code & 0xffff == OUT_OF_MEMORY
    }

    fn open(
        device: &mut Self::Device,
        request: &OpenKey,
        operator: Box<Line<Self>>,
    ) -> Result<(BoxedSigner, Opened), TpmError> {
        let OpenedKey {
            signer,
            name,
            warnings,
        } = device.open(request, operator)?;
        Ok((signer, Opened { name, warnings }))
    }

    fn perform(
        device: &mut Self::Device,
        task: &Task,
        operator: &mut Line<Self>,
    ) -> Result<Done, TpmError> {
        device.perform(task, operator)
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::NoSignature;
    use super::*;

    #[test]
    fn errors_of_a_tpm_keep_their_names() {
        for call in ["TPM2_Sign", "TPM2_Load", "TPM2_StartAuthSession"] {
            for (code, name) in [
                (0x98e, "TPM_RC_AUTH_FAIL"),
                (0x921, "TPM_RC_LOCKOUT"),
                (0xa_0001, ""),
            ] {
                let error = SignError::Device { call, code, name };
                assert_eq!(NoSignature::from(error).of::<Tpm>(), error);
            }
        }
    }

    #[test]
    fn a_tpm_without_memory_is_no_process_without_memory() {
        assert!(Tpm::is_out_of_memory(0x7_0017));
        for code in [0x17, 0x904, 0x902, 0x7_0001] {
            assert!(!Tpm::is_out_of_memory(code));
        }
    }
}
