//! The file on disk: read, changed and replaced by one program at a time, and whole at every moment.

use std::borrow::ToOwned as _;
use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::vec::Vec;

use zeroize::Zeroizing;

use super::edit::{self, EditError};
use super::error::FileError;
use super::lock::Lock;
use super::new::New;
use super::profile::Profile;
use super::record::Record;
use super::target::Target;
use crate::backend::private_file;
use crate::core::time::UnixTime;
use crate::host::session::Credentials;

/// No such file is longer.
const MAX_LEN: u64 = 8 << 20;

/// Programs that know no lock may change the file while we do.
const MAX_ROUNDS: usize = 10;

/// One profile of a credentials file.
#[derive(Debug, Clone)]
pub struct CredentialsFile {
    path: PathBuf,
    profile: Profile,
}

/// What became of the file.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Whether it was changed at all.
    pub changed: bool,
    /// Whether others than its owner can read it. A new file is its owner's alone; what people chose stays.
    pub open_to_others: bool,
}

impl CredentialsFile {
    /// The profile in the file at `path`, which may be missing. Nothing is read yet.
    pub fn new(path: PathBuf, profile: Profile) -> Self {
        Self { path, profile }
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The folder in which the file is, or will be, written: behind all links. It is made if it is missing.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn folder(&self) -> Result<PathBuf, FileError> {
        let target = Target::find(&self.path)?;
        Ok(target.folder_path().to_owned())
    }

    /// Asserts that the profile can be written now. Nothing is changed but that the folder is made, and the
    /// lock's file in it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn check(&self) -> Result<(), FileError> {
        self.locked(|target, _| {
            replace(target, &mut |contents| {
                edit::unset(contents, &self.profile).map(|_| None)
            })
        })
        .map(drop)
    }

    /// Writes credentials into the profile.
    ///
    /// # Errors
    /// [`FileError`]; the file is as it was then.
    pub fn write(&self, credentials: &Credentials) -> Result<Written, FileError> {
        let (profile, id) = (&self.profile, credentials.access_key_id.as_str());
        self.locked(|target, lock| {
            lock.update(|record| record.add(profile, id, credentials.expiration));
            let written = replace(target, &mut |contents| {
                edit::set(contents, profile, credentials).map(Some)
            });
            lock.update(|record| match written {
                Ok(_) => record.keep(profile, Some(id)),
                Err(_) => record.forget(profile, id),
            });
            written
        })
    }

    /// Takes credentials out of the profile, if the access key's id that is there is still this one.
    ///
    /// # Errors
    /// [`FileError`]; the file is as it was then.
    pub fn remove(&self, access_key_id: &str) -> Result<Written, FileError> {
        self.remove_if(|id, _| id == access_key_id.as_bytes())
    }

    /// Takes credentials out of the profile that keystead has put there, in this process or an earlier one,
    /// and that have expired.
    ///
    /// # Errors
    /// [`FileError`]; the file is as it was then.
    pub fn remove_expired(&self, now: UnixTime) -> Result<Written, FileError> {
        self.remove_if(|id, record| record.has_expired(&self.profile, id, now))
    }

    fn remove_if(&self, is_to_go: impl Fn(&[u8], &Record) -> bool) -> Result<Written, FileError> {
        self.locked(|target, lock| {
            let record = lock.record();
            let written = replace(target, &mut |contents| match edit::access_key_id(
                contents,
                &self.profile,
            ) {
                Some(id) if is_to_go(id, &record) => edit::unset(contents, &self.profile).map(Some),
                _ => Ok(None),
            })?;
            if written.changed {
                lock.update(|record| record.keep(&self.profile, None));
            }
            Ok(written)
        })
    }

    fn locked(
        &self,
        act: impl FnOnce(&Target, &Lock) -> Result<Written, FileError>,
    ) -> Result<Written, FileError> {
        let target = Target::find(&self.path)?;
        let lock = Lock::take(&target)?;
        act(&target, &lock)
    }
}

/// Replaces the file's contents.
fn replace(target: &Target, edit: &mut Edit<'_>) -> Result<Written, FileError> {
    for _ in 0..MAX_ROUNDS {
        if let Some(written) = attempt(target, edit)? {
            return Ok(written);
        }
    }
    Err(FileError::Busy(target.path.clone()))
}

/// Gives other contents, or none if they stay.
type Edit<'a> = dyn FnMut(&[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, EditError> + 'a;

/// Changes the file; `None` if another program has changed it meanwhile.
fn attempt(target: &Target, edit: &mut Edit<'_>) -> Result<Option<Written>, FileError> {
    let found = target.open()?;
    let contents = match &found {
        Some((file, metadata)) => read(file, metadata, target)?,
        None => Zeroizing::default(),
    };
    let edited = edit(&contents).map_err(|error| FileError::Edit(target.path.clone(), error))?;
    let open_to_others = |metadata: &Metadata| metadata.mode() & private_file::OTHERS != 0;
    let mut written = Written {
        changed: false,
        open_to_others: found
            .as_ref()
            .is_some_and(|(_, metadata)| open_to_others(metadata)),
    };
    let Some(edited) = edited.filter(|edited| **edited != *contents) else {
        return Ok(Some(written));
    };
    let metadata = found.map(|(_, metadata)| metadata);
    let new = New::write(target, &edited, metadata.as_ref())?;
    let now = target.open()?.map(|(_, metadata)| metadata);
    if now.as_ref().map(state) != metadata.as_ref().map(state) {
        return Ok(None);
    }
    new.rename()?;
    written.changed = true;
    Ok(Some(written))
}

fn read(
    file: &File,
    metadata: &Metadata,
    target: &Target,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // With all its room from the start, no copy of a secret is left behind by growing.
    let len = metadata.len().min(MAX_LEN) + 1;
    let mut contents = Zeroizing::new(Vec::with_capacity(
        usize::try_from(len).unwrap_or_default() + 1,
    ));
    file.take(len)
        .read_to_end(&mut contents)
        .map_err(FileError::io("cannot read", &target.path))?;
    if contents.len() as u64 > MAX_LEN {
        return Err(FileError::TooLong(target.path.clone()));
    }
    Ok(contents)
}

/// What is another after every change.
fn state(metadata: &Metadata) -> (u64, u64, u64, i64, i64, i64, i64) {
    (
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}
