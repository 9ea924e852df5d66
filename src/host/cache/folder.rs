//! The folder of a cache: an entry and a lock for each key.

use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::time::SystemTime;
use std::vec::Vec;

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::clocks::{BootId, Moment};
use super::entry::{Entry, MAX_LEN, Miss};
use super::key::Key;
use super::place::{Place, PlaceError};
use crate::backend::private_file;

/// What a lock's name ends with. When the one who holds the first does not get on, the others line up
/// at the second.
pub(super) const LOCKS: [&str; 2] = [".lock", ".lock2"];

/// What the name of an entry that is being written ends with.
const NEW: &str = ".new";

/// An entry that was begun so long ago is not going to be finished.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// No session lives longer.
const LONGEST_SESSION: Duration = Duration::from_secs(43_200);

/// A folder with credentials.
#[derive(Debug)]
pub struct Cache {
    folder: File,
    path: PathBuf,
}

/// An entry as it was found.
#[derive(Debug)]
pub struct Listed {
    /// The name of its file.
    pub name: String,
    /// The entry, or why it cannot be used.
    pub entry: Result<Entry, Miss>,
}

/// A lock that is held until this is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Lock {
    /// Leaves a failure to those who wait and would go the same way.
    pub(super) fn leave(&self, now: &Moment, way: &Key, failure: &str) {
        let since_boot = now.since_boot.as_millis();
        let text = std::format!("{}\n{since_boot}\n{way}\n{failure}", now.boot);
        // Without it they try themselves.
        let _ = self.0.set_len(0);
        let _ = self.0.write_all_at(text.as_bytes(), 0);
    }

    /// The failure that was left, if it happened since `began`, and on that way.
    pub(super) fn left_since(&self, began: &Moment, way: &Key) -> Option<String> {
        let mut text = String::new();
        let mut file = (&self.0).take(MAX_LEN as u64);
        file.read_to_string(&mut text).ok()?;
        let mut lines = text.splitn(4, '\n');
        let is_this_boot = BootId::parse(lines.next()?)? == began.boot;
        let when = Duration::from_millis(lines.next()?.parse().ok()?);
        let is_this_way = Key::parse(lines.next()?)? == *way;
        let failure = lines.next()?;
        (is_this_boot && is_this_way && when >= began.since_boot).then(|| failure.to_owned())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        private_file::unlock(&self.0);
    }
}

impl Cache {
    /// Opens the cache at a place; what is missing is made.
    ///
    /// # Errors
    /// [`PlaceError`] if that is no place for credentials.
    pub fn open(place: &Place) -> Result<Self, PlaceError> {
        Self::open_or(place, true)
    }

    /// Opens the cache at a place if it is there.
    ///
    /// # Errors
    /// [`PlaceError`] if that is no place for credentials.
    pub fn existing(place: &Place) -> Result<Option<Self>, PlaceError> {
        match Self::open_or(place, false) {
            Ok(cache) => Ok(Some(cache)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn open_or(place: &Place, make: bool) -> Result<Self, PlaceError> {
        Ok(Self {
            folder: place.open(make)?,
            path: place.path(),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The entry of a key. Whether its credentials still live is for [`Entry::left`] to say.
    ///
    /// # Errors
    /// [`Miss`] if there is none that can be trusted.
    pub fn entry(&self, key: &Key) -> Result<Entry, Miss> {
        let text = self
            .read(&key.to_string())
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Miss::None,
                _ => Miss::Refused(error.to_string()),
            })?;
        Entry::parse(&text, key)
    }

    fn read(&self, name: &str) -> io::Result<Zeroizing<Vec<u8>>> {
        let file = private_file::open(&self.folder, Path::new(name), OFlags::RDONLY)?;
        let metadata = file.metadata()?;
        if metadata.mode() & private_file::OTHERS != 0 {
            return Err(io::Error::other("others have access to it"));
        }
        // With all its room from the start, no copy of a secret is left behind by growing.
        let len = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        let mut text = Zeroizing::new(Vec::with_capacity(len.min(MAX_LEN) + 1));
        file.take(MAX_LEN as u64).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Puts an entry in the place of whatever is there, whole or not at all.
    ///
    /// # Errors
    /// [`io::Error`]; what was there is still there then.
    pub fn store(&self, key: &Key, entry: &Entry) -> io::Result<()> {
        let text = entry.text(key).ok_or_else(|| {
            let why = "the service's answer has values that cannot be kept";
            io::Error::new(io::ErrorKind::InvalidData, why)
        })?;
        let mut random = [0; 8];
        let system = ring::rand::SystemRandom::new();
        ring::rand::SecureRandom::fill(&system, &mut random)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let new = std::format!("{key}.{:016x}{NEW}", u64::from_le_bytes(random));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = private_file::open(&self.folder, Path::new(&new), flags)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| {
            let name = key.to_string();
            Ok(rustix::fs::renameat(
                &self.folder,
                &new,
                &self.folder,
                name,
            )?)
        });
        written.inspect_err(|_| self.remove(&new))
    }

    /// Takes one of a key's locks, if nobody has it.
    ///
    /// # Errors
    /// [`io::Error`] if there is no way to lock, as on a file system that cannot be written to.
    pub(super) fn try_lock(&self, key: &Key, which: &str) -> io::Result<Option<Lock>> {
        let name = std::format!("{key}{which}");
        let name = Path::new(&name);
        let flags = OFlags::RDWR | OFlags::CREATE;
        let file = private_file::open(&self.folder, name, flags)?;
        if !private_file::try_lock(&file)? {
            return Ok(None);
        }
        let lock = Lock(file);
        // A clean-up may have removed it meanwhile: then this is the lock of nothing.
        let is_named = private_file::is_named(&lock.0, &self.folder, name)?;
        Ok(is_named.then_some(lock))
    }

    /// All entries.
    ///
    /// # Errors
    /// [`io::Error`] if the folder cannot be read.
    pub fn entries(&self) -> io::Result<Vec<Listed>> {
        let mut entries = Vec::new();
        for name in self.names()? {
            if let Some(key) = Key::parse(&name) {
                let entry = self.entry(&key);
                entries.push(Listed { name, entry });
            }
        }
        Ok(entries)
    }

    /// Removes all entries, and gives their number. Sessions that were begun are not ended by it: AWS
    /// knows no way.
    ///
    /// # Errors
    /// [`io::Error`] if the folder cannot be read or written to; what can be removed is gone then.
    pub fn clear(&self) -> io::Result<usize> {
        let cleared = self.clear_named(&self.names()?);
        self.sweep(|key| self.remove(&key.to_string()))?;
        cleared
    }

    /// Removes those of `names` that are entries, and gives their number, or the first error.
    pub(super) fn clear_named(&self, names: &[String]) -> io::Result<usize> {
        let mut cleared = Ok(0);
        for name in names.iter().filter(|name| Key::parse(name).is_some()) {
            let removed = rustix::fs::unlinkat(&self.folder, name, AtFlags::empty());
            cleared = match (cleared, removed) {
                (Ok(count), Ok(())) => Ok(count + 1),
                // Another process was faster.
                (cleared, Ok(()) | Err(Errno::NOENT)) => cleared,
                (cleared, Err(error)) => cleared.and(Err(error.into())),
            };
        }
        cleared
    }

    /// Removes what serves nobody any more: entries that have expired or cannot be read, what a crash has
    /// left, and locks of entries that are not there.
    pub(super) fn clean(&self, now: &Moment) {
        // It is tried again when the next entry is stored.
        let _ = self.sweep(|key| self.remove_if(key, || self.is_useless(key, now)));
    }

    fn is_useless(&self, key: &Key, now: &Moment) -> bool {
        match self.entry(key) {
            Ok(entry) => entry.left(now).is_zero(),
            Err(Miss::Damaged) => true,
            // How long it lives, only that version knows.
            Err(Miss::Version) => self.is_older_than(LONGEST_SESSION, &key.to_string()),
            Err(Miss::None | Miss::Refused(_)) => false,
        }
    }

    /// Removes a useless entry, unless somebody is about to put another one in its place.
    pub(super) fn remove_if(&self, key: &Key, is_useless: impl Fn() -> bool) {
        if !is_useless() {
            return;
        }
        let lock = |which: &&str| self.try_lock(key, which).ok().flatten();
        let locks: Option<Vec<Lock>> = LOCKS.iter().map(lock).collect();
        // It may have been replaced before the locks were ours.
        if locks.is_some() && is_useless() {
            self.remove(&key.to_string());
        }
    }

    fn sweep(&self, entry: impl Fn(&Key)) -> io::Result<()> {
        for name in &self.names()? {
            if let Some(key) = Key::parse(name) {
                entry(&key);
            } else if name.ends_with(NEW) && self.is_older_than(ABANDONED_AFTER, name) {
                self.remove(name);
            }
        }
        // The locks that were taken just now are among them.
        for name in &self.names()? {
            let mut locks = LOCKS.iter();
            let key = locks.find_map(|which| Key::parse(name.strip_suffix(which)?));
            if let Some(key) = key
                && matches!(self.entry(&key), Err(Miss::None))
            {
                self.remove_lock(name);
            }
        }
        Ok(())
    }

    /// Whoever waits for it notices, and makes a new one.
    fn remove_lock(&self, name: &str) {
        if let Ok(file) = private_file::open(&self.folder, Path::new(name), OFlags::RDWR) {
            self.remove_opened_lock(name, file);
        }
    }

    /// Removes a lock that nobody holds.
    pub(super) fn remove_opened_lock(&self, name: &str, file: File) {
        if !private_file::try_lock(&file).unwrap_or(false) {
            return;
        }
        let lock = Lock(file);
        // Another clean-up may have removed it since it was opened: then the name is that of another lock,
        // which somebody may hold.
        if private_file::is_named(&lock.0, &self.folder, Path::new(name)).unwrap_or(false) {
            self.remove(name);
        }
    }

    fn is_older_than(&self, age: Duration, name: &str) -> bool {
        let state = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW);
        let Ok(state) = state else { return false };
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let then = Duration::from_secs(u64::try_from(state.st_mtime).unwrap_or_default());
        now.abs_diff(then) > age
    }

    fn remove(&self, name: &str) {
        // What cannot be removed is no worse than before.
        let _ = rustix::fs::unlinkat(&self.folder, name, AtFlags::empty());
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            let name = entry.map_err(|error: Errno| io::Error::from(error))?;
            // Ours are all ASCII.
            if let Ok(name) = name.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}
