//! New contents, which take the file's name when they are whole and on the disk.

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::fs::{AtFlags, Gid, OFlags, Uid};

use super::error::FileError;
use super::target::Target;

/// What their name ends with until then.
const NEW: &str = ".keystead-new";

/// The new contents under another name, which is gone again if this is dropped.
pub(super) struct New<'a> {
    target: &'a Target,
    name: OsString,
    is_named: bool,
}

impl<'a> New<'a> {
    pub(super) fn write(
        target: &'a Target,
        contents: &[u8],
        old: Option<&Metadata>,
    ) -> Result<Self, FileError> {
        let name = target.beside(NEW);
        let write = || {
            // A process that was killed may have left one. Who holds the lock is the only one who writes.
            let _ = rustix::fs::unlinkat(&target.folder, &name, AtFlags::empty());
            let mut file = target.create(&name, OFlags::WRONLY | OFlags::EXCL)?;
            let new = Self {
                target,
                name: name.clone(),
                is_named: false,
            };
            file.write_all(contents)?;
            if let Some(old) = old {
                inherit(&file, old)?;
            }
            file.sync_all()?;
            Ok(new)
        };
        write().map_err(FileError::io("cannot write", &target.path))
    }

    pub(super) fn rename(mut self) -> Result<(), FileError> {
        let target = self.target;
        let folder = &target.folder;
        let renamed = rustix::fs::renameat(folder, &self.name, folder, &target.name);
        let failed = |error: io::Error| FileError::io("cannot write", &target.path)(error);
        renamed.map_err(|error| failed(error.into()))?;
        self.is_named = true;
        folder.sync_all().map_err(failed)
    }
}

impl Drop for New<'_> {
    fn drop(&mut self) {
        if !self.is_named {
            // The next one who writes removes it.
            let _ = rustix::fs::unlinkat(&self.target.folder, &self.name, AtFlags::empty());
        }
    }
}

/// Gives a new file the owner, the group and the mode of the one that it replaces, as far as the system
/// allows. A group that cannot be kept loses its rights: they are not another group's.
fn inherit(new: &File, old: &Metadata) -> io::Result<()> {
    let metadata = new.metadata()?;
    let mut mode = old.mode() & 0o7777;
    if metadata.uid() != old.uid() {
        let _ = rustix::fs::fchown(new, Some(Uid::from_raw(old.uid())), None);
    }
    if metadata.gid() != old.gid()
        && rustix::fs::fchown(new, None, Some(Gid::from_raw(old.gid()))).is_err()
    {
        mode &= !0o070;
    }
    new.set_permissions(Permissions::from_mode(mode))
}
