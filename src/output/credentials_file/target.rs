//! The file that a path stands for, and the folder that it is in.

use std::borrow::ToOwned as _;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::error::FileError;

/// As many as Linux follows.
const MAX_LINKS: usize = 40;

/// A name in a folder that is open: what happens to the folder's own name meanwhile changes nothing.
pub(super) struct Target {
    pub(super) folder: File,
    pub(super) name: OsString,
    /// For people.
    pub(super) path: PathBuf,
}

impl Target {
    /// Follows links from `path` to the file itself, which may be missing. Its folder is made if it is
    /// missing, too.
    pub(super) fn find(path: &Path) -> Result<Self, FileError> {
        let path = follow(path)?;
        let name = path
            .file_name()
            .ok_or_else(|| FileError::NotRegular(path.clone()))?;
        let folder = folder_of(&path);
        if !folder.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(FileError::io("cannot make the folder", folder))?;
        }
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::DIRECTORY.bits().cast_signed())
            .open(folder)
            .map_err(FileError::io("cannot open the folder", folder))?;
        Ok(Self {
            folder: opened,
            name: name.to_owned(),
            path: path.clone(),
        })
    }

    /// The folder, for people and sandboxes.
    pub(super) fn folder_path(&self) -> &Path {
        folder_of(&self.path)
    }

    /// A name beside it, for us.
    pub(super) fn beside(&self, what: &str) -> OsString {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(what);
        name
    }

    /// Opens, or makes, a file of ours beside the target. Nothing is followed that somebody has put there.
    pub(super) fn create(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.folder, name, flags, Mode::RUSR | Mode::WUSR)?;
        let file = File::from(file);
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.nlink() > 1 {
            let name = Path::new(name).display();
            return Err(io::Error::other(std::format!(
                "{name} beside it is none of keystead's files"
            )));
        }
        Ok(file)
    }

    /// Opens the file for reading, if it is there.
    pub(super) fn open(&self) -> Result<Option<(File, Metadata)>, FileError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let failed = |error: io::Error| FileError::io("cannot read", &self.path)(error);
        let file = match rustix::fs::openat(&self.folder, &self.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular(self.path.clone()));
        }
        if metadata.nlink() > 1 {
            return Err(FileError::HardLinks(self.path.clone()));
        }
        Ok(Some((file, metadata)))
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn follow(path: &Path) -> Result<PathBuf, FileError> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let to =
                    fs::read_link(&path).map_err(FileError::io("cannot read the link", &path))?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FileError::io("cannot read", &path)(error));
            }
            _ => return Ok(path),
        }
    }
    let error = io::Error::from(Errno::LOOP);
    Err(FileError::io("cannot follow the links to", &path)(error))
}
