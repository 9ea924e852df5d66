//! What an upload is told.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use std::string::String;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use std::vec::Vec;

use crate::host::refresh::Failure;
use crate::host::s3::{Attributes, ChecksumAlgorithm, Content, Digests, UploadId};
use crate::host::session::Credentials;

/// The shortest part that S3 takes, but for the last one (PROTOCOL 7.5).
pub const MIN_PART: u64 = 5 << 20;
/// The longest part, and the longest object that one PUT takes (PROTOCOL 7.5).
pub const MAX_PART: u64 = 5 << 30;
/// Parts of one object (PROTOCOL 7.5).
pub const MAX_PARTS: u64 = 10_000;
/// The longest object (PROTOCOL 7.5).
pub const MAX_OBJECT: u64 = MAX_PART * MAX_PARTS;
/// Parts of this length unless somebody asks for others: what a slow link sends in minutes, and what is sent
/// again at most after a break.
const DEFAULT_PART: u64 = 8 << 20;

/// Who has credentials. Asked before each request, so that an upload goes on with the next session when one ends.
pub trait Sessions: Send + Sync {
    /// Credentials that are good for a while.
    ///
    /// # Errors
    /// There are none.
    fn credentials(&self) -> Result<Arc<Credentials>, Failure>;

    /// S3 does not take these any more: what comes next must not be them, if there are others to be had.
    fn refused(&self, used: &Arc<Credentials>);

    /// The network may have come back: what has failed may be tried again.
    fn network_changed(&self) {}
}

/// What is uploaded.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// Its key, not encoded.
    pub key: &'a str,
    /// What is kept with it.
    pub attributes: &'a Attributes,
    /// Bytes.
    pub length: u64,
    /// What was computed when it was accepted: content that differs is not uploaded. Without it whatever is read
    /// counts, and an object in parts is not read beforehand.
    pub digests: Option<Digests>,
    /// The bytes.
    pub content: &'a dyn Content,
}

/// What makes an upload confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Confirm {
    /// S3 tells the checksum of what it stored, or an ETag that is the content's MD5.
    #[default]
    Checksum,
    /// A status is enough: for servers that tell nothing else. A checksum that they do tell has to be right all
    /// the same.
    Status,
}

/// How to upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadOptions {
    /// An object that is longer goes in parts of this length, or longer where it would be more than 10,000 parts.
    /// At least 5 MiB.
    pub part_size: u64,
    /// What S3 is to check, and to keep with the object.
    pub checksum: ChecksumAlgorithm,
    /// What makes it confirmed.
    pub confirm: Confirm,
    /// Whether signatures cover the content: over plain HTTP. TLS protects it as well, and costs no SHA-256.
    pub sign_payload: bool,
}

impl UploadOptions {
    /// The length of parts for an object of `length`: what is wanted, or as much more as 10,000 parts need, in
    /// whole mebibytes.
    ///
    /// # Errors
    /// The object is longer than S3 takes.
    pub fn part_size_for(&self, length: u64) -> Result<u64, String> {
        if length > MAX_OBJECT {
            return Err(std::format!(
                "the object has {length} bytes, and S3 takes {MAX_OBJECT} at most"
            ));
        }
        let needed = length.div_ceil(MAX_PARTS).next_multiple_of(1 << 20);
        Ok(self.part_size.max(needed).clamp(MIN_PART, MAX_PART))
    }
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            part_size: DEFAULT_PART,
            checksum: ChecksumAlgorithm::default(),
            confirm: Confirm::default(),
            sign_payload: true,
        }
    }
}

/// What the credentials turned out not to allow, so that it is not asked for again: `s3:PutObject` alone is
/// enough for everything but a second look. One for each place and identity, shared by the threads that upload.
#[derive(Default)]
pub struct Allowed {
    refused: AtomicU8,
    /// Uploads whose end was refused although S3 knew them: and since when.
    ends: Mutex<Vec<(UploadId, Instant)>>,
}

/// So many are remembered, and so long: a server may say of an upload that it has forgotten meanwhile that it is
/// refused.
const MOST_ENDS: usize = 256;
const END_IS_SURE: Duration = Duration::from_secs(24 * 60 * 60);

/// What is asked for only where it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Extra {
    /// `HeadObject`: `s3:GetObject`.
    Head = 1,
    /// `AbortMultipartUpload`: `s3:AbortMultipartUpload`.
    Abort = 2,
}

impl Allowed {
    /// Nothing is known: everything is worth a try. After a reload of the configuration, say.
    pub fn forget(&self) {
        self.refused.store(0, Ordering::Relaxed);
        self.ends().clear();
    }

    /// Whether the end of this upload was refused the last time that it was asked for, when S3 knew it: since when.
    /// That is forgotten; what comes of it now counts.
    pub(super) fn take_refused_end(&self, upload: &UploadId) -> Option<Instant> {
        let mut ends = self.ends();
        let at = ends.iter().position(|(refused, _)| refused == upload)?;
        let (_, since) = ends.remove(at);
        (since.elapsed() < END_IS_SURE).then_some(since)
    }

    pub(super) fn refuse_end(&self, upload: &UploadId, since: Instant) {
        let mut ends = self.ends();
        if ends.len() >= MOST_ENDS {
            ends.remove(0);
        }
        ends.push((upload.clone(), since));
    }

    fn ends(&self) -> MutexGuard<'_, Vec<(UploadId, Instant)>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn may(&self, extra: Extra) -> bool {
        self.refused.load(Ordering::Relaxed) & extra as u8 == 0
    }

    pub(super) fn refuse(&self, extra: Extra) {
        self.refused.fetch_or(extra as u8, Ordering::Relaxed);
    }
}

impl fmt::Debug for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = |extra| {
            if self.may(extra) {
                "not refused"
            } else {
                "refused"
            }
        };
        f.debug_struct("Allowed")
            .field("head", &said(Extra::Head))
            .field("abort", &said(Extra::Abort))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_the_object() {
        fn part_size(length: u64, wanted: u64) -> Result<u64, String> {
            UploadOptions {
                part_size: wanted,
                ..UploadOptions::default()
            }
            .part_size_for(length)
        }

        assert_eq!(part_size(1, 0), Ok(MIN_PART));
        assert_eq!(part_size(MAX_PARTS * MIN_PART, 0), Ok(MIN_PART));
        assert_eq!(
            part_size(MAX_PARTS * MIN_PART + 1, 0),
            Ok(MIN_PART + (1 << 20))
        );
        assert_eq!(part_size(1 << 30, DEFAULT_PART), Ok(DEFAULT_PART));
        assert_eq!(part_size(MAX_OBJECT, DEFAULT_PART), Ok(MAX_PART));
        assert_eq!(part_size(MAX_PART, 1 << 40), Ok(MAX_PART));
        assert!(part_size(MAX_OBJECT + 1, 0).is_err());
        for length in [1 << 30, 1 << 36, 1 << 40, MAX_OBJECT] {
            let part = part_size(length, MIN_PART).unwrap();
            assert!(length.div_ceil(part) <= MAX_PARTS, "{length}");
        }
    }

    #[test]
    fn what_was_refused_is_remembered_each_for_itself() {
        let allowed = Allowed::default();
        assert!(allowed.may(Extra::Head) && allowed.may(Extra::Abort));
        allowed.refuse(Extra::Head);
        assert!(!allowed.may(Extra::Head) && allowed.may(Extra::Abort));
        allowed.forget();
        assert!(allowed.may(Extra::Head));
    }
}
