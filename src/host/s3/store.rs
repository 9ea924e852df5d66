//! The operations, as whoever uploads sees them.

use std::io::Read;
use std::string::String;
use std::vec::Vec;

use super::attributes::Attributes;
use super::digest::{Checksum, ChecksumAlgorithm};
use super::error::S3Error;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

/// What is sent as an object, or as a part of one.
pub struct Body<'a> {
    /// The bytes. Reading may be slowed down, and counted, by whoever made it.
    pub reader: &'a mut dyn Read,
    /// How many they are.
    pub length: u64,
    /// Their SHA-256, which the signature then covers. Without it the payload is unsigned, which is for TLS alone.
    pub sha256: Option<[u8; 32]>,
    /// What S3 has to find that it received.
    pub checksum: Checksum,
}

/// What S3 says that it has stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The `ETag`, with its quotes.
    pub etag: String,
    /// The checksum that S3 has computed, if it told one that we know.
    pub checksum: Option<Checksum>,
    /// The version, in buckets that have them.
    pub version: Option<String>,
    /// How the object is encrypted: `AES256`, `aws:kms`… With KMS the ETag is no MD5.
    pub encryption: Option<String>,
    /// The server's clock, if its certificate was verified.
    pub date: Option<UnixTime>,
    /// Its length, if this is the answer to a HEAD.
    pub length: Option<u64>,
}

/// An upload in parts, as S3 names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadId(pub String);

/// A part that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// 1 to 10,000.
    pub number: u32,
    /// The `ETag`, with its quotes.
    pub etag: String,
    /// Its length in bytes.
    pub length: u64,
    /// The checksum that S3 has confirmed.
    pub checksum: Option<Checksum>,
}

/// What `ListParts` knows.
pub type PartList = Vec<Part>;

/// What is asked for when an upload in parts ends.
#[derive(Debug, Clone)]
pub struct Completed<'a> {
    /// The parts, by their numbers.
    pub parts: &'a [Part],
    /// The length of the whole content.
    pub length: u64,
    /// The whole content's checksum: CRC-64/NVME, or SHA-256 over the parts'.
    pub checksum: Checksum,
    /// `If-None-Match: *`.
    pub only_if_absent: bool,
}

/// A bucket. One operation at a time; each is one request, and nothing is repeated here. `key` is the object's
/// key, not encoded.
pub trait ObjectStore: Send {
    /// `PutObject`.
    ///
    /// # Errors
    /// [`S3Error`].
    fn put(
        &mut self,
        credentials: &Credentials,
        key: &str,
        attributes: &Attributes,
        body: Body<'_>,
    ) -> Result<Stored, S3Error>;

    /// `CreateMultipartUpload`, with CRC-64/NVME over the whole object, or SHA-256 over the parts' SHA-256s.
    ///
    /// # Errors
    /// [`S3Error`].
    fn create_upload(
        &mut self,
        credentials: &Credentials,
        key: &str,
        attributes: &Attributes,
        checksum: ChecksumAlgorithm,
    ) -> Result<UploadId, S3Error>;

    /// `UploadPart`.
    ///
    /// # Errors
    /// [`S3Error`].
    fn put_part(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
        number: u32,
        body: Body<'_>,
    ) -> Result<Part, S3Error>;

    /// `CompleteMultipartUpload`.
    ///
    /// # Errors
    /// [`S3Error`], also for a 200 with an `<Error>` inside.
    fn complete(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
        completed: &Completed<'_>,
    ) -> Result<Stored, S3Error>;

    /// `AbortMultipartUpload`. An upload that is gone is success.
    ///
    /// # Errors
    /// [`S3Error`].
    fn abort(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
    ) -> Result<(), S3Error>;

    /// `ListParts`, all pages.
    ///
    /// # Errors
    /// [`S3Error`].
    fn parts(
        &mut self,
        credentials: &Credentials,
        key: &str,
        upload: &UploadId,
    ) -> Result<PartList, S3Error>;

    /// `HeadObject`, with the checksum. `None` if there is no such object.
    ///
    /// # Errors
    /// [`S3Error`].
    fn head(&mut self, credentials: &Credentials, key: &str) -> Result<Option<Stored>, S3Error>;
}
