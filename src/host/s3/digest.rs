//! Digests of contents.

use serde::{Deserialize, Serialize};

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

/// What checksums are made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumAlgorithm {
    /// CRC-64/NVME.
    #[default]
    Crc64Nvme,
    /// SHA-256.
    Sha256,
}
