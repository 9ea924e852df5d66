//! What the two programs say to each other.

use std::borrow::Cow;
use std::string::String;
use std::vec::Vec;

use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as NameError, StrDeserializer};
use serde::{Deserialize, Serialize};

use crate::backend::pkcs11::{
    Access, Call, FoundCertificate, GenerateKey, GeneratedKey, Inventory, Notice, OpenKey,
    PinRequest, StoreCertificate, TokenError, Uri, Warning, return_value_name,
};
use crate::core::key::{Scheme, SignError};

/// What the worker is told. After [`ToWorker::Setup`] comes one request at a time; a PIN only when it
/// was asked for.
#[derive(Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum ToWorker<'a> {
    /// How tokens are reached: before all else.
    Setup(Cow<'a, Access>),
    /// Do this. The answer is a [`ToClient`] of its kind, or [`ToClient::Failed`].
    Do {
        /// Whether a person types PINs ([`crate::backend::pkcs11::Operator::is_person`]).
        person: bool,
        /// What.
        #[serde(borrow)]
        request: Request<'a>,
    },
    /// The PIN that was asked for.
    Pin(#[serde(with = "bytes")] &'a [u8]),
    /// There is none.
    NoPin,
    /// Its source cannot be read.
    PinUnreadable {
        /// Why.
        reason: String,
        /// Whether a person declined to answer.
        cancelled: bool,
    },
}

/// A call of [`crate::backend::pkcs11::Tokens`], or of the signer that it opened.
#[derive(Serialize, Deserialize)]
pub enum Request<'a> {
    Open(Cow<'a, OpenKey>),
    Sign {
        #[serde(with = "SchemeName")]
        scheme: Scheme,
        #[serde(with = "bytes", borrow)]
        message: &'a [u8],
    },
    Certificates(Cow<'a, Uri>),
    Inventory {
        uri: Cow<'a, Uri>,
        login: bool,
    },
    Generate(Cow<'a, GenerateKey>),
    Store(Cow<'a, StoreCertificate>),
}

/// What the worker says: while it does a request [`ToClient::AskPin`] and [`ToClient::Notify`], as
/// often as needed, and at its end one of the others.
#[derive(Serialize, Deserialize)]
pub enum ToClient<'a> {
    /// Answered by one of the PINs of [`ToWorker`].
    AskPin(PinRequest),
    /// Not answered.
    Notify(Notice),
    Opened(Opened),
    Signature(#[serde(with = "bytes", borrow)] &'a [u8]),
    NoSignature(#[serde(borrow)] NoSignature<'a>),
    Certificates(Vec<FoundCertificate>),
    Inventory(Inventory),
    Generated(GeneratedKey),
    Stored(Uri),
    Failed(TokenError),
}

/// [`crate::backend::pkcs11::OpenedKey`], of which the signer stays with the worker.
#[derive(Serialize, Deserialize)]
pub struct Opened {
    pub public_key: Vec<u8>,
    pub uri: Uri,
    pub certificates: Vec<Vec<u8>>,
    pub warnings: Vec<Warning>,
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

impl From<NoSignature<'_>> for SignError {
    fn from(error: NoSignature<'_>) -> Self {
        match error {
            NoSignature::UnsupportedScheme => Self::UnsupportedScheme,
            NoSignature::BufferTooSmall => Self::BufferTooSmall,
            NoSignature::Device { call, code } => match call_named(call) {
                Some(call) => Self::Device {
                    call: call.name(),
                    code,
                    name: return_value_name(code),
                },
                None => Self::Failed,
            },
            NoSignature::KeyGone => Self::KeyGone,
            NoSignature::WrongKey => Self::WrongKey,
            NoSignature::PinNeeded => Self::PinNeeded,
            NoSignature::PinRefused => Self::PinRefused,
            NoSignature::PinLocked => Self::PinLocked,
            NoSignature::NotTouched => Self::NotTouched,
            NoSignature::TimedOut => Self::TimedOut,
            NoSignature::ProcessEnded => Self::ProcessEnded,
            NoSignature::Failed => Self::Failed,
        }
    }
}

/// The function of this name. Its derived `Deserialize` knows every one of them.
fn call_named(name: &str) -> Option<Call> {
    let deserializer: StrDeserializer<'_, NameError> = name.strip_prefix("C_")?.into_deserializer();
    Call::deserialize(deserializer).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_devices_keep_their_names() {
        for call in [
            Call::Sign,
            Call::SignInit,
            Call::Login,
            Call::GetFunctionList,
        ] {
            for code in [0x32, 0x8000_0001] {
                let error = SignError::Device {
                    call: call.name(),
                    code,
                    name: return_value_name(code),
                };
                assert_eq!(SignError::from(NoSignature::from(error)), error);
            }
        }
        for name in ["", "C_", "Sign", "C_Nothing"] {
            assert!(call_named(name).is_none());
        }
    }
}
