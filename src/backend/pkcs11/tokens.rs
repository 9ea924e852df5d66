//! What is asked of tokens, and what they answer: by whoever does it, this process or
//! `keystead-signer`.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::error::TokenError;
use super::uri::Uri;
use crate::backend::BoxedSigner;
use crate::backend::secret::{Secret, SecretError};

/// How tokens are reached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    /// The module: a path, or a name that the dynamic linker finds.
    pub module: PathBuf,
    /// Where refused PINs are remembered. Without it no stored PIN is used.
    pub state: Option<PathBuf>,
    /// Whether the PIN that was typed once also serves for each signature of a key that wants it each
    /// time (CKA_ALWAYS_AUTHENTICATE).
    pub reuse_pin: bool,
    /// How long one call of the module may take, where it can be ended: in `keystead-signer`. The time
    /// in which a person is asked does not count.
    pub timeout: Duration,
}

/// What can be done with the tokens of a module.
pub trait Tokens {
    /// Opens a key to sign with, and reads the certificates beside it.
    ///
    /// # Errors
    /// [`TokenError`].
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TokenError>;

    /// The certificates that a URI names, DER, without those that attest a key. Logs in only if the
    /// token shows none without.
    ///
    /// # Errors
    /// [`TokenError`]; there is at least one.
    fn certificates(
        &mut self,
        uri: &Uri,
        operator: &mut dyn Operator,
    ) -> Result<Vec<FoundCertificate>, TokenError>;

    /// What there is: of each slot that `uri` matches. Logs in (where the operator has a PIN) to see
    /// private objects if `login`. A slot that cannot be read does not hide the others.
    ///
    /// # Errors
    /// [`TokenError`], if the module cannot be used at all.
    fn inventory(
        &mut self,
        uri: &Uri,
        login: bool,
        operator: &mut dyn Operator,
    ) -> Result<Inventory, TokenError>;

    /// Makes a key pair in a token.
    ///
    /// # Errors
    /// [`TokenError`]; nothing has been left in the token then.
    fn generate(
        &mut self,
        request: &GenerateKey,
        operator: &mut dyn Operator,
    ) -> Result<GeneratedKey, TokenError>;

    /// Stores a certificate beside its key.
    ///
    /// # Errors
    /// [`TokenError`]; the certificate that was there before is still there then.
    fn store(
        &mut self,
        request: &StoreCertificate,
        operator: &mut dyn Operator,
    ) -> Result<Uri, TokenError>;
}

/// Who has the PINs, and who can touch the token.
pub trait Operator: Send {
    /// The PIN that is asked for; `None` if there is none to be had (again).
    ///
    /// # Errors
    /// [`SecretError`], if its source cannot be read.
    fn pin(&mut self, request: &PinRequest) -> Result<Option<Secret>, SecretError>;

    /// Whether a person types the PIN, and sees what happens to it. One that is stored is tried with
    /// more care.
    fn is_person(&self) -> bool;

    /// Says what a person has to do. It is said while the token waits, and again for each wait.
    fn notify(&mut self, notice: &Notice);
}

/// Which PIN is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRequest {
    /// Of which token.
    pub token: TokenName,
    /// In which role.
    pub role: PinRole,
    /// What the token says of the tries that are left.
    pub state: PinState,
    /// Whether the PIN that was given just now was refused.
    pub refused: bool,
}

/// Who logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinRole {
    /// The user of the keys (CKU_USER).
    User,
    /// Who administers the token (CKU_SO): with a YubiKey the management key.
    SecurityOfficer,
    /// The user again, for one signature (CKU_CONTEXT_SPECIFIC).
    Signature,
}

/// What a token says of its PIN: of the user's, or of the security officer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PinState {
    /// Nothing is known to be wrong.
    Ok,
    /// A wrong PIN was given since the last right one (CKF_USER_PIN_COUNT_LOW).
    CountLow,
    /// One more wrong PIN locks it (CKF_USER_PIN_FINAL_TRY).
    FinalTry,
    /// It is locked (CKF_USER_PIN_LOCKED).
    Locked,
    /// It was never set (no CKF_USER_PIN_INITIALIZED).
    NotSet,
    /// It has to be changed first (CKF_USER_PIN_TO_BE_CHANGED).
    ToBeChanged,
}

/// How a token is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenName {
    /// Its label, without the blanks at the end.
    pub label: String,
    /// Its maker.
    pub manufacturer: String,
    /// Its model.
    pub model: String,
    /// Its serial number.
    pub serial: String,
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::core::text::Printable;
        write!(f, "token `{}`", Printable(&self.label))?;
        if !self.serial.is_empty() {
            write!(f, " (serial {})", Printable(&self.serial))?;
        }
        Ok(())
    }
}

/// What a person has to do at the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// Touch it: it waits for that, or is likely to.
    Touch(TokenName),
    /// Type the PIN on its own keys (CKF_PROTECTED_AUTHENTICATION_PATH).
    PinPad(TokenName),
}

/// Which key is opened, and what is known of its certificate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenKey {
    /// The key. Without one it is found by its certificate on the same token: by CKA_ID, label, public
    /// key.
    pub key: Option<Uri>,
    /// Its certificate.
    pub leaf: Leaf,
    /// Whether only a key of which the module claims that it never was outside hardware is taken.
    pub require_hardware: bool,
}

/// What is known of the certificate of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Leaf {
    /// Nothing, and nothing is needed.
    None,
    /// It is on a token.
    Token(Box<Uri>),
    /// It is one of these, DER: the one for the key.
    OneOf(Vec<Vec<u8>>),
}

/// A key that is open.
pub struct OpenedKey {
    /// Signs with it.
    pub signer: BoxedSigner,
    /// The key's URI, complete enough to find it again.
    pub uri: Uri,
    /// With [`Leaf::Token`], the leaf and then every other certificate of that token that may lead up
    /// from it, DER: to be put in order, and proven, by [`crate::backend::chain`]. Else none.
    pub certificates: Vec<Vec<u8>>,
    /// What the owner of the key should know.
    pub warnings: Vec<Warning>,
}

/// What the owner of a key should know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Warning {
    /// The module says that the key may leave the token (CKA_EXTRACTABLE).
    Extractable(Uri),
    /// The module says that the key can be read in clear (no CKA_SENSITIVE).
    NotSensitive(Uri),
    /// The module's claims about hardware were taken as they are.
    HardwareClaimed(Uri),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Extractable(uri) => write!(
                f,
                "{uri}: the key may be exported from its token (CKA_EXTRACTABLE)"
            ),
            Self::NotSensitive(uri) => write!(
                f,
                "{uri}: the key can be read from its token in clear (it is not CKA_SENSITIVE)"
            ),
            Self::HardwareClaimed(uri) => write!(
                f,
                "{uri}: that the key was made in hardware and never left it is what the module claims; nothing here proves it"
            ),
        }
    }
}

/// What a module shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inventory {
    /// The module's own description (CK_INFO): maker, description, version.
    pub module: String,
    /// Its slots.
    pub slots: Vec<FoundSlot>,
}

/// A slot and what is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FoundSlot {
    /// CK_SLOT_ID.
    pub id: u64,
    /// Its description.
    pub description: String,
    /// Whether it is hardware, as the module claims (CKF_HW_SLOT).
    pub hardware: bool,
    /// The token; `None` if there is none in it.
    pub token: Option<TokenName>,
    /// The token's URI.
    pub uri: Option<Uri>,
    /// Whether it is set up (CKF_TOKEN_INITIALIZED).
    pub initialized: bool,
    /// Whether a login is needed (CKF_LOGIN_REQUIRED).
    pub login_required: bool,
    /// Whether the PIN is typed on the device (CKF_PROTECTED_AUTHENTICATION_PATH).
    pub pin_pad: bool,
    /// The user's PIN.
    pub user_pin: PinState,
    /// The security officer's PIN.
    pub so_pin: PinState,
    /// Mechanisms that sign or make keys, by name (`CKM_ECDSA`).
    pub mechanisms: Vec<String>,
    /// Private keys that can sign.
    pub keys: Vec<FoundKey>,
    /// X.509 certificates.
    pub certificates: Vec<FoundCertificate>,
    /// Why the slot could not be read to its end.
    pub problem: Option<String>,
}

/// A private key in a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FoundKey {
    /// Its URI.
    pub uri: Uri,
    /// Its kind for people (`EC P-256`, `RSA 2048`), if it is known.
    pub kind: Option<String>,
    /// CKA_SENSITIVE.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE.
    pub extractable: bool,
    /// CKA_ALWAYS_AUTHENTICATE.
    pub always_authenticate: bool,
}

/// A certificate on a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FoundCertificate {
    /// Its URI.
    pub uri: Uri,
    /// CKA_VALUE.
    pub der: Vec<u8>,
}

/// A key pair to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenerateKey {
    /// Which token; `object` and `id` become the key's label and CKA_ID. Without an id it is 20 bytes
    /// derived from the public key.
    pub uri: Uri,
    /// What kind.
    pub algorithm: KeyAlgorithm,
    /// Whether a label or CKA_ID that is taken already is an error. It always is unless this is set.
    pub allow_duplicate: bool,
    /// Who logs in for it. A YubiKey wants its management key, as the security officer's PIN.
    pub role: PinRole,
}

/// The kind of a key to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
    /// RSA with a modulus of this many bits, and the exponent 65537.
    Rsa(u16),
}

/// A key pair that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GeneratedKey {
    /// The private key's URI.
    pub uri: Uri,
    /// The public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

/// A certificate to be stored beside its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreCertificate {
    /// The key.
    pub key: Uri,
    /// The certificate, DER. It is for the key, or it is refused.
    pub certificate: Vec<u8>,
    /// Whether one that is there already for this key makes room.
    pub replace: bool,
    /// Who logs in for it, as with [`GenerateKey::role`].
    pub role: PinRole,
}
