//! One object to S3, whole and confirmed.

mod options;

pub use options::{
    Allowed, Confirm, MAX_OBJECT, MAX_PART, MAX_PARTS, MIN_PART, Object, Sessions, UploadOptions,
};
