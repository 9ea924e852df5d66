//! Amazon S3, and servers that speak its protocol, as far as uploads need it: where a bucket is, what goes
//! with an object, the operations, and what their failures mean.
//!
//! [`ObjectStore`] is the seam: whoever uploads knows nothing of HTTP, and is tested with stores that fail
//! on a schedule.

mod attributes;
mod bucket;
mod classify;
mod client;
mod clock;
mod content;
mod digest;
mod documents;
mod error;
mod headers;
mod reply;
mod resume;
mod socket;
mod store;
mod wire;

pub use attributes::{Attributes, Encryption};
pub use bucket::{Bucket, BucketError, Place, Style};
pub use client::Client;
pub use clock::S3Clock;
pub use content::Content;
pub use digest::{Checksum, ChecksumAlgorithm, Crc64Nvme, Digester, Digests, Md5};
pub use error::{FaultKind, S3Error};
pub use resume::{MemoryJournal, PartsJournal, Resumed};
pub use store::{Body, Completed, ObjectStore, Part, PartList, Stored, UploadId};
