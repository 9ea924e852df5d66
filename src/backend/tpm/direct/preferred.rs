//! A TPM that is spoken to without libtss2 where that does, and through it for the rest.

use std::boxed::Box;
use std::format;

use super::Direct;
use crate::backend::tpm::device::{Device, Done, OpenKey, OpenedKey, Operator, Task};
use crate::backend::tpm::error::TpmError;

/// Keys are used without libtss2. What takes it is left to `other`, which has it.
#[derive(Debug)]
pub struct Preferred<D> {
    direct: Direct,
    other: D,
}

impl<D: Device> Preferred<D> {
    /// `direct` before `other`.
    pub fn new(direct: Direct, other: D) -> Self {
        Self { direct, other }
    }
}

impl<D: Device> Device for Preferred<D> {
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError> {
        let (why, operator) = match self.direct.try_open(request, operator) {
            Ok(opened) => return Ok(opened),
            Err((TpmError::Unsupported { what, .. }, operator)) => (what, operator),
            Err((error, _)) => return Err(error),
        };
        self.other
            .open(request, operator)
            .map_err(|error| match error {
                TpmError::Signer { reason } => TpmError::Signer {
                    reason: format!(
                        "{reason}; without it, {why}. A daemon that has confined itself starts no programs: with \
                         tpm-transport = \"tss\" (--tpm-transport tss) it starts keystead-signer before"
                    ),
                },
                error => error,
            })
    }

    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError> {
        self.other.perform(task, operator)
    }
}
