//! What an S3 in memory has, and what it makes of it.

use std::collections::HashMap;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::super::body::local;
use super::fake::{Fault, Operation};
use crate::host::s3::{
    Attributes, Checksum, ChecksumAlgorithm, Completed, Digester, Digests, Encryption, FaultKind,
    Md5, S3Error, Stored, UploadId,
};

/// An object.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) content: Vec<u8>,
    pub(super) attributes: Attributes,
    pub(super) stored: Stored,
}

/// An upload in parts.
#[derive(Debug, Default)]
pub(super) struct Begun {
    pub(super) attributes: Attributes,
    pub(super) algorithm: ChecksumAlgorithm,
    pub(super) parts: HashMap<u32, Vec<u8>>,
}

/// How this S3 is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manners {
    /// Compares what arrives with its checksum.
    pub(super) compares: bool,
    /// Tells the checksum of what it stored.
    pub(super) echoes: bool,
    /// Has checksums in the answers to HEAD.
    pub(super) head_has_checksums: bool,
    /// `s3:GetObject` is allowed.
    pub(super) may_head: bool,
    /// `s3:ListBucket` is allowed.
    pub(super) may_list: bool,
    /// `s3:AbortMultipartUpload` is allowed.
    pub(super) may_abort: bool,
    /// ETags are something else than MD5s.
    pub(super) odd_etags: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            compares: true,
            echoes: true,
            head_has_checksums: true,
            may_head: true,
            may_list: true,
            may_abort: true,
            odd_etags: false,
        }
    }
}

/// All of it.
#[derive(Default)]
pub(super) struct World {
    pub(super) manners: Manners,
    pub(super) objects: HashMap<String, Found>,
    pub(super) begun: HashMap<String, Begun>,
    pub(super) uploads: u32,
    /// What happens to the request of this number, from 0.
    pub(super) faults: HashMap<usize, Fault>,
    /// Each request, and whose credentials it came with.
    pub(super) requests: Vec<(Operation, String)>,
    /// Bytes of bodies that arrived whole.
    pub(super) received: u64,
    /// Access keys that are over.
    pub(super) expired: Vec<String>,
}

impl World {
    pub(super) fn keep(
        &mut self,
        key: &str,
        attributes: &Attributes,
        content: Vec<u8>,
        md5: String,
        checksum: Checksum,
        only_if_absent: bool,
    ) -> Result<Stored, S3Error> {
        if only_if_absent && self.objects.contains_key(key) {
            return Err(refusal(FaultKind::Exists, 412, "PreconditionFailed"));
        }
        let kms = matches!(attributes.encryption, Some(Encryption::Kms { .. }));
        let stored = Stored {
            etag: if kms || self.manners.odd_etags {
                format!("\"odd-{}\"", self.requests.len())
            } else {
                md5
            },
            checksum: Some(checksum),
            encryption: kms.then(|| "aws:kms".into()),
            length: None,
            ..Stored::default()
        };
        let found = Found {
            content,
            attributes: attributes.clone(),
            stored: stored.clone(),
        };
        self.objects.insert(key.into(), found);
        Ok(self.answer(stored))
    }

    fn answer(&self, stored: Stored) -> Stored {
        Stored {
            checksum: stored.checksum.filter(|_| self.manners.echoes),
            ..stored
        }
    }

    pub(super) fn assemble(
        &mut self,
        key: &str,
        upload: &UploadId,
        completed: &Completed<'_>,
    ) -> Result<Stored, S3Error> {
        let Some(begun) = self.begun.get(&upload.0) else {
            return Err(refusal(FaultKind::Restart, 404, "NoSuchUpload"));
        };
        let (mut content, mut md5s, mut hashes) = (Vec::new(), Md5::default(), Digester::new());
        for (at, part) in completed.parts.iter().enumerate() {
            assert_eq!(part.number as usize, at + 1, "parts in order");
            let Some(bytes) = begun.parts.get(&part.number) else {
                return Err(refusal(FaultKind::Restart, 400, "InvalidPart"));
            };
            if etag_of(bytes) != part.etag {
                return Err(refusal(FaultKind::Restart, 400, "InvalidPart"));
            }
            assert!(bytes.len() >= 5 << 20 || at + 1 == completed.parts.len());
            content.extend_from_slice(bytes);
            md5s.update(&md5_of(bytes));
            hashes.update(&Digests::of(bytes).sha256);
        }
        assert_eq!(completed.length, content.len() as u64);
        let count = completed.parts.len() as u32;
        let checksum = match begun.algorithm {
            ChecksumAlgorithm::Crc64Nvme => Checksum::Crc64Nvme(Digests::of(&content).crc64nvme),
            ChecksumAlgorithm::Sha256 => Checksum::Sha256OfParts(hashes.finish().sha256, count),
        };
        if checksum != completed.checksum {
            return Err(refusal(FaultKind::Object, 400, "BadDigest"));
        }
        let etag = Md5::etag(&md5s.finish());
        let etag = format!("{}-{count}\"", etag.trim_end_matches('"'));
        let attributes = begun.attributes.clone();
        let stored = self.keep(
            key,
            &attributes,
            content,
            etag,
            checksum,
            completed.only_if_absent,
        )?;
        self.begun.remove(&upload.0);
        Ok(stored)
    }
}

pub(super) fn refusal(kind: FaultKind, status: u16, code: &str) -> S3Error {
    S3Error {
        kind,
        status: Some(status).filter(|status| *status != 0),
        code: code.into(),
        ..local(format!("{kind:?} {code}"))
    }
}

fn md5_of(content: &[u8]) -> [u8; 16] {
    let mut md5 = Md5::default();
    md5.update(content);
    md5.finish()
}

pub(super) fn etag_of(content: &[u8]) -> String {
    Md5::etag(&md5_of(content))
}

/// A content in which no two blocks are the same.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x5a; length];
    for (number, block) in bytes.chunks_mut(4096).enumerate() {
        let number = (number as u64 + 1).to_le_bytes();
        let most = number.len().min(block.len());
        block[..most].copy_from_slice(&number[..most]);
    }
    bytes
}
