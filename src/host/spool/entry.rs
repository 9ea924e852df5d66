//! Entries: what is known of one, and its content.

use core::fmt;
use std::boxed::Box;
use std::fs::File;
use std::io::{self, Read};
use std::string::{String, ToString as _};

use ring::digest::{Context, SHA256};
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::error::SpoolError;
use super::trailer::Unread;
use super::{Spool, place, trailer};
use crate::core::text::Hex;
use crate::core::time::UnixTime;
use crate::host::s3::{Attributes, Content, Digests};

/// What an entry is known by: the first 16 bytes of SHA-256 over `BUCKET/KEY` and the content's SHA-256. The same
/// content under the same key is the same entry, unless another content was accepted under that key in between: then
/// it is one of its own, whose id is made of that one and of the other one's sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub [u8; 16]);

impl EntryId {
    /// The id of a content under a key.
    pub fn of(bucket: &str, key: &str, sha256: &[u8; 32]) -> Self {
        let mut context = Context::new(&SHA256);
        // No bucket has a slash in its name.
        for part in [bucket.as_bytes(), b"/", key.as_bytes(), sha256] {
            context.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }

    /// The id of the same content under the same key, after another one that has this sequence.
    fn after(self, sequence: u64) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(&sequence.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }

    /// Reads 32 digits, lower case; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

/// Digits, lower case, for that many bytes.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

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
    #[serde(with = "digests")]
    pub digests: Digests,
    /// When it was accepted, by the machine's clock, which may be wrong.
    #[serde(with = "seconds")]
    pub accepted: UnixTime,
    /// Entries go in this order: greater than that of every entry before, whatever the clock says.
    pub sequence: u64,
    /// The same content was accepted under the same key before, and another one after that: this is the sequence of the
    /// other one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

impl Head {
    /// The entry's id.
    pub fn id(&self) -> EntryId {
        let id = EntryId::of(&self.bucket, &self.key, &self.digests.sha256);
        self.after.map_or(id, |other| id.after(other))
    }
}

/// An entry that is open: its content can be read even if somebody removes it meanwhile.
#[derive(Debug)]
pub struct Entry {
    /// What it is known by.
    pub id: EntryId,
    /// What was decided when it was accepted.
    pub head: Head,
    pub(super) file: File,
}

impl Content for Entry {
    fn open(&self, offset: u64, length: u64) -> io::Result<Box<dyn Read + '_>> {
        // What follows is the trailer.
        let left = self.head.digests.length.saturating_sub(offset);
        self.file.open(offset, length.min(left))
    }
}

impl Spool {
    /// Opens an entry; `None` if there is none of that id.
    ///
    /// # Errors
    /// [`SpoolError::Damaged`] if it is not what was written.
    pub fn open_entry(&self, id: EntryId) -> Result<Option<Entry>, SpoolError> {
        self.open_in(&self.0.place.entries, "entries", id)
    }

    pub(super) fn open_in(
        &self,
        folder: &File,
        folder_name: &str,
        id: EntryId,
    ) -> Result<Option<Entry>, SpoolError> {
        let name = id.to_string();
        let path = std::format!("{folder_name}/{name}");
        let place = &self.0.place;
        let damaged = |found| SpoolError::Damaged {
            path: place.path.join(&path),
            found,
        };
        let file = match place::open_file(folder, &name, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error().is_none() => {
                return Err(damaged("it is a link, or not a file of its own"));
            }
            Err(error) => return Err(place.failed("cannot open", &path)(error)),
        };
        let length = file
            .metadata()
            .map_err(place.failed("cannot look at", &path))?
            .len();
        let head = trailer::read(&file, length).map_err(|why| match why {
            Unread::Damaged(found) => damaged(found),
            Unread::Disk(error) => place.failed("cannot read", &path)(error),
        })?;
        if head.id() != id {
            return Err(damaged("it is another entry's"));
        }
        Ok(Some(Entry { id, head, file }))
    }
}

/// As people read them: hexadecimal.
mod digests {
    use std::borrow::Cow;
    use std::string::ToString as _;

    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::core::text::Hex;
    use crate::host::s3::Digests;

    #[derive(Serialize, Deserialize)]
    struct Text<'a> {
        length: u64,
        sha256: Cow<'a, str>,
        crc64nvme: Cow<'a, str>,
    }

    pub(super) fn serialize<S: Serializer>(digests: &Digests, to: S) -> Result<S::Ok, S::Error> {
        let text = Text {
            length: digests.length,
            sha256: Hex(&digests.sha256).to_string().into(),
            crc64nvme: Hex(&digests.crc64nvme.to_be_bytes()).to_string().into(),
        };
        text.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digests, D::Error> {
        let text = Text::deserialize(from)?;
        let bad = || D::Error::custom("a digest is no hexadecimal number of its length");
        Ok(Digests {
            length: text.length,
            sha256: super::unhex(&text.sha256).ok_or_else(bad)?,
            crc64nvme: super::unhex(&text.crc64nvme)
                .map(u64::from_be_bytes)
                .ok_or_else(bad)?,
        })
    }
}

pub(crate) mod seconds {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::core::time::UnixTime;

    pub(crate) fn serialize<S: Serializer>(time: &UnixTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(time.as_secs())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<UnixTime, D::Error> {
        u64::deserialize(from).map(UnixTime::from_secs)
    }
}
