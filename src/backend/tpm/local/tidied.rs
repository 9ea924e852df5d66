//! What is asked of a TPM in which something was left, through libtss2.

use core::ops::RangeInclusive;
use std::vec::Vec;

use tss_esapi::handles::{KeyHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{AttestInfo, Data, SignatureScheme};

use super::connection::Connection;
use super::{capability, public};
use crate::backend::tpm::code;
use crate::backend::tpm::error::TpmError;
use crate::backend::tpm::ledger::{Epoch, Ledger};
use crate::backend::tpm::leftovers::{Clock, Tidied};

impl Tidied for Connection {
    fn ledger(&self) -> Option<&Ledger> {
        self.own_ledger()
    }

    fn clock(&mut self) -> Option<Clock> {
        let none = Some(AuthSession::Password);
        let (attest, _) = self
            .run("the TPM", "TPM2_GetTime", |context| {
                context.execute_with_sessions((none, none, None), |context| {
                    context.get_time(KeyHandle::Null, Data::default(), SignatureScheme::Null)
                })
            })
            .ok()?;
        let AttestInfo::Time { info } = attest.attested() else {
            return None;
        };
        let time = info.time_info();
        let clock = time.clock_info();
        Some(Clock {
            time: time.time(),
            epoch: Epoch {
                reset: clock.reset_count(),
                restart: clock.restart_count(),
            },
        })
    }

    fn handles(&mut self, range: RangeInclusive<u32>) -> Result<Vec<u32>, TpmError> {
        capability::handles(self, range)
    }

    fn area(&mut self, handle: u32) -> Result<Option<Vec<u8>>, TpmError> {
        let Some(object) = find(self, handle) else {
            return Ok(None);
        };
        let read = self.run("what is loaded", "TPM2_ReadPublic", |context| {
            context.execute_without_session(|context| context.read_public(object.into()))
        });
        // It may be another's: ESYS has to forget it, or it would be flushed with the connection. tss-esapi
        // says that this should not be, and does so.
        let _ = self.run("what is loaded", "Esys_TR_Close", |context| {
            context.tr_close(&mut { object })
        });
        Ok(read.ok().map(|(area, ..)| public::bytes(&area)))
    }

    fn remove(&mut self, handle: u32) -> Result<bool, TpmError> {
        let Some(object) = find(self, handle) else {
            return Ok(false);
        };
        match self.flush(object) {
            Ok(()) => Ok(true),
            // tss-esapi did not expect policy sessions to be flushed that it has not started, after it did so.
            Err(TpmError::Call { error, .. }) if error.code == code::BAD_VALUE => Ok(true),
            Err(error) => Err(error),
        }
    }
}

fn find(connection: &mut Connection, handle: u32) -> Option<ObjectHandle> {
    let handle = TpmHandle::try_from(handle).ok()?;
    connection
        .run("what is loaded", "TPM2_ReadPublic", |context| {
            context.execute_without_session(|context| context.tr_from_tpm_public(handle))
        })
        .ok()
}
