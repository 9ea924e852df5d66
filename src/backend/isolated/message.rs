//! What the two programs say to each other.

use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::family::Family;
use crate::core::key::{Scheme, SignError};

/// What the worker is told. After [`ToWorker::Setup`] comes one request at a time; a secret only when it
/// was asked for.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub enum ToWorker<'a, F: Family> {
    /// How devices are reached: before all else.
    Setup(Cow<'a, F::Access>),
    /// Do this. The answer is a [`ToClient`] of its kind, or [`ToClient::Failed`].
    Do {
        /// Whether a person types secrets ([`super::family::Answer::is_person`]).
        person: bool,
        /// What.
        #[serde(borrow)]
        request: Request<'a, F>,
    },
    /// The secret that was asked for.
    Secret(#[serde(with = "bytes")] &'a [u8]),
    /// There is none.
    NoSecret,
    /// Its source cannot be read.
    SecretUnreadable {
        /// Why.
        reason: String,
        /// Whether a person declined to answer.
        cancelled: bool,
    },
}

/// What can be asked of a device, or of the signer that it opened.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub enum Request<'a, F: Family> {
    Open(Cow<'a, F::OpenKey>),
    Sign {
        #[serde(with = "SchemeName")]
        scheme: Scheme,
        #[serde(with = "bytes", borrow)]
        message: &'a [u8],
    },
    Perform(Cow<'a, F::Task>),
}

/// What the worker says: while it does a request [`ToClient::Ask`] and [`ToClient::Notify`], as often
/// as needed, and at its end one of the others.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub enum ToClient<'a, F: Family> {
    /// Answered by one of the secrets of [`ToWorker`].
    Ask(F::Question),
    /// Not answered.
    Notify(F::Notice),
    Opened(Opened<F>),
    Signature(#[serde(with = "bytes", borrow)] &'a [u8]),
    NoSignature(#[serde(borrow)] NoSignature<'a>),
    Done(F::Done),
    Failed(F::Error),
}

/// A key that is open: its signer stays with the worker.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Opened<F: Family> {
    pub public_key: Vec<u8>,
    pub more: F::Opened,
}

/// [`Scheme`], of which the core does not know that it travels.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Scheme")]
enum SchemeName {
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    MlDsa,
}

/// [`SignError`], of which the names are fixed texts in the program.
#[derive(Serialize, Deserialize)]
pub enum NoSignature<'a> {
    UnsupportedScheme,
    BufferTooSmall,
    Device { call: &'a str, code: u32 },
    KeyGone,
    WrongKey,
    PinNeeded,
    PinRefused,
    PinLocked,
    NotTouched,
    TimedOut,
    ProcessEnded,
    Failed,
}

impl From<SignError> for NoSignature<'static> {
    fn from(error: SignError) -> Self {
        match error {
            SignError::UnsupportedScheme => Self::UnsupportedScheme,
            SignError::BufferTooSmall => Self::BufferTooSmall,
            SignError::Device { call, code, .. } => Self::Device { call, code },
            SignError::KeyGone => Self::KeyGone,
            SignError::WrongKey => Self::WrongKey,
            SignError::PinNeeded => Self::PinNeeded,
            SignError::PinRefused => Self::PinRefused,
            SignError::PinLocked => Self::PinLocked,
            SignError::NotTouched => Self::NotTouched,
            SignError::TimedOut => Self::TimedOut,
            SignError::ProcessEnded => Self::ProcessEnded,
            SignError::Failed => Self::Failed,
        }
    }
}

impl NoSignature<'_> {
    /// What a device of this family said.
    pub fn of<F: Family>(self) -> SignError {
        match self {
            Self::UnsupportedScheme => SignError::UnsupportedScheme,
            Self::BufferTooSmall => SignError::BufferTooSmall,
            Self::Device { call, code } => F::device_error(call, code).unwrap_or(SignError::Failed),
            Self::KeyGone => SignError::KeyGone,
            Self::WrongKey => SignError::WrongKey,
            Self::PinNeeded => SignError::PinNeeded,
            Self::PinRefused => SignError::PinRefused,
            Self::PinLocked => SignError::PinLocked,
            Self::NotTouched => SignError::NotTouched,
            Self::TimedOut => SignError::TimedOut,
            Self::ProcessEnded => SignError::ProcessEnded,
            Self::Failed => SignError::Failed,
        }
    }
}

/// Bytes in one piece, where serde would take them one by one.
mod bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(bytes)
    }

    pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<&'a [u8], D::Error> {
        <&[u8]>::deserialize(from)
    }
}
