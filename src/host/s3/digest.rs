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
    /// SHA-256. Of an object in parts there is only one of the parts' checksums.
    Sha256([u8; 32]),
}
