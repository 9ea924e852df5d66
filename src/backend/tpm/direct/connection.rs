//! A connection to a TPM.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;
use std::borrow::Cow;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::thread;
use std::vec::Vec;

use ring::rand::{SecureRandom as _, SystemRandom};

use super::stream::{Failure, MAX_LEN, Stream, Way};
use crate::backend::tpm::auth::Reached;
use crate::backend::tpm::code::{self, ResponseCode};
use crate::backend::tpm::device::Access;
use crate::backend::tpm::error::{CallError, TpmError};
use crate::backend::tpm::ledger::{Epoch, Ledger, What};
use crate::backend::tpm::leftovers::{self, Clock, Tidied};
use crate::backend::tpm::primary;
use crate::core::tpm::{Error, MAX_PUBLIC_LEN, NoRandomness, PublicArea, Random, Tpm};

/// How long to wait before a command is sent once more that the TPM put off.
const PAUSES: [Duration; 13] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(320),
    Duration::from_millis(640),
    Duration::from_millis(1280),
    Duration::from_millis(1280),
];

/// The TPM.
pub type Chip = Tpm<Stream, Box<[u8]>, Chance>;

/// The system's randomness.
pub struct Chance(SystemRandom);

impl Random for Chance {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.fill(out).map_err(|_| NoRandomness)
    }
}

/// A connection to a TPM: what it leaves in the TPM ends with it.
pub struct Connection {
    chip: Chip,
    /// None, where a resource manager keeps account.
    ledger: Option<Ledger>,
    /// What was loaded, and not flushed yet.
    loaded: Vec<u32>,
    access: Access,
    is_clearing: bool,
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
        let way = Way::of(&access.tcti)
            .ok_or_else(|| unreachable("it is a TCTI that libtss2 alone knows".to_string()))?;
        let stream = Stream::open(way, access.timeout);
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        let buffer = std::vec![0; MAX_LEN].into_boxed_slice();
        let mut connection = Self {
            chip: Tpm::new(stream, buffer, Chance(SystemRandom::new())),
            ledger: (!access.has_resource_manager()).then(|| Ledger::new(access)),
            loaded: Vec::new(),
            access: access.clone(),
            is_clearing: false,
        };
        // What stays is in the way only where the TPM is full, and is looked for then once more.
        let _ = connection.flush_leftovers();
        Ok(connection)
    }

    /// Runs a command: `what` is it about, `call` is its name in the specification. It is sent again where the
    /// TPM put it off, or was full of what we left there.
    ///
    /// # Errors
    /// [`TpmError::Call`]; [`TpmError::Unreachable`]; [`TpmError::Unanswered`].
    pub fn run<T>(
        &mut self,
        what: impl fmt::Display,
        call: &'static str,
        mut command: impl FnMut(&mut Chip) -> Result<T, Error>,
    ) -> Result<T, TpmError> {
        let mut pauses = PAUSES.into_iter();
        let mut may_make_room = true;
        loop {
            let timeout = self.access.timeout + primary::time(call);
            self.chip.stream().set_timeout(timeout);
            let error = match command(&mut self.chip) {
                Ok(done) => {
                    self.ask_for_epoch();
                    return Ok(done);
                }
                Err(error) => self.failed(&what, call, error),
            };
            let code = match &error {
                TpmError::Call { error, .. } => error.code,
                _ => return Err(error),
            };
            if code.is_passing()
                && let Some(pause) = pauses.next()
            {
                thread::sleep(pause);
            } else if code.is_full() && core::mem::take(&mut may_make_room) {
                if !self.flush_leftovers()? {
                    return Err(error);
                }
            } else {
                return Err(error);
            }
        }
    }

    /// Loads something, which `load` says the handle of: until it is flushed it is written down, where there is
    /// no resource manager, so that it does not stay in the TPM if this process is killed.
    ///
    /// # Errors
    /// What `load` returned.
    pub fn record<T>(
        &mut self,
        what: What,
        load: impl FnOnce(&mut Self) -> Result<T, TpmError>,
        handle: impl FnOnce(&T) -> u32,
    ) -> Result<T, TpmError> {
        let ticket = self.ledger.as_mut().map(|ledger| ledger.begin(what));
        let loaded = load(self);
        if let Ok(loaded) = &loaded {
            self.loaded.push(handle(loaded));
        }
        if let (Some(ledger), Some(ticket)) = (&mut self.ledger, ticket) {
            match self.loaded.last() {
                Some(handle) if loaded.is_ok() => {
                    let session = (what == What::Session).then_some(*handle);
                    ledger.loaded(ticket, *handle, session);
                }
                _ => ledger.failed(ticket),
            }
        }
        loaded
    }

    /// Removes an object or a session from the TPM. That it is gone already is no error.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn flush(&mut self, handle: u32) -> Result<(), TpmError> {
        // Whatever becomes of it, it is not tried again at the end.
        self.loaded.retain(|loaded| *loaded != handle);
        let removed = self.remove(handle);
        if let Some(ledger) = &mut self.ledger {
            match &removed {
                Ok(_) => ledger.flushed(handle),
                Err(_) => ledger.keep(),
            }
        }
        removed.map(|_| ())
    }

    /// Does something with what was loaded, and removes it then, whatever came of it.
    ///
    /// # Errors
    /// What came of it, or [`TpmError`].
    pub fn while_loaded<T>(
        &mut self,
        handle: u32,
        something: impl FnOnce(&mut Self) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let result = something(self);
        let flushed = self.flush(handle);
        let done = result?;
        flushed.map(|()| done)
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

    fn failed(&mut self, what: impl fmt::Display, call: &'static str, error: Error) -> TpmError {
        let code = match error {
            Error::Code(code) => ResponseCode(code),
            Error::Malformed | Error::WrongName | Error::BufferTooSmall => code::MALFORMED_RESPONSE,
            Error::WrongHmac => code::RSP_AUTH_FAILED,
            Error::Unfit | Error::UnfitSaltKey => code::BAD_VALUE,
            Error::Closed => return self.unanswered(call, &error),
            _ => {
                let tcti = self.access.tcti.clone();
                return match self.chip.stream().failure() {
                    Some(failure) if failure.was_sent => self.unanswered(call, &failure.error),
                    Some(Failure { error, .. }) => TpmError::Unreachable {
                        tcti,
                        reason: error.to_string(),
                    },
                    None => TpmError::Unreachable {
                        tcti,
                        reason: error.to_string(),
                    },
                };
            }
        };
        TpmError::Call {
            what: what.to_string(),
            error: CallError {
                call: Cow::Borrowed(call),
                code,
            },
        }
    }
}

impl Connection {
    fn unanswered(&self, call: &'static str, reason: &impl fmt::Display) -> TpmError {
        TpmError::Unanswered {
            tcti: self.access.tcti.clone(),
            call: Cow::Borrowed(call),
            reason: reason.to_string(),
        }
    }
}

impl Drop for Connection {
    /// What is still loaded is flushed; then that need not be known any more. What the TPM did not say that it is
    /// gone is left to the next of us.
    fn drop(&mut self) {
        // With the device, a resource manager's things go.
        let Some(ledger) = &mut self.ledger else {
            return;
        };
        let mut gone = Vec::new();
        let mut left = core::mem::take(&mut self.loaded).into_iter();
        for handle in left.by_ref() {
            match self.chip.flush_context(handle) {
                Ok(()) => gone.push(handle),
                Err(Error::Code(code)) if ResponseCode(code).bare() == code::HANDLE => {
                    gone.push(handle);
                }
                Err(_) => {
                    ledger.keep();
                    // Each try of the others could take as long as a time-out.
                    if self.chip.stream().failure().is_some() {
                        break;
                    }
                }
            }
        }
        if ledger.is_kept() {
            gone.into_iter().for_each(|handle| ledger.flushed(handle));
        }
    }
}

impl Reached for Connection {
    fn access(&self) -> &Access {
        &self.access
    }
}

impl Tidied for Connection {
    fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    fn clock(&mut self) -> Option<Clock> {
        let clock = self.run("the TPM", "TPM2_GetTime", Tpm::clock).ok()?;
        Some(Clock {
            time: clock.time,
            epoch: Epoch {
                reset: clock.reset_count,
                restart: clock.restart_count,
            },
        })
    }

    fn handles(&mut self, range: RangeInclusive<u32>) -> Result<Vec<u32>, TpmError> {
        let mut found: Vec<u32> = Vec::new();
        let mut first = *range.start();
        loop {
            let mut some = Vec::new();
            let more = self.run("the TPM", "TPM2_GetCapability", |chip| {
                some.clear();
                chip.handles(first, |handle| some.push(handle))
            })?;
            some.retain(|handle| range.contains(handle) && *handle >= first);
            let last = some.last().copied();
            found.append(&mut some);
            // A TPM that says that there is more, and gives none, is not asked for ever.
            match last {
                Some(last) if more && last < *range.end() => first = last + 1,
                _ => return Ok(found),
            }
        }
    }

    fn area(&mut self, handle: u32) -> Result<Option<Vec<u8>>, TpmError> {
        let read = self.run("what is loaded", "TPM2_ReadPublic", |chip| {
            chip.read_public(handle)
        });
        match read {
            Ok((area, _)) => Ok(Some(bytes(&area))),
            Err(TpmError::Call { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remove(&mut self, handle: u32) -> Result<bool, TpmError> {
        let removed = self.run("what was loaded", "TPM2_FlushContext", |chip| {
            chip.flush_context(handle)
        });
        match removed {
            Ok(()) => Ok(true),
            Err(TpmError::Call { error, .. }) if error.code.bare() == code::HANDLE => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A public area as a TPM writes it.
pub fn bytes(area: &PublicArea) -> Vec<u8> {
    // None is longer.
    area.write(&mut [0; MAX_PUBLIC_LEN])
        .map(Vec::from)
        .unwrap_or_default()
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}
