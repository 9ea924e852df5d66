//! What is known of an entry without its content.

use core::fmt;
use std::string::String;

use serde::{Deserialize, Serialize};

use crate::core::text::Hex;
use crate::core::time::UnixTime;
use crate::host::s3::{Attributes, Digests};

/// What an entry is known by: the first 16 bytes of SHA-256 over bucket, key and the content's SHA-256. The same
/// content under the same key is the same entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub [u8; 16]);

/// 32 digits, lower case: the name of the entry's file.
impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Hex(&self.0))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({self})")
    }
}

/// What was decided when the entry was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Head {
    /// The bucket.
    pub bucket: String,
    /// The key under which it will be found, not encoded.
    pub key: String,
    /// What is kept with it.
    #[serde(default)]
    pub attributes: Attributes,
    /// Length and digests of the content.
    pub digests: Digests,
    /// When it was accepted, by the machine's clock, which may be wrong.
    #[serde(with = "seconds")]
    pub accepted: UnixTime,
    /// Entries go in this order: one more than that of the entry before, whatever the clock says.
    pub sequence: u64,
}

mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::core::time::UnixTime;

    pub(super) fn serialize<S: Serializer>(time: &UnixTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UnixTime, D::Error> {
        u64::deserialize(from).map(UnixTime::from_secs)
    }
}
