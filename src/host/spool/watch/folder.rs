//! The watched folder: everything is reached by a name beneath it, and no link is ever followed.

use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::vec::Vec;

use rustix::fs::{
    Access, AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, ResolveFlags, Stat,
};
use rustix::io::Errno;

use super::chooser::Look;
use super::refusal::Refusal;
use crate::host::spool::disk;

/// What a file is called between being taken over and being removed. It begins with a dot, like all names that
/// are left alone.
const CLAIM: &[u8] = b".keystead.";

/// The longest name that a file can have (`NAME_MAX` of the usual file systems).
const MAX_NAME: usize = 255;

/// A watched folder.
pub struct Folder {
    path: PathBuf,
    folder: OwnedFd,
    /// Its device and number.
    identity: (u64, u64),
    user: u32,
    /// Nobody else can put anything into it.
    is_ours: bool,
    /// Only a file's owner, and the folder's, may remove it.
    is_sticky: bool,
    has_openat2: AtomicBool,
}

/// What is under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file that may be taken.
    File(Look),
    /// Something that is not to be taken.
    Refused(Refusal, Look),
}

/// What became of a file that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Removed,
    /// There is another file of that name meanwhile, or other content in it: that stays.
    Replaced,
}

impl Folder {
    /// Opens `path`, and brings back what a killed process was about to remove.
    ///
    /// # Errors
    /// [`io::Error`], with a sentence, if it is no folder, or another process watches it.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        // Of two who take over the same files, each would see the other's as changed.
        rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).map_err(|error| {
            match error {
                Errno::WOULDBLOCK => {
                    io::Error::new(io::ErrorKind::ResourceBusy, "another process watches it")
                }
                other => other.into(),
            }
        })?;
        // Else files could be taken, and not removed.
        let access = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::accessat(&folder, ".", access, AtFlags::EACCESS)?;
        let stat = rustix::fs::fstat(&folder)?;
        let user = rustix::process::geteuid().as_raw();
        let opened = Self {
            path: path.into(),
            identity: identity(&stat),
            user,
            is_ours: stat.st_uid == user && Mode::from_raw_mode(stat.st_mode).bits() & 0o022 == 0,
            is_sticky: is_sticky(&stat, user),
            has_openat2: AtomicBool::new(true),
            folder,
        };
        opened.bring_back()?;
        Ok(opened)
    }

    /// Where it is, as it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open folder.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Whether this folder, and not another one, is at its path.
    pub fn is_there(&self) -> bool {
        let found = rustix::fs::stat(&self.path);
        found.is_ok_and(|stat| identity(&stat) == self.identity)
    }

    /// Calls `each` for all names that are candidates.
    ///
    /// # Errors
    /// [`io::Error`] if it cannot be read.
    pub fn names(&self, mut each: impl FnMut(&OsStr)) -> io::Result<()> {
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if is_candidate(name) {
                each(name);
            }
        }
        Ok(())
    }

    /// What is under `name`.
    ///
    /// # Errors
    /// [`io::Error`]; of kind `NotFound` if nothing is.
    pub fn look(&self, name: &OsStr) -> io::Result<Found> {
        let stat = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(self.judge(&stat))
    }

    /// Opens the file under `name` for reading, and looks at what was opened.
    ///
    /// # Errors
    /// [`io::Error`] if it cannot be opened, a link among them.
    pub fn open_file(&self, name: &OsStr) -> io::Result<(File, Found)> {
        let file = File::from(self.open_beneath(name)?);
        let stat = rustix::fs::fstat(&file)?;
        Ok((file, self.judge(&stat)))
    }

    /// What `file`, which was opened here, looks like now.
    ///
    /// # Errors
    /// [`io::Error`].
    pub fn look_at(&self, file: &File) -> io::Result<Found> {
        Ok(self.judge(&rustix::fs::fstat(file)?))
    }

    /// Has the kernel begin to write what is in `file`, which is soon to be synced.
    pub fn start_writing(&self, file: &File) {
        disk::start_writing(file);
    }

    /// Returns when what is in `file` will outlast a loss of power, where the file system has such a promise.
    ///
    /// # Errors
    /// [`io::Error`]: what was read of it may not be what is there.
    pub fn sync(&self, file: &File) -> io::Result<()> {
        disk::sync_file(file).or_else(|error| match Errno::from_io_error(&error) {
            Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
            _ => Err(error),
        })
    }

    /// Removes `name` if it is still the file that looked like `look`. Between a look and `unlink`, a program that
    /// replaces its file by renaming would lose the new one: so it is given another name first, which says
    /// for sure what it was that had the old one.
    ///
    /// # Errors
    /// [`io::Error`]; it is there still.
    pub fn remove(&self, name: &OsStr, look: &Look) -> io::Result<Removal> {
        let is_same = |name: &OsStr| match self.look(name) {
            Ok(Found::File(now) | Found::Refused(Refusal::HardLink, now)) => {
                // A new name is a change of the file, though not of its content.
                let changed = look.changed;
                Ok(Look { changed, ..now } == *look)
            }
            Ok(Found::Refused(..)) => Ok(false),
            Err(error) => Err(error),
        };
        match self.look(name) {
            Ok(Found::File(now)) if now == *look => {}
            Ok(_) => return Ok(Removal::Replaced),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Removed),
            Err(error) => return Err(error),
        }
        let claim = OsString::from_vec([CLAIM, name.as_bytes()].concat());
        if claim.len() > MAX_NAME {
            disk::unlink(&self.folder, name)?;
            return Ok(Removal::Removed);
        }
        match disk::rename(&self.folder, name, &self.folder, &claim) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removal::Removed),
            Err(error) => return Err(error),
        }
        if is_same(&claim)? {
            disk::unlink(&self.folder, &claim)?;
            return Ok(Removal::Removed);
        }
        self.give_back(&claim, name)?;
        Ok(Removal::Replaced)
    }

    /// What an earlier process had renamed and not yet removed has its old name again: most likely the spool has
    /// it, and knows it when it comes again.
    fn bring_back(&self) -> io::Result<()> {
        let mut claims = Vec::new();
        for entry in Dir::read_from(&self.folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name.len() > CLAIM.len() && name.starts_with(CLAIM) {
                claims.push(OsString::from_vec(name));
            }
        }
        for claim in claims {
            let name = claim.as_bytes().get(CLAIM.len()..).unwrap_or_default();
            // Folders and links that somebody calls so are theirs.
            if is_candidate(OsStr::from_bytes(name))
                && matches!(self.look(&claim), Ok(Found::File(_)))
            {
                self.give_back(&claim, OsStr::from_bytes(name))?;
            }
        }
        Ok(())
    }

    fn give_back(&self, claim: &OsStr, name: &OsStr) -> io::Result<()> {
        match disk::rename_new(&self.folder, claim, &self.folder, name) {
            Ok(true) => Ok(()),
            // There is a newer file of that name. Had this one kept its name, that would have replaced it.
            Ok(false) => disk::unlink(&self.folder, claim).map(drop),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::NOENT) => Ok(()),
                // The file system knows neither renaming without replacing nor links.
                Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                    disk::rename(&self.folder, claim, &self.folder, name)
                }
                _ => Err(error),
            },
        }
    }

    fn open_beneath(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        // Without O_NONBLOCK a FIFO that has just taken the file's place would wait for a writer.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        #[cfg(target_os = "linux")]
        if self.has_openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match rustix::fs::openat2(&self.folder, name, flags, Mode::empty(), resolve) {
                // Older than Linux 5.6, or a filter of system calls that does not know it.
                Err(Errno::NOSYS | Errno::PERM) => self.has_openat2.store(false, Ordering::Relaxed),
                other => return other,
            }
        }
        // A name is a single component: `O_NOFOLLOW` says everything that there is to say of it.
        if name.as_bytes().contains(&b'/') || name == ".." {
            return Err(Errno::INVAL);
        }
        rustix::fs::openat(&self.folder, name, flags, Mode::empty())
    }

    // Their types differ with the system.
    #[allow(clippy::unnecessary_cast)]
    fn judge(&self, stat: &Stat) -> Found {
        let look = Look {
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            device: identity(stat).0,
            inode: identity(stat).1,
            length: u64::try_from(stat.st_size).unwrap_or_default(),
        };
        let refusal = match FileType::from_raw_mode(stat.st_mode) {
            // Somebody may have linked a file here that only this process can read. Where nobody else can make
            // links, a second name for a file of our own is our own doing.
            FileType::RegularFile if stat.st_nlink > 1 => {
                if self.is_ours && stat.st_uid == self.user {
                    return Found::File(look);
                }
                Refusal::HardLink
            }
            FileType::RegularFile if self.is_sticky && stat.st_uid != self.user => Refusal::Sticky,
            FileType::RegularFile => return Found::File(look),
            FileType::Directory => Refusal::Folder,
            FileType::Symlink => Refusal::Link,
            FileType::Fifo | FileType::Socket => Refusal::Pipe,
            _ => Refusal::Device,
        };
        Found::Refused(refusal, look)
    }
}

/// Whether files of this name are taken. A dot says that it is not yet complete (rsync and others), or none of our business.
pub fn is_candidate(name: &OsStr) -> bool {
    !name.is_empty() && !name.as_bytes().starts_with(b".")
}

/// Whether `user` may remove only what is its own in this folder.
fn is_sticky(folder: &Stat, user: u32) -> bool {
    let mode = Mode::from_raw_mode(folder.st_mode);
    mode.contains(Mode::SVTX) && folder.st_uid != user && user != 0
}

// Their types differ with the system.
#[allow(clippy::unnecessary_cast)]
fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn what_could_not_be_removed_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "a").unwrap();
        let owner = fs::metadata(place.path()).unwrap().uid();
        let name = OsStr::new("a");
        for (mode, user, is_refused) in [
            (0o1777, owner + 1, true),
            (0o777, owner + 1, false),
            (0o1777, owner, false),
            (0o1777, 0, false),
        ] {
            let permissions = fs::Permissions::from_mode(mode);
            fs::set_permissions(place.path(), permissions).unwrap();
            let mut folder = Folder::open(place.path()).unwrap();
            let stat = rustix::fs::fstat(&folder.folder).unwrap();
            folder.is_sticky = is_sticky(&stat, user);
            folder.user = user;
            let found = folder.look(name).unwrap();
            let refused = matches!(found, Found::Refused(Refusal::Sticky, _));
            assert_eq!(refused, is_refused, "{mode:o} {user}");
        }
    }
}
