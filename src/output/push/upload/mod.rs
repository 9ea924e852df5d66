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
mod parts;
mod request;
mod stream;
mod whole;
mod work;

pub use options::{
    Allowed, Confirm, MAX_OBJECT, MAX_PART, MAX_PARTS, MIN_PART, Object, Sessions, UploadOptions,
};

pub use stream::Patience;

use std::boxed::Box;

use super::{Halt, Outcome, Pace, Progress};
use crate::host::s3::{FaultKind, ObjectStore, PartsJournal, S3Error};

/// Uploads objects, one after the other.
pub struct Uploader<'a> {
    /// Where to.
    pub store: &'a mut dyn ObjectStore,
    /// More ways to the same place: so many more parts of an object are sent at once. Usually none.
    pub helpers: &'a mut [Box<dyn ObjectStore>],
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
        let part_size = match self.options.part_size_for(object.length) {
            Ok(part_size) => part_size,
            Err(what) => {
                let error = S3Error {
                    kind: FaultKind::Object,
                    ..body::local(what)
                };
                return Ok(Outcome::Poison(error));
            }
        };
        // What is shorter than a part was never begun in parts, and many small objects do not ask for journals.
        if object.length <= MIN_PART {
            return self.whole(object, progress);
        }
        // A journal that cannot be read is one that says nothing.
        let resumed = journal.load().unwrap_or_default();
        if resumed.is_some() || object.length > part_size {
            return self.in_parts(object, part_size, resumed, journal, progress);
        }
        self.whole(object, progress)
    }
}

#[cfg(test)]
mod tests;
