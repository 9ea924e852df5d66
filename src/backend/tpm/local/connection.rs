//! A connection to a TPM.

use core::fmt;
use core::time::Duration;
use std::borrow::Cow;
use std::format;
use std::string::{String, ToString as _};
use std::thread;

use tss_esapi::constants::response_code::Tss2ResponseCode;
use tss_esapi::handles::{KeyHandle, ObjectHandle, SessionHandle};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::CreatePrimaryKeyResult;
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::{Context, Error, WrapperErrorKind};

use crate::backend::tpm::auth::Reached;
use crate::backend::tpm::code::{self, ResponseCode};
use crate::backend::tpm::device::Access;
use crate::backend::tpm::error::{CallError, TpmError};
use crate::backend::tpm::ledger::{Ledger, What};
use crate::backend::tpm::leftovers::{self, Tidied as _};

/// How long to wait before a command is sent once more that the TPM put off. libtss2 has sent it several
/// times by then, without a pause.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(5),
    Duration::from_millis(20),
    Duration::from_millis(80),
    Duration::from_millis(320),
    Duration::from_millis(1280),
];

/// A connection to a TPM: what it leaves in the TPM ends with it.
pub struct Connection {
    // Dropped first: it flushes what is still loaded, and then that need not be known any more.
    context: Context,
    /// None, where a resource manager keeps account.
    ledger: Option<Ledger>,
    access: Access,
    is_clearing: bool,
}

/// What was loaded.
pub trait Loaded {
    /// Where ESYS has it.
    fn handle(&self) -> ObjectHandle;
}

impl Loaded for KeyHandle {
    fn handle(&self) -> ObjectHandle {
        (*self).into()
    }
}

impl Loaded for CreatePrimaryKeyResult {
    fn handle(&self) -> ObjectHandle {
        self.key_handle.into()
    }
}

impl Loaded for AuthSession {
    fn handle(&self) -> ObjectHandle {
        SessionHandle::from(*self).into()
    }
}

impl Connection {
    /// Reaches the TPM. Nothing is sent, unless one of us was killed and left something there.
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
        let mut connection = Self {
            context,
            ledger: (!access.has_resource_manager()).then(|| Ledger::new(access)),
            access: access.clone(),
            is_clearing: false,
        };
        // What stays is in the way only where the TPM is full, and is looked for then once more.
        let _ = connection.flush_leftovers();
        Ok(connection)
    }

    /// Whether a resource manager is behind it, so that what is left in the TPM is cleared away by it.
    pub fn has_resource_manager(&self) -> bool {
        self.access.has_resource_manager()
    }

    /// Runs a command: `what` is it about, `call` is its name in the specification. It is sent again
    /// where the TPM put it off, or was full of what we left there.
    ///
    /// # Errors
    /// [`TpmError::Call`].
    pub fn run<T>(
        &mut self,
        what: impl fmt::Display,
        call: &'static str,
        command: impl Fn(&mut Context) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        let mut pauses = PAUSES.into_iter();
        let mut may_make_room = true;
        loop {
            let code = match command(&mut self.context) {
                Ok(done) => {
                    self.ask_for_epoch();
                    return Ok(done);
                }
                Err(error) => code(error),
            };
            if code.is_passing()
                && let Some(pause) = pauses.next()
            {
                thread::sleep(pause);
            } else if code.is_full() && core::mem::take(&mut may_make_room) {
                if !self.flush_leftovers()? {
                    return Err(failed(what, call, code));
                }
            } else {
                return Err(failed(what, call, code));
            }
        }
    }

    /// Loads something: until it is flushed it is written down, where there is no resource manager, so that
    /// it does not stay in the TPM if this process is killed.
    ///
    /// # Errors
    /// What `load` returned.
    pub fn record<T: Loaded>(
        &mut self,
        what: What,
        load: impl FnOnce(&mut Self) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let ticket = self.ledger.as_mut().map(|ledger| ledger.begin(what));
        let loaded = load(self);
        if let (Some(ledger), Some(ticket)) = (&mut self.ledger, ticket) {
            match &loaded {
                Ok(loaded) => {
                    let handle = loaded.handle();
                    let session = match what {
                        What::Session => session_handle(&mut self.context, handle),
                        _ => None,
                    };
                    ledger.loaded(ticket, handle.value(), session);
                }
                Err(_) => ledger.failed(ticket),
            }
        }
        loaded
    }

    /// What this connection has in the TPM.
    pub fn own_ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    fn flush_leftovers(&mut self) -> Result<bool, TpmError> {
        if core::mem::replace(&mut self.is_clearing, true) {
            return Ok(false);
        }
        let result = leftovers::flush(self);
        self.is_clearing = false;
        result
    }

    fn ask_for_epoch(&mut self) {
        if self.ledger.as_ref().is_some_and(Ledger::wants_epoch) {
            let set = |connection: &mut Self, epoch| {
                if let Some(ledger) = &mut connection.ledger {
                    ledger.set_epoch(epoch);
                }
            };
            // Not for that command, too.
            set(self, None);
            let clock = self.clock();
            set(self, clock.map(|clock| clock.epoch));
        }
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
        })?;
        if let Some(ledger) = &mut self.ledger {
            ledger.flushed(handle.value());
        }
        Ok(())
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

/// Where a session is in the TPM: its name is its handle (TPM 2.0 Part 1, section 16).
fn session_handle(context: &mut Context, session: ObjectHandle) -> Option<u32> {
    let name = context.tr_get_name(session).ok()?;
    Some(u32::from_be_bytes(name.value().try_into().ok()?))
}

impl Reached for Connection {
    fn access(&self) -> &Access {
        &self.access
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

fn failed(what: impl fmt::Display, call: &'static str, code: ResponseCode) -> TpmError {
    TpmError::Call {
        what: what.to_string(),
        error: CallError {
            call: Cow::Borrowed(call),
            code,
        },
    }
}

/// What the TPM, or a layer of libtss2, returned; or what a layer of libtss2 would return for what
/// tss-esapi refused itself.
fn code(error: Error) -> ResponseCode {
    match error {
        Error::Tss2Error(Tss2ResponseCode::FormatZero(code)) => ResponseCode(code.0),
        Error::Tss2Error(Tss2ResponseCode::FormatOne(code)) => ResponseCode(code.0),
        Error::WrapperError(WrapperErrorKind::WrongValueFromTpm) => code::MALFORMED_RESPONSE,
        Error::WrapperError(_) | Error::Tss2Error(Tss2ResponseCode::Success) => code::BAD_VALUE,
    }
}

fn reason(error: Error) -> String {
    match error {
        Error::WrapperError(kind) => kind.to_string(),
        error => format!("libtss2 says {}", code(error)),
    }
}
