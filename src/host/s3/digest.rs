//! Digests of contents.

use core::fmt;
use std::io;
use std::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Digest as _;
use serde::{Deserialize, Serialize};

use crate::core::text::{Base64Text, Hex};

/// How long a content is, and its digests. They are computed when it is read for the first time; whatever is
/// sent later is judged by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// Bytes.
    pub length: u64,
    /// SHA-256: what signatures cover, and what tells whether two contents are the same.
    pub sha256: [u8; 32],
    /// CRC-64/NVME, what S3 computes for every object by itself.
    pub crc64nvme: u64,
}

/// A checksum as S3 takes and echoes it: `x-amz-checksum-…`, base64 of the big-endian value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// CRC-64/NVME of the whole object, however many parts it was sent in.
    Crc64Nvme(u64),
    /// SHA-256 of an object, or of a part.
    Sha256([u8; 32]),
    /// SHA-256 over the parts' SHA-256s, and how many they are: all that S3 computes with SHA-256 for an object in
    /// parts (`COMPOSITE`, PROTOCOL 7.3).
    Sha256OfParts([u8; 32], u32),
}

impl Checksum {
    /// Which one it is.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        match self {
            Self::Crc64Nvme(_) => ChecksumAlgorithm::Crc64Nvme,
            Self::Sha256(_) | Self::Sha256OfParts(..) => ChecksumAlgorithm::Sha256,
        }
    }

    /// Reads what [`Display`](fmt::Display) writes; `None` if it is none of `algorithm`.
    pub fn parse(algorithm: ChecksumAlgorithm, text: &str) -> Option<Self> {
        // Base64 has no hyphen: what follows one is how many parts there are.
        let (text, parts) = match text.split_once('-') {
            Some((text, parts)) => (text, Some(parts.parse().ok()?)),
            None => (text, None),
        };
        let bytes = STANDARD.decode(text).ok()?;
        Some(match algorithm {
            ChecksumAlgorithm::Sha256 if parts.is_some() => {
                Self::Sha256OfParts(bytes.try_into().ok()?, parts?)
            }
            _ if parts.is_some() => return None,
            ChecksumAlgorithm::Crc64Nvme => {
                Self::Crc64Nvme(u64::from_be_bytes(bytes.try_into().ok()?))
            }
            ChecksumAlgorithm::Sha256 => Self::Sha256(bytes.try_into().ok()?),
        })
    }
}

/// Base64, as headers and documents have it.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crc64Nvme(crc) => Base64Text(&crc.to_be_bytes()).fmt(f),
            Self::Sha256(hash) => Base64Text(hash).fmt(f),
            Self::Sha256OfParts(hash, parts) => write!(f, "{}-{parts}", Base64Text(hash)),
        }
    }
}

/// Which checksum S3 is to compare what it receives with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumAlgorithm {
    /// CRC-64/NVME, S3's own default; a checksum of the whole object also for uploads in parts.
    #[default]
    Crc64Nvme,
    /// SHA-256.
    Sha256,
}

impl ChecksumAlgorithm {
    /// The header that carries it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// The element of documents that carries it.
    pub fn element(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "ChecksumCRC64NVME",
            Self::Sha256 => "ChecksumSHA256",
        }
    }
}

impl Digests {
    /// The checksum of the whole content.
    pub fn checksum(&self, algorithm: ChecksumAlgorithm) -> Checksum {
        match algorithm {
            ChecksumAlgorithm::Crc64Nvme => Checksum::Crc64Nvme(self.crc64nvme),
            ChecksumAlgorithm::Sha256 => Checksum::Sha256(self.sha256),
        }
    }

    /// The digests of `content`.
    pub fn of(content: &[u8]) -> Self {
        let mut digester = Digester::new();
        digester.update(content);
        digester.finish()
    }
}

/// Length, SHA-256 and CRC-64/NVME of what passes by, in one go.
#[derive(Clone)]
pub struct Digester {
    sha256: ring::digest::Context,
    crc64nvme: Crc64Nvme,
    length: u64,
}

/// How much goes through one of them before the other one gets it: it is still in the cache then.
const CACHED: usize = 16 << 10;

impl Digester {
    /// Nothing has passed by yet.
    pub fn new() -> Self {
        Self {
            sha256: ring::digest::Context::new(&ring::digest::SHA256),
            crc64nvme: Crc64Nvme::new(),
            length: 0,
        }
    }

    /// These bytes pass by.
    pub fn update(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(CACHED) {
            self.sha256.update(piece);
            self.crc64nvme.update(piece);
        }
        self.length += bytes.len() as u64;
    }

    /// How many bytes passed by.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The digests of all of them.
    pub fn finish(self) -> Digests {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.sha256.finish().as_ref());
        Digests {
            length: self.length,
            sha256,
            crc64nvme: self.crc64nvme.finish(),
        }
    }
}

impl Default for Digester {
    fn default() -> Self {
        Self::new()
    }
}

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CRC-64/NVME (NVM Express, "64b CRC"; S3's `CRC64NVME`) of what passes by.
#[derive(Clone)]
pub struct Crc64Nvme(crc64fast_nvme::Digest);

/// The polynomial, its lowest power in the highest bit.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

impl Crc64Nvme {
    /// Nothing has passed by yet.
    pub fn new() -> Self {
        Self(crc64fast_nvme::Digest::new())
    }

    /// These bytes pass by.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The checksum of all of them.
    pub fn finish(&self) -> u64 {
        self.0.sum64()
    }

    /// The checksum of a content whose first part has `first`, and whose second part of `length` bytes has
    /// `second`.
    pub fn combine(first: u64, second: u64, length: u64) -> u64 {
        // As many zeros after the first part multiply its polynomial by x^(8 * length).
        let mut shifted = first;
        let mut power = X_TO_8;
        let mut length = length;
        while length > 0 {
            if length & 1 == 1 {
                shifted = multiply(shifted, power);
            }
            power = multiply(power, power);
            length >>= 1;
        }
        shifted ^ second
    }
}

impl Default for Crc64Nvme {
    fn default() -> Self {
        Self::new()
    }
}

/// x^8: x^0 is the highest bit.
const X_TO_8: u64 = 1 << 55;

/// The product of two polynomials modulo the checksum's.
fn multiply(one: u64, mut other: u64) -> u64 {
    let mut product = 0;
    for bit in (0..64).rev() {
        if one >> bit & 1 == 1 {
            product ^= other;
        }
        other = other >> 1 ^ if other & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

/// MD5, which is what most servers have for an object's `ETag`. It proves nothing against an attacker, but that a
/// server stored what it was sent.
#[derive(Clone, Default)]
pub struct Md5(md5::Md5);

impl Md5 {
    /// These bytes pass by.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The MD5 of all of them.
    pub fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }

    /// The `ETag` of an object that was stored by one PUT: its MD5, in quotes.
    pub fn etag(md5: &[u8; 16]) -> String {
        std::format!("\"{}\"", Hex(md5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    #[test]
    fn known_digests() {
        // The catalogue's check value of CRC-64/NVME.
        let digests = Digests::of(b"123456789");
        assert_eq!(digests.crc64nvme, 0xae8b_1486_0a79_9888);
        assert_eq!(digests.length, 9);
        assert_eq!(
            Hex(&digests.sha256).to_string(),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        assert_eq!(
            digests.checksum(ChecksumAlgorithm::Crc64Nvme).to_string(),
            "rosUhgp5mIg="
        );
        let mut md5 = Md5::default();
        md5.update(b"123456789");
        assert_eq!(
            Md5::etag(&md5.finish()),
            "\"25f9e794323b453885f5181f1b624d0b\""
        );
        assert_eq!(Digests::of(b"").crc64nvme, 0);
    }

    #[test]
    fn checksums_are_read_again() {
        for checksum in [
            Checksum::Crc64Nvme(7),
            Checksum::Sha256([3; 32]),
            Checksum::Sha256OfParts([3; 32], 17),
        ] {
            let algorithm = checksum.algorithm();
            let text = checksum.to_string();
            assert_eq!(Checksum::parse(algorithm, &text), Some(checksum));
        }
        for text in ["", "AAAA", "rosUhgp5mIg", "-", "rosUhgp5mIg=-2"] {
            assert_eq!(Checksum::parse(ChecksumAlgorithm::Crc64Nvme, text), None);
        }
    }

    proptest! {
        #[test]
        fn parts_combine(content in proptest::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let (first, second) = content.split_at(cut.min(content.len()));
            let crc = |bytes: &[u8]| Digests::of(bytes).crc64nvme;
            let combined = Crc64Nvme::combine(crc(first), crc(second), second.len() as u64);
            prop_assert_eq!(combined, crc(&content));
        }

        #[test]
        fn pieces_do_not_matter(seed: u8, length in 0usize..40_000, piece in 1usize..20_000) {
            let content: std::vec::Vec<u8> = (0..length).map(|at| seed ^ (at / 7) as u8).collect();
            let mut digester = Digester::new();
            content.chunks(piece).for_each(|piece| digester.update(piece));
            prop_assert_eq!(digester.finish(), Digests::of(&content));
        }
    }
}
