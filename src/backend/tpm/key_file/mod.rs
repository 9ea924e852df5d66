//! `TSS2 PRIVATE KEY` files: a key that only its TPM can load, and what it is loaded under
//! (draft-bottomley-tpm2-keys).

mod asn1;
mod policy;

use core::fmt;
use core::ops::RangeInclusive;
use std::borrow::ToOwned as _;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use der::pem::{LineEnding, encode_string};

pub use self::policy::{PcrBank, PolicyCommand, PolicyStep, SignedPolicy};
use super::error::TpmError;
use super::uri::SaltKey;
use crate::backend::pem;
use crate::core::text::Hex;

/// The label of its PEM block.
const LABEL: &str = "TSS2 PRIVATE KEY";
/// The label that went with the format's first version.
const LEGACY_LABEL: &str = "TSS2 KEY BLOB";
/// The line before the block that has the parent key's name. RFC 7468, section 5.2, has room for such
/// text; the format itself has none for the name that other programs could read.
const PARENT_NAME: &str = "Parent-Name:";
/// The persistent handles (TPM 2.0 Part 2, section 7.2).
const PERSISTENT: RangeInclusive<u32> = 0x8100_0000..=0x81ff_ffff;

/// Whether this is a key file, to be read by [`KeyFile::read`]: PEM or DER.
pub fn is_key_file(contents: &[u8]) -> bool {
    key_block(contents).is_some() || asn1::is_key(contents)
}

/// A key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// How the key gets into the TPM.
    pub kind: Kind,
    /// Whether the file says that the key has no auth value.
    pub empty_auth: bool,
    /// The policy that has to be fulfilled to use the key, command by command.
    pub policy: Vec<PolicyCommand>,
    /// Policies that somebody has signed for it.
    pub signed_policies: Vec<SignedPolicy>,
    /// What it is, for people.
    pub description: Option<String>,
    /// What it is loaded under.
    pub parent: ParentKey,
    /// Its name, as it was when the file was made.
    pub parent_name: Option<Vec<u8>>,
    /// The public area (TPMT_PUBLIC).
    pub public: Vec<u8>,
    /// The private area, encrypted by the parent key: what a TPM2B_PRIVATE has after its length.
    pub private: Vec<u8>,
}

/// How a key gets into the TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// By TPM2_Load.
    Loadable,
    /// By TPM2_Import, and then TPM2_Load.
    Importable {
        /// The seed of the encryption, for the parent key: what a TPM2B_ENCRYPTED_SECRET has after its
        /// length.
        secret: Vec<u8>,
    },
}

/// What a key is loaded under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentKey {
    /// The key at a persistent handle.
    Handle(u32),
    /// A hierarchy's primary key, which is made anew from the hierarchy's seed.
    Primary(Hierarchy, Template),
}

/// A hierarchy (TPM 2.0 Part 2, section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    /// TPM_RH_OWNER.
    Owner,
    /// TPM_RH_NULL: gone after a reset.
    Null,
    /// TPM_RH_ENDORSEMENT.
    Endorsement,
    /// TPM_RH_PLATFORM.
    Platform,
}

/// What a primary key is made by. The templates are those of the TCG's EK Credential Profile, annex B, with the
/// attributes of a storage root key (TCG TPM v2.0 Provisioning Guidance, section 7.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// ECC P-256 (H-2).
    Ecc,
    /// RSA 2048 (H-1).
    Rsa,
    /// As H-2, but neither fixedTPM nor fixedParent: that of the format's first version.
    Legacy,
}

/// What is wrong with a key file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFileError {
    /// What.
    pub reason: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl KeyFile {
    /// Reads a key file, PEM or DER.
    ///
    /// # Errors
    /// [`KeyFileError`], which names the field.
    pub fn read(contents: &[u8]) -> Result<Self, KeyFileError> {
        let Some((start, block)) = key_block(contents) else {
            if asn1::is_key(contents) {
                return asn1::read(contents);
            }
            return Err(KeyFileError::new(format!(
                "there is no PEM block `{LABEL}`"
            )));
        };
        let block = block.map_err(|error| KeyFileError::new(error.to_string()))?;
        let der = block
            .decode()
            .map_err(|error| KeyFileError::new(error.to_string()))?;
        let mut file = asn1::read(&der)?;
        file.parent_name = parent_name(&contents[..start])?;
        Ok(file)
    }

    /// The file, PEM: with the parent's name before the block, if it is known.
    ///
    /// # Errors
    /// If a field is longer than the format has room for.
    pub fn write(&self) -> Result<String, KeyFileError> {
        let der = asn1::write(self)
            .map_err(|error| KeyFileError::new(format!("it cannot be encoded: {error}")))?;
        let label = match self.parent {
            ParentKey::Primary(_, Template::Legacy) => LEGACY_LABEL,
            _ => LABEL,
        };
        let block = encode_string(label, LineEnding::LF, &der)
            .map_err(|error| KeyFileError::new(format!("it cannot be encoded: {error}")))?;
        let mut text = String::new();
        if let Some(name) = &self.parent_name {
            text = format!("{PARENT_NAME} {}\n", Hex(name));
        }
        text.push_str(&block);
        Ok(text)
    }

    /// The key that sessions are salted to: the parent, if its name was recorded.
    pub fn salt(&self) -> Option<SaltKey> {
        let handle = match self.parent {
            ParentKey::Handle(handle) => handle,
            ParentKey::Primary(Hierarchy::Owner, Template::Ecc) => Hierarchy::Owner.handle(),
            // Which a salt key cannot be.
            ParentKey::Primary(..) => return None,
        };
        let name = self.parent_name.clone()?;
        Some(SaltKey { handle, name })
    }

    /// The policy, step by step.
    ///
    /// # Errors
    /// [`KeyFileError`], which names the command that cannot be carried out.
    pub fn policy_steps(&self) -> Result<Vec<PolicyStep>, KeyFileError> {
        self.policy.iter().map(PolicyCommand::step).collect()
    }
}

impl ParentKey {
    /// The parent that a file names by `parent`.
    ///
    /// # Errors
    /// Why it is none.
    fn from_handle(handle: u32, template: Template) -> Result<Self, KeyFileError> {
        let hierarchy = match handle {
            handle if PERSISTENT.contains(&handle) => return Ok(Self::Handle(handle)),
            // As some programs write it.
            0 => Hierarchy::Owner,
            handle => [
                Hierarchy::Owner,
                Hierarchy::Null,
                Hierarchy::Endorsement,
                Hierarchy::Platform,
            ]
            .into_iter()
            .find(|hierarchy| hierarchy.handle() == handle)
            .ok_or_else(|| {
                KeyFileError::new(format!(
                    "parent: {handle:#010x} is neither a hierarchy nor a persistent handle"
                ))
            })?,
        };
        Ok(Self::Primary(hierarchy, template))
    }

    /// Its handle; that of the hierarchy, for a primary key.
    pub fn handle(self) -> u32 {
        match self {
            Self::Handle(handle) => handle,
            Self::Primary(hierarchy, _) => hierarchy.handle(),
        }
    }
}

impl Hierarchy {
    /// Its handle (TPM 2.0 Part 2, section 7.4).
    pub fn handle(self) -> u32 {
        match self {
            Self::Owner => 0x4000_0001,
            Self::Null => 0x4000_0007,
            Self::Endorsement => 0x4000_000b,
            Self::Platform => 0x4000_000c,
        }
    }
}

impl fmt::Display for ParentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handle(handle) => write!(f, "the key at {handle:#010x}"),
            Self::Primary(hierarchy, template) => write!(f, "{hierarchy}'s {template}"),
        }
    }
}

impl fmt::Display for Hierarchy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Owner => "the owner hierarchy",
            Self::Null => "the null hierarchy",
            Self::Endorsement => "the endorsement hierarchy",
            Self::Platform => "the platform hierarchy",
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ecc => "primary key (template H-2, P-256)",
            Self::Rsa => "primary key (template H-1, RSA 2048)",
            Self::Legacy => "primary key (P-256, without fixedTPM)",
        })
    }
}

impl KeyFileError {
    fn new(reason: impl Into<String>) -> Self {
        Self::with_remedy(reason, "")
    }

    fn with_remedy(reason: impl Into<String>, remedy: &str) -> Self {
        Self {
            reason: reason.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// The same, of this file.
    pub fn of(self, name: &str) -> TpmError {
        TpmError::File {
            name: name.to_owned(),
            reason: self.reason,
            remedy: self.remedy,
        }
    }
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for KeyFileError {}

/// The first block of a key, and where it starts.
fn key_block(contents: &[u8]) -> Option<(usize, Result<pem::Block<'_>, pem::PemError>)> {
    let begins = [LABEL, LEGACY_LABEL].map(|label| format!("-----BEGIN {label}-----"));
    let is_begin = |at: &usize| {
        let mut begins = begins.iter();
        begins.any(|begin| contents[*at..].starts_with(begin.as_bytes()))
    };
    let start = (0..contents.len()).find(is_begin)?;
    let block = pem::blocks(&contents[start..]).next()?;
    Some((start, block))
}

/// The parent's name from the text before the block.
fn parent_name(text: &[u8]) -> Result<Option<Vec<u8>>, KeyFileError> {
    let lines = text.split(|&byte| byte == b'\n').rev();
    let Some(hex) = lines
        .filter_map(|line| line.trim_ascii().strip_prefix(PARENT_NAME.as_bytes()))
        .next()
    else {
        return Ok(None);
    };
    let name = unhex(hex.trim_ascii()).filter(|name| is_name(name));
    name.map(Some).ok_or_else(|| {
        KeyFileError::with_remedy(
            "Parent-Name is no name of a key, in hex",
            "put the file back as it was made, or remove that line: sessions are not salted then",
        )
    })
}

/// Whether it is the name of an object: a hash algorithm, and its hash (TPM 2.0 Part 1, section 16).
fn is_name(name: &[u8]) -> bool {
    let len = match name {
        [0x00, 0x04, ..] => 20,
        [0x00, 0x0b, ..] => 32,
        [0x00, 0x0c, ..] => 48,
        [0x00, 0x0d, ..] => 64,
        [0x00, 0x12 | 0x27, ..] => 32,
        [0x00, 0x28, ..] => 48,
        [0x00, 0x29, ..] => 64,
        _ => return false,
    };
    name.len() == 2 + len
}

fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests;
