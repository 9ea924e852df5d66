//! What is asked of a TPM, and what it answers: by whoever does it, this process or
//! `keystead-signer`.

use core::fmt;
use core::time::Duration;
use std::boxed::Box;
use std::path::PathBuf;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::attest::{AttestAnswer, AttestRequest};
use super::endorsement::{EkTemplate, EndorsementKey};
use super::error::TpmError;
use super::uri::SaltKey;
use crate::backend::BoxedSigner;
use crate::backend::attestation;
use crate::backend::secret::{Secret, SecretError};

/// How a TPM is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The TCTI, as libtss2 names it: `device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`, `tabrmd`.
    pub tcti: String,
    /// Where refused auth values are remembered, and the handles that have to be flushed after a crash.
    /// Without it no stored auth value that counts towards lockout is used.
    pub state: Option<PathBuf>,
    /// Whether auth values go to the TPM in clear: one command less, for slow TPMs.
    pub plain_auth: bool,
    /// How long one call may take, where it can be ended: in `keystead-signer`. The time in which a
    /// person is asked does not count.
    pub timeout: Duration,
}

impl Access {
    /// Whether a resource manager is behind the TCTI, so that what is left in the TPM is cleared away by it: the
    /// kernel's is behind `/dev/tpmrm0`, which is what libtss2 takes first where it is to find a device itself.
    pub fn has_resource_manager(&self) -> bool {
        let (kind, configuration) = self.tcti.split_once(':').unwrap_or((&self.tcti, ""));
        match kind {
            "tabrmd" => true,
            "device" => configuration.is_empty() || configuration.contains("tpmrm"),
            _ => false,
        }
    }
}

/// A TPM.
pub trait Device {
    /// Opens a key to sign with.
    ///
    /// # Errors
    /// [`TpmError`]; nothing is left in the TPM then.
    fn open(
        &mut self,
        request: &OpenKey,
        operator: Box<dyn Operator>,
    ) -> Result<OpenedKey, TpmError>;

    /// Does something else.
    ///
    /// # Errors
    /// [`TpmError`]; nothing is left in the TPM then.
    fn perform(&mut self, task: &Task, operator: &mut dyn Operator) -> Result<Done, TpmError>;
}

/// What a TPM is, and what is in it.
///
/// # Errors
/// [`TpmError`].
pub fn status(device: &mut dyn Device, operator: &mut dyn Operator) -> Result<Status, TpmError> {
    match device.perform(&Task::Status, operator)? {
        Done::Status(status) => Ok(status),
        _ => Err(other_answer()),
    }
}

/// Makes a key.
///
/// # Errors
/// [`TpmError`]; there is no new key then.
pub fn generate(
    device: &mut dyn Device,
    request: &GenerateKey,
    operator: &mut dyn Operator,
) -> Result<GeneratedKey, TpmError> {
    match device.perform(&Task::Generate(request.clone()), operator)? {
        Done::Generated(key) => Ok(key),
        _ => Err(other_answer()),
    }
}

/// A device that answers another question than it was asked is none.
pub(super) fn other_answer() -> TpmError {
    TpmError::Signer {
        reason: "it answered another question than it was asked".into(),
    }
}

/// What else can be done with a TPM.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Say what it is, and what is in it: [`Done::Status`].
    Status,
    /// Make a key: [`Done::Generated`].
    Generate(GenerateKey),
    /// Find the endorsement key, that of a template or the first with a certificate:
    /// [`Done::EndorsementKey`].
    EndorsementKey(Option<EkTemplate>),
    /// Show what an authority has to see: [`Done::AttestRequest`].
    AttestRequest(AttestRequest),
    /// Answer an authority's challenge: [`Done::AttestAnswer`].
    AttestAnswer(AttestAnswer),
}

/// What became of a [`Task`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Done {
    /// Of [`Task::Status`].
    Status(Status),
    /// Of [`Task::Generate`].
    Generated(GeneratedKey),
    /// Of [`Task::EndorsementKey`].
    EndorsementKey(EndorsementKey),
    /// Of [`Task::AttestRequest`].
    AttestRequest(attestation::Request),
    /// Of [`Task::AttestAnswer`].
    AttestAnswer(attestation::Answer),
}

/// Who has the auth values.
pub trait Operator: Send {
    /// The auth value that is asked for; `None` if there is none to be had (again): the empty one is
    /// tried in its place.
    ///
    /// # Errors
    /// [`SecretError`], if its source cannot be read.
    fn auth(&mut self, request: &AuthRequest) -> Result<Option<Secret>, SecretError>;

    /// Whether a person types auth values, and sees what happens to them. One that is stored is tried
    /// with more care.
    fn is_person(&self) -> bool;

    /// Is told why a key that is open did not sign: a [`SignError`](crate::core::key::SignError) has no
    /// room for all of it.
    fn failed(&mut self, _: &TpmError) {}
}

/// Which auth value is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthRequest {
    /// Of what.
    pub of: Object,
    /// What it is called: `tpm:handle=0x81000011`, or a file.
    pub name: String,
    /// Whether the one that was tried just now was refused.
    pub refused: bool,
    /// Whether it may be the empty one, which costs nothing to try (an object with noDA, a hierarchy). A
    /// person is asked only after that was refused.
    pub may_be_empty: bool,
}

/// What has an auth value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Object {
    /// The key.
    Key,
    /// The key that it is loaded under.
    Parent,
    /// The owner's hierarchy.
    Owner,
    /// The endorsement hierarchy.
    Endorsement,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "the key",
            Self::Parent => "the parent key",
            Self::Owner => "the owner hierarchy",
            Self::Endorsement => "the endorsement hierarchy",
        })
    }
}

/// Which key is opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OpenKey {
    /// Where it is.
    pub key: KeyPlace,
    /// Certificates (DER) of which one is for the key, if they are known: a key's public part that
    /// follows from one of them need not be read from the TPM.
    pub certificates: Vec<Vec<u8>>,
    /// The key that sessions are salted to, if its name is known for sure.
    pub salt: Option<SaltKey>,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyPlace {
    /// At a persistent handle (0x81000000 to 0x81FFFFFF).
    Handle(u32),
    /// In a `TSS2 PRIVATE KEY` file.
    File {
        /// Its name, for messages.
        name: String,
        /// What is in it: PEM.
        contents: Vec<u8>,
    },
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::core::text::Printable;
        match self {
            Self::Handle(handle) => write!(f, "tpm:handle={handle:#010x}"),
            Self::File { name, .. } => write!(f, "{}", Printable(name)),
        }
    }
}

/// A key that is open.
pub struct OpenedKey {
    /// Signs with it.
    pub signer: BoxedSigner,
    /// Its name (TPM 2.0 Part 1, section 16): the hash algorithm (2 bytes, big-endian), then the hash of
    /// its public area.
    pub name: Vec<u8>,
    /// What the owner of the key should know.
    pub warnings: Vec<Warning>,
}

/// What the owner of a key should know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Warning {
    /// Failures of the key count towards lockout (no noDA).
    CountsTowardsLockout(String),
    /// There is no resource manager behind this TCTI.
    NoResourceManager(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountsTowardsLockout(key) => write!(
                f,
                "{key}: the key has no noDA, so that each power cut after it was used counts as a wrong \
                 password, and a few of them lock the TPM"
            ),
            Self::NoResourceManager(tcti) => write!(
                f,
                "{tcti} has no resource manager: programs that use the TPM at the same time get in each \
                 other's way, and what one of them leaves behind when it is killed stays in the TPM"
            ),
        }
    }
}

/// A key to be made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GenerateKey {
    /// Where it goes.
    pub to: Destination,
    /// What it is made under.
    pub parent: Parent,
    /// What kind.
    pub algorithm: KeyAlgorithm,
    /// Whether it gets an auth value: that which the operator has for [`Object::Key`].
    pub with_auth: bool,
    /// Whether wrong auth values count towards lockout (no noDA).
    pub counts_towards_lockout: bool,
    /// The PCRs (SHA-256 bank) whose present values it is bound to; none if empty.
    pub policy_pcrs: Vec<u8>,
}

/// Where a new key goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// To a `TSS2 PRIVATE KEY` file, which the caller writes.
    File,
    /// To a persistent handle, which has to be free.
    Handle(u32),
}

/// What a new key is made under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parent {
    /// The storage root key at 0x81000001 if there is one; else the owner hierarchy's primary key by
    /// the TCG's template H-2, made anew each time.
    StorageRoot,
    /// A persistent key.
    Handle(u32),
}

/// The kind of a key to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// RSA with a modulus of this many bits, and the exponent 65537.
    Rsa(u16),
}

/// A key that was made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GeneratedKey {
    /// With [`Destination::File`] what belongs into it: PEM, with the name of the parent key before it.
    pub file: Option<Vec<u8>>,
    /// The public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
    /// A key for salted sessions with it.
    pub salt: Option<SaltKey>,
}

/// What a TPM is, and what is in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Its maker's four letters (TPM_PT_MANUFACTURER).
    pub manufacturer: String,
    /// Its model, as the maker has it (TPM_PT_VENDOR_STRING).
    pub model: String,
    /// The firmware's version (TPM_PT_FIRMWARE_VERSION_1 and _2), as `1.2.3.4`.
    pub firmware: String,
    /// The revision of the specification that it follows, in hundredths (TPM_PT_REVISION).
    pub revision: u32,
    /// The algorithms that it has, by name (`RSA 2048`, `EC P-256`, `SHA-256`).
    pub algorithms: Vec<String>,
    /// What is at persistent handles.
    pub persistent: Vec<PersistentObject>,
    /// How it protects itself against guessing.
    pub lockout: Lockout,
    /// Whether a resource manager is behind the TCTI.
    pub resource_manager: bool,
}

/// What is at a persistent handle.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersistentObject {
    /// The handle.
    pub handle: u32,
    /// What it is, for people: `signing key, EC P-256`, `storage key, RSA 2048`.
    pub what: String,
    /// Its name.
    pub name: Vec<u8>,
    /// Why it could not be read.
    pub problem: Option<String>,
}

/// How a TPM protects itself against guessing (TPM 2.0 Part 1, section 19.8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lockout {
    /// Whether it is locked now.
    pub locked: bool,
    /// Failures that count (TPM_PT_LOCKOUT_COUNTER).
    pub failures: u32,
    /// At how many it locks (TPM_PT_MAX_AUTH_FAIL).
    pub most: u32,
    /// After how long one of them is forgotten (TPM_PT_LOCKOUT_INTERVAL).
    pub recovery: Duration,
    /// How long after a wrong lockout password that password is refused (TPM_PT_LOCKOUT_RECOVERY).
    pub lockout_recovery: Duration,
    /// Whether the lockout hierarchy has a password.
    pub has_auth: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_managers_are_known_by_the_way_to_them() {
        for (tcti, has) in [
            ("device:/dev/tpmrm0", true),
            ("device", true),
            ("tabrmd", true),
            ("tabrmd:bus_type=session", true),
            ("device:/dev/tpm0", false),
            ("swtpm:host=127.0.0.1,port=2321", false),
            ("mssim", false),
        ] {
            let access = Access {
                tcti: tcti.into(),
                state: None,
                plain_auth: false,
                timeout: Duration::ZERO,
            };
            assert_eq!(access.has_resource_manager(), has, "{tcti}");
        }
    }
}
