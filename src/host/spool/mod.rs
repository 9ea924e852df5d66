//! The spool: data on disk that is on its way to S3.
//!
//! An entry is one file: the content from its first byte on, and after it a trailer with everything that was
//! decided when the data was accepted. So that one `fsync` of the file, one `rename` and one `fsync` of the folder
//! are all that accepting costs.

mod entry;

pub use entry::{EntryId, Head};
