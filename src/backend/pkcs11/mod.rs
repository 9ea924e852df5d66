//! Keys in PKCS#11 tokens: HSMs, smart cards, YubiKeys, SoftHSM.

mod call;
mod choice;
mod error;
mod local;
mod locate;
mod login;
mod mechanism;
mod module;
mod objects;
mod provision;
mod recovery;
mod signer;
mod slots;
mod tokens;
mod uri;

pub use call::{Call, CallError, return_value_name};
pub use error::{PinProblem, TokenError};
pub use local::Local;
pub(super) use signer::sign_error;
pub use tokens::{
    Access, FoundCertificate, FoundKey, FoundSlot, GenerateKey, GeneratedKey, Inventory,
    KeyAlgorithm, Leaf, Notice, OpenKey, OpenedKey, Operator, PinRequest, PinRole, PinState,
    StoreCertificate, TokenName, Tokens, Warning,
};
pub use uri::{ObjectClass, Uri, UriError};
