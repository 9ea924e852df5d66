//! Reading a file whole, within bounds, and telling what it holds.

use std::io::{self, Read as _};
use std::path::Path;
use std::vec::Vec;

use der::{Decode as _, Header, Reader as _, SliceReader, Tag};
use zeroize::Zeroizing;

use super::super::regular_file;
use super::error::Reason;

/// The most bytes that a key or certificate file may have. A chain of six ML-DSA-87 certificates has
/// 60 KB.
const MAX_LEN: u64 = 1 << 20;

/// Reads a regular file; the buffer is cleared when it is dropped, as it may hold a private key.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let file = regular_file::open(path)?;
    let len = file.metadata()?.len();
    if len > MAX_LEN {
        return Err(Reason::TooLarge);
    }
    // One byte of room more, so that the buffer need not grow (and leave a copy) to find the end.
    let mut contents = Zeroizing::new(Vec::with_capacity(len as usize + 1));
    file.take(MAX_LEN + 1).read_to_end(&mut contents)?;
    match &contents[..] {
        [] => Err(Reason::Empty),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(Reason::Utf16),
        contents if contents.len() as u64 > MAX_LEN => Err(Reason::TooLarge),
        _ => Ok(contents),
    }
}

impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What a DER document is, by the types of its first two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DerKind {
    /// PKCS#8 `PrivateKeyInfo` (RFC 5958).
    Pkcs8,
    /// PKCS#8 `EncryptedPrivateKeyInfo` (RFC 5958).
    EncryptedPkcs8,
    /// PKCS#1 `RSAPrivateKey` (RFC 8017).
    Pkcs1,
    /// SEC 1 `ECPrivateKey` (RFC 5915).
    Sec1,
    /// PKCS#12 `PFX` (RFC 7292).
    Pkcs12,
    /// A certificate, or what looks like one.
    Certificate,
}

impl DerKind {
    /// Looks at the start of `der`; `None` if it is none of them.
    pub fn of(der: &[u8]) -> Option<Self> {
        fn first_two(der: &[u8]) -> der::Result<(Tag, u8, Tag)> {
            let mut reader = SliceReader::new(der)?;
            Header::decode(&mut reader)?
                .tag()
                .assert_eq(Tag::Sequence)?;
            let first = Header::peek(&reader)?.tag();
            let version = match first {
                Tag::Integer => reader.tlv_bytes()?.last().copied().unwrap_or(0),
                _ => {
                    reader.tlv_bytes()?;
                    0
                }
            };
            Ok((first, version, Header::peek(&reader)?.tag()))
        }
        match first_two(der).ok()? {
            (Tag::Integer, 3, Tag::Sequence) => Some(Self::Pkcs12),
            (Tag::Integer, _, Tag::Sequence) => Some(Self::Pkcs8),
            (Tag::Integer, _, Tag::Integer) => Some(Self::Pkcs1),
            (Tag::Integer, _, Tag::OctetString) => Some(Self::Sec1),
            (Tag::Sequence, _, Tag::OctetString) => Some(Self::EncryptedPkcs8),
            (Tag::Sequence, _, Tag::Sequence) => Some(Self::Certificate),
            _ => None,
        }
    }
}
