//! A connection to a TPM.

use core::fmt;
use std::borrow::Cow;
use std::format;
use std::string::{String, ToString as _};

use tss_esapi::constants::response_code::Tss2ResponseCode;
use tss_esapi::handles::ObjectHandle;
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::{Context, Error};

use crate::backend::tpm::code::{self, ResponseCode};
use crate::backend::tpm::device::Access;
use crate::backend::tpm::error::{CallError, TpmError};

/// A connection to a TPM: what it leaves in the TPM ends with it.
pub struct Connection {
    context: Context,
    access: Access,
}

impl Connection {
    /// Reaches the TPM.
    ///
    /// # Errors
    /// [`TpmError::Unreachable`].
    pub fn open(access: &Access) -> Result<Self, TpmError> {
        let unreachable = |reason: String| TpmError::Unreachable {
            tcti: access.tcti.clone(),
            reason,
        };
        let tcti: TctiNameConf = access.tcti.parse().map_err(|_| {
            unreachable(
                "a TCTI is device:PATH, tabrmd, swtpm:host=HOST,port=PORT or mssim:…".to_string(),
            )
        })?;
        let context = Context::new(tcti).map_err(|error| unreachable(reason(error)))?;
        Ok(Self {
            context,
            access: access.clone(),
        })
    }

    /// How it was reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Runs a command: `what` is it about, `call` is its name in the specification.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    pub fn run<T>(
        &mut self,
        what: impl fmt::Display,
        call: &'static str,
        command: impl Fn(&mut Context) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        command(&mut self.context).map_err(|error| TpmError::Call {
            what: what.to_string(),
            error: CallError {
                call: Cow::Borrowed(call),
                code: code(error),
            },
        })
    }

    /// Removes an object or a session from the TPM. That it is gone already is no error.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    pub fn flush(&mut self, handle: impl Into<ObjectHandle>) -> Result<(), TpmError> {
        let handle = handle.into();
        self.run("what was loaded", "TPM2_FlushContext", |context| {
            context.flush_context(handle)
        })
        .or_else(|error| match &error {
            TpmError::Call { error: call, .. } if call.code.bare() == code::HANDLE => Ok(()),
            _ => Err(error),
        })
    }

    /// Does something with what was loaded, and removes it then, whatever came of it.
    ///
    /// # Errors
    /// What came of it, or [`TpmError::Call`].
    pub fn while_loaded<T>(
        &mut self,
        handle: impl Into<ObjectHandle>,
        something: impl FnOnce(&mut Self) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let result = something(self);
        let flushed = self.flush(handle);
        let done = result?;
        flushed.map(|()| done)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// What the TPM, or a layer of libtss2, returned. What tss-esapi itself refuses to send has none.
fn code(error: Error) -> ResponseCode {
    match error {
        Error::Tss2Error(Tss2ResponseCode::FormatZero(code)) => ResponseCode(code.0),
        Error::Tss2Error(Tss2ResponseCode::FormatOne(code)) => ResponseCode(code.0),
        Error::Tss2Error(Tss2ResponseCode::Success) | Error::WrapperError(_) => ResponseCode(0),
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::WrapperError(kind) => kind.to_string(),
        error => format!("libtss2 says {}", code(error)),
    }
}
