//! To S3: one object whole and confirmed ([`Outcome`]), and a spool emptied through bad weather.

pub mod deliver;
mod outcome;
mod pace;
mod upload;

pub use outcome::{Halt, Outcome, Progress};
pub use pace::{Pace, Stopped};
pub use upload::{
    Allowed, Confirm, MAX_OBJECT, MAX_PART, MAX_PARTS, MIN_PART, Object, Patience, Sessions,
    UploadOptions, Uploader,
};
