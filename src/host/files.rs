//! New files, all or none of them, and files replaced whole.

use core::{fmt, mem};
use std::borrow::ToOwned as _;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::vec::Vec;

use tempfile::NamedTempFile;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Its owner alone: private keys.
    Owner,
    /// Everyone whom the umask lets.
    Everyone,
}

impl Access {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everyone => 0o644,
        }
    }
}

/// Files and directories that come into being together: until [`commit`](Self::commit) there are only
/// temporary files, and what was made is gone again when this is dropped.
#[derive(Default)]
pub struct NewFiles {
    staged: Vec<(NamedTempFile, PathBuf)>,
    directories: Vec<PathBuf>,
}

impl NewFiles {
    /// Writes a file that will be named `path`, which must not be there. Its directory is made if it
    /// is missing.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn file(&mut self, path: &Path, contents: &[u8], access: Access) -> Result<(), FileError> {
        let already_staged = self.staged.iter().any(|(_, staged)| staged == path);
        // A dangling link counts, too.
        if already_staged || path.symlink_metadata().is_ok() {
            return Err(FileError::Exists(path.to_owned()));
        }
        self.directory(directory_of(path))?;
        let file = temporary(path, contents, access)?;
        self.staged.push((file, path.to_owned()));
        Ok(())
    }

    /// Gives the files their names, unless one of the names is taken by now.
    ///
    /// # Errors
    /// [`FileError`]; none of the files is there then.
    pub fn commit(mut self) -> Result<(), FileError> {
        let staged = mem::take(&mut self.staged);
        self.directories
            .iter()
            .try_for_each(|path| sync_directory(path))?;
        let mut named = Vec::new();
        let committed = staged.into_iter().try_for_each(|(file, path)| {
            name(file, &path)?;
            named.push(path.clone());
            sync_directory(&path)
        });
        match committed {
            Ok(()) => self.directories.clear(),
            // The first error is the one to report.
            Err(_) => named.iter().for_each(|path| drop(fs::remove_file(path))),
        }
        committed
    }

    /// Makes the directory and its parents, for their owner alone, where they are missing.
    fn directory(&mut self, path: &Path) -> Result<(), FileError> {
        let missing: Vec<_> = path
            .ancestors()
            .take_while(|ancestor| !ancestor.as_os_str().is_empty() && !ancestor.exists())
            .collect();
        for directory in missing.into_iter().rev() {
            DirBuilder::new()
                .mode(0o700)
                .create(directory)
                .map_err(FileError::io("cannot make the directory", directory))?;
            self.directories.push(directory.to_owned());
        }
        Ok(())
    }
}

impl Drop for NewFiles {
    fn drop(&mut self) {
        self.staged.clear();
        for directory in self.directories.iter().rev() {
            // Nothing more can be done about it; one that is not empty has to stay.
            drop(fs::remove_dir(directory));
        }
    }
}

/// Replaces the file at `path` whole, or not at all.
///
/// # Errors
/// [`FileError`]; the file is as it was then.
pub fn replace(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    temporary(path, contents, Access::Everyone)?
        .persist(path)
        .map_err(|error| FileError::io("cannot write", path)(error.error))?;
    sync_directory(path)
}

/// A synced file beside `path` with these contents.
fn temporary(path: &Path, contents: &[u8], access: Access) -> Result<NamedTempFile, FileError> {
    let write = || {
        let file = create_beside(path, access)?;
        file.as_file().write_all(contents)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(FileError::io("cannot write", path))
}

fn create_beside(path: &Path, access: Access) -> io::Result<NamedTempFile> {
    // `tempfile` adds the temporary name to the error, which nobody has asked for.
    let mut refused = None;
    let create = |temporary: &Path| {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(access.mode())
            .open(temporary)
            .inspect_err(|error| refused = error.raw_os_error())
    };
    tempfile::Builder::new()
        .prefix(".keystead-")
        .make_in(directory_of(path), create)
        .map_err(|error| refused.map_or(error, io::Error::from_raw_os_error))
}

/// Gives a temporary file its name, if the name is free.
fn name(file: NamedTempFile, path: &Path) -> Result<(), FileError> {
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
            Err(FileError::Exists(path.to_owned()))
        }
        Err(failed) => Err(FileError::io("cannot write", path)(failed.error)),
    }
}

fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(directory_of(path))
        .and_then(|directory| directory.sync_all())
        .map_err(FileError::io("cannot sync the directory of", path))
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Why a file was not written.
#[derive(Debug)]
pub enum FileError {
    /// A file that was to be new is already there.
    Exists(PathBuf),
    /// The system refused.
    Io {
        /// What was tried, before the path: `cannot write`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    /// For `map_err`: `what` failed at `path`.
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what,
            path: path.to_owned(),
            source,
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(path) => write!(f, "{} is already there", path.display()),
            Self::Io { what, path, source } => write!(f, "{what} {}: {source}", path.display()),
        }
    }
}

impl core::error::Error for FileError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::string::ToString as _;

    fn names(directory: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn all_of_them() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b");
        let (key, certificate) = (deep.join("key"), deep.join("certificate"));
        let mut files = NewFiles::default();
        files.file(&key, b"secret", Access::Owner).unwrap();
        files
            .file(&certificate, b"public", Access::Everyone)
            .unwrap();
        assert!(!key.exists());
        files.commit().unwrap();
        assert_eq!(names(&deep), [certificate, key.clone()]);
        assert_eq!(fs::read(&key).unwrap(), b"secret");
        assert_eq!(mode(&key), 0o600);
        assert_eq!(mode(&deep), 0o700);
    }

    #[test]
    fn none_of_them() {
        let top = tempfile::tempdir().unwrap();
        let deep = top.path().join("a/b");
        let mut files = NewFiles::default();
        files.file(&deep.join("one"), b"1", Access::Owner).unwrap();
        let in_a_file = std::env::current_exe().unwrap().join("two");
        let error = files.file(&in_a_file, b"2", Access::Owner).unwrap_err();
        assert!(matches!(error, FileError::Io { .. }), "{error}");
        assert!(!error.to_string().contains(".keystead-"), "{error}");
        drop(files);
        assert!(names(top.path()).is_empty());
    }

    #[test]
    fn a_name_taken_meanwhile() {
        let top = tempfile::tempdir().unwrap();
        let (one, two) = (top.path().join("1"), top.path().join("2"));
        let mut files = NewFiles::default();
        files.file(&one, b"new", Access::Owner).unwrap();
        files.file(&two, b"new", Access::Owner).unwrap();
        fs::write(&two, b"old").unwrap();
        let error = files.commit().unwrap_err();
        assert!(matches!(error, FileError::Exists(path) if path == two));
        assert_eq!(names(top.path()), core::slice::from_ref(&two));
        assert_eq!(fs::read(two).unwrap(), b"old");
    }

    #[test]
    fn a_dangling_link_is_a_name_taken() {
        let top = tempfile::tempdir().unwrap();
        let link = top.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        let error = NewFiles::default().file(&link, b"", Access::Owner);
        assert!(matches!(error, Err(FileError::Exists(_))));
    }

    #[test]
    fn replaced_whole() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("index");
        fs::write(&path, b"a longer text").unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(top.path()), [path]);
    }
}
