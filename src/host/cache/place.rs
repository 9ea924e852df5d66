//! Where a cache may be: in memory, in a folder that is ours alone.

use core::fmt;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::backend::private_file;

/// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
const MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];

/// A folder that a cache may be in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    base: PathBuf,
    /// The folders below it, each in the one before.
    below: &'static [&'static str],
    must_be_memory: bool,
}

impl Place {
    /// In `$XDG_RUNTIME_DIR`, beside other programs' files.
    pub fn of_user(base: impl Into<PathBuf>) -> Self {
        Self {
            base: base.into(),
            below: &["keystead", "cache"],
            must_be_memory: true,
        }
    }

    /// In `$RUNTIME_DIRECTORY`, which a service has for itself.
    pub fn of_service(base: impl Into<PathBuf>) -> Self {
        Self {
            below: &["cache"],
            ..Self::of_user(base)
        }
    }

    /// The folder that somebody chose, on any file system.
    pub fn chosen(folder: impl Into<PathBuf>) -> Self {
        Self {
            base: folder.into(),
            below: &[],
            must_be_memory: false,
        }
    }

    /// The folder.
    pub fn path(&self) -> PathBuf {
        let mut path = self.base.clone();
        path.extend(self.below);
        path
    }

    /// Opens the folder, which is made if it is missing and `make` says so.
    ///
    /// # Errors
    /// [`PlaceError`], naming the folder that cannot be used.
    pub(super) fn open(&self, make: bool) -> Result<File, PlaceError> {
        let folder = if self.below.is_empty() {
            let folder = open_or_make(CWD, &self.base, make, |path| {
                DirBuilder::new().recursive(true).mode(0o700).create(path)
            });
            folder.map_err(PlaceError::at(&self.base))?
        } else {
            self.open_below(make)?
        };
        let path = self.path();
        let failed = PlaceError::at(&path);
        let mode = folder.metadata().map_err(&failed)?.mode();
        if mode & private_file::OTHERS != 0 {
            let why = std::format!("others have access to it (mode {:04o})", mode & 0o7777);
            return Err(failed(io::Error::other(why)));
        }
        if self.must_be_memory && !is_memory(&folder).map_err(&failed)? {
            let why = "it is on a disk, and credentials are kept in memory alone";
            return Err(failed(io::Error::other(why)));
        }
        Ok(folder)
    }

    fn open_below(&self, make: bool) -> Result<File, PlaceError> {
        if !self.base.is_absolute() {
            let why = io::Error::other("it has to begin with a slash");
            return Err(PlaceError::at(&self.base)(why));
        }
        let mut path = self.base.clone();
        // Links on the way to it are the system's: /run may be one, and services have one of their own.
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = rustix::fs::open(&path, flags, Mode::empty());
        let base = base.map_err(io::Error::from).map(File::from);
        let base = base.and_then(|folder| ours_to_change(&folder).map(|()| folder));
        let mut folder = base.map_err(PlaceError::at(&path))?;
        for name in self.below {
            path.push(name);
            let next = open_or_make(&folder, Path::new(name), make, |name| {
                match rustix::fs::mkdirat(&folder, name, Mode::RWXU) {
                    // Somebody else was faster.
                    Ok(()) | Err(Errno::EXIST) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            });
            let next = next.and_then(|folder| ours_to_change(&folder).map(|()| folder));
            folder = next.map_err(PlaceError::at(&path))?;
        }
        Ok(folder)
    }
}

fn open_or_make(
    folder: impl rustix::fd::AsFd,
    name: &Path,
    may_make: bool,
    make: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<File> {
    let folder = folder.as_fd();
    match private_file::open(folder, name, OFlags::DIRECTORY) {
        Err(error) if may_make && error.kind() == io::ErrorKind::NotFound => {
            make(name)?;
            private_file::open(folder, name, OFlags::DIRECTORY)
        }
        opened => opened,
    }
}

/// A folder in which another user can replace what is there is no place for ours.
fn ours_to_change(folder: &File) -> io::Result<()> {
    let metadata = folder.metadata()?;
    if !private_file::is_ours(metadata.uid()) {
        return Err(io::Error::other("it belongs to another user"));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write to it"));
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_memory(folder: &File) -> io::Result<bool> {
    let kind = rustix::fs::fstatfs(folder)?.f_type;
    // Signed or not, long or short: it depends on the processor. The numbers have 32 bits.
    Ok(MEMORY.contains(&(kind as u32)))
}

#[cfg(not(target_os = "linux"))]
fn is_memory(_: &File) -> io::Result<bool> {
    Ok(false)
}

/// Why a folder is no place for a cache.
#[derive(Debug)]
pub struct PlaceError {
    /// The folder.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub error: io::Error,
}

impl PlaceError {
    fn at(folder: &Path) -> impl Fn(io::Error) -> Self + '_ {
        |error| Self {
            folder: folder.into(),
            error,
        }
    }

    /// Whether the folder is not there.
    pub fn is_missing(&self) -> bool {
        self.error.kind() == io::ErrorKind::NotFound
    }
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.folder.display(), self.error)
    }
}

impl core::error::Error for PlaceError {}
