//! One process of keystead at a time changes a credentials file.

use core::time::Duration;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::fs::OFlags;

use super::error::FileError;
use super::record::Record;
use super::target::Target;
use crate::backend::private_file::{self, Pauses};

/// What the name of the lock's file ends with.
const LOCK: &str = ".keystead-lock";

/// Who holds the lock needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lock that all of keystead's processes take. It is on a file of its own: the credentials file is
/// replaced, also by other programs.
pub(super) struct Lock(File);

impl Lock {
    pub(super) fn take(target: &Target) -> Result<Self, FileError> {
        let name = target.beside(LOCK);
        let failed = |error: io::Error| FileError::io("cannot lock", &target.path)(error);
        let mut pauses = Pauses::until(Instant::now() + PATIENCE);
        loop {
            let file = target.create(&name, OFlags::RDWR).map_err(failed)?;
            if private_file::try_lock(&file).map_err(failed)? {
                let lock = Self(file);
                // A person may have removed it meanwhile: then this is the lock of nothing.
                if private_file::is_named(&lock.0, &target.folder, Path::new(&name))
                    .map_err(failed)?
                {
                    return Ok(lock);
                }
            }
            if !pauses.pause() {
                return Err(FileError::Busy(target.path.clone()));
            }
        }
    }
}

impl Lock {
    /// What is known of the file; nothing, if that cannot be read.
    pub(super) fn record(&self) -> Record {
        Record::load(&self.0).unwrap_or_default()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Record)) {
        let mut record = self.record();
        change(&mut record);
        // A file system that is full keeps nobody from writing credentials.
        let _ = record.store(&self.0);
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        private_file::unlock(&self.0);
    }
}
