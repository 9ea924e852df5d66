//! What a refresher needs of the rest: where sessions come from, and who is told what happens.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use super::meter::Meter;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

/// What is configured. It lives on the refresher's thread.
pub trait Source: Send {
    /// Opens certificate and key as they are configured now, and checks that they go together. Nothing
    /// is sent.
    ///
    /// # Errors
    /// [`Failure`]; whatever was open before still serves.
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure>;

    /// The files whose change asks for opening anew, as of the last [`open`](Self::open).
    fn files(&self) -> Vec<PathBuf>;

    /// Somebody has asked for a reload: the next [`open`](Self::open) is for that.
    fn reload(&mut self) {}

    /// Whether some of it is in a device, a token or a TPM, where nobody sees that it changes. It is opened
    /// anew from time to time then.
    fn has_device(&self) -> bool {
        false
    }

    /// What counts the signatures of all that it opens.
    fn meter(&self) -> Option<Meter> {
        None
    }

    /// How many times a wrong PIN may still be given, as far as the device has said so: 1 before the last
    /// one, 0 if it is locked.
    fn pin_tries(&self) -> Option<u32> {
        None
    }
}

/// An identity that is open.
pub trait Opened: Send {
    /// Asks for one session, with the few quick attempts that a person would make.
    ///
    /// # Errors
    /// [`Failure`]; the refresher decides when to try again.
    fn create(&mut self) -> Result<Fresh, Failure>;

    /// When the certificate expires, if there is one.
    fn certificate_expires(&self) -> Option<UnixTime>;

    /// The certificate, DER, to tell it from another one.
    fn certificate(&self) -> Option<&[u8]> {
        None
    }

    /// How long a session is asked to live. No credentials are believed to live longer.
    fn session(&self) -> Option<Duration> {
        None
    }
}

/// A session that was just begun.
#[derive(Debug)]
pub struct Fresh {
    /// Its credentials.
    pub credentials: Credentials,
    /// The service's clock when it answered.
    pub date: Option<UnixTime>,
}

/// Why there are no new credentials. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What may help.
    pub kind: FailureKind,
    /// What is wrong, one sentence.
    pub what: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

/// What may help against a [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Time: no network, a service that is down.
    Temporary,
    /// Asking less often.
    Throttled,
    /// A person: refused, misconfigured, a key that is gone.
    Lasting,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl core::error::Error for Failure {}

/// A change of state, for the log. Each is told once.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// There are credentials where there were none, or again after failures.
    Begun {
        /// When they end.
        expiration: UnixTime,
    },
    /// New credentials cannot be had; valid ones are kept. Told when that begins, and when it is for
    /// another [`FailureKind`].
    Failed(&'a Failure),
    /// The last credentials have expired, and there are no others.
    Expired,
    /// The credentials are not renewed, because nobody asked for them since they came. Who asks gets new
    /// ones.
    Unused,
    /// The wall clock was set.
    ClockSet {
        /// By so many seconds; negative if it was set back.
        seconds: i64,
    },
    /// Another certificate or key, or other settings, are used from now on.
    Reloaded,
    /// What changed cannot be used; what was used before goes on.
    ReloadRefused(&'a Failure),
}

/// Who is told what happens.
pub trait Observer: Send {
    /// The state changed.
    fn event(&mut self, event: &Event<'_>);
}

impl Observer for () {
    fn event(&mut self, _event: &Event<'_>) {}
}
