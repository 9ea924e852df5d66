//! Which secrets a device refused: so that a stored one is not tried until its device locks.

use core::cell::RefCell;
use core::fmt;
use core::time::Duration;
use std::borrow::ToOwned as _;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::string::String;
use std::time::Instant;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use super::Secret;
use super::refused_record::{Hash, LEN, Record};
use crate::backend::private_file;

/// The memory of all devices: a folder with a file for each.
#[derive(Debug, Clone)]
pub struct RefusedSecrets {
    folder: PathBuf,
}

impl RefusedSecrets {
    /// The memory in `refused-pins` of the state directory, which need not exist.
    pub fn new(state: impl AsRef<Path>) -> Self {
        Self {
            folder: state.as_ref().join("refused-pins"),
        }
    }

    /// Waits for `patience` to be the only one, in all processes, that deals with the secret of
    /// `device`: any text that names it for good, such as a token's serial number.
    ///
    /// # Errors
    /// [`LockError`], also if what is remembered cannot be read: a damaged file never means that
    /// nothing was refused.
    pub fn lock(&self, device: &str, patience: Duration) -> Result<DeviceLock, LockError> {
        let deadline = Instant::now() + patience;
        let name = file_name(device);
        let path = self.folder.join(&name);
        let failed = |file: &Path| {
            let file = file.to_owned();
            move |error: io::Error| LockError::Io { file, error }
        };
        let folder = self.open_folder().map_err(failed(&self.folder))?;
        loop {
            let file = match open_private(&folder, Path::new(&name), OFlags::RDWR) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    wait_for(&folder, &self.folder, deadline)?;
                    let created = create(&folder, &name);
                    private_file::unlock(&folder);
                    created.map_err(failed(&path))?;
                    continue;
                }
                file => file.map_err(failed(&path))?,
            };
            wait_for(&file, &path, deadline)?;
            // A person may have removed it meanwhile: then this is the lock of nothing.
            if !private_file::is_named(&file, CWD, &path).map_err(failed(&path))? {
                continue;
            }
            let mut lock = DeviceLock {
                record: Record::new([0; 16]),
                file,
                path: path.clone(),
                last: RefCell::new(None),
            };
            lock.record = lock.read().map_err(failed(&path))?;
            return Ok(lock);
        }
    }

    /// Whether there is anything to remember of `device`. To ask costs no lock, and leaves no file.
    #[cfg(feature = "tpm-direct")]
    pub(crate) fn knows(&self, device: &str) -> bool {
        std::fs::symlink_metadata(self.folder.join(file_name(device))).is_ok()
    }

    fn open_folder(&self) -> io::Result<File> {
        let open = || open_private(CWD, &self.folder, OFlags::DIRECTORY);
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&self.folder)?;
                // The entry of the folder has to last, as what is going to be in it.
                if let Some(state) = self.folder.parent() {
                    File::open(state)?.sync_all()?;
                }
                open()
            }
            folder => folder,
        }
    }
}

/// The right to try a secret of a device. It ends when this is dropped, and with the process.
#[derive(Debug)]
pub struct DeviceLock {
    file: File,
    path: PathBuf,
    record: Record,
    /// The last secret that was asked about, and its hash, which takes a millisecond.
    last: RefCell<Option<(Secret, Hash)>>,
}

impl DeviceLock {
    /// The file that remembers.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this secret was refused.
    ///
    /// # Errors
    /// None at present: what is remembered was read when the lock was taken.
    pub fn was_refused(&self, secret: &Secret) -> io::Result<bool> {
        Ok(!self.record.is_empty() && self.record.contains(self.hash(secret)))
    }

    /// To be called before the secret is tried: from here on it counts as refused, also if the process
    /// or the machine ends before there is an answer.
    ///
    /// # Errors
    /// [`io::Error`], naming the file; the secret must not be tried then.
    pub fn record(&mut self, secret: &Secret) -> io::Result<()> {
        let mut record = self.record.clone();
        record.insert(self.hash(secret));
        self.write(record)
    }

    /// To be called after the device took the secret, or if it never came to judge it: it does not count
    /// as refused. Others still do: somebody may have them stored, and would try them again.
    ///
    /// # Errors
    /// [`io::Error`], naming the file; the secret counts as refused then.
    pub fn forget(&mut self, secret: &Secret) -> io::Result<()> {
        let mut record = self.record.clone();
        record.remove(self.hash(secret));
        self.write(record)
    }

    fn hash(&self, secret: &Secret) -> Hash {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((known, hash)) if known.expose() == secret.expose() => *hash,
            _ => {
                let hash = self.record.hash(secret);
                *last = Some((secret.clone(), hash));
                hash
            }
        }
    }

    fn read(&self) -> io::Result<Record> {
        let mut text = [0; LEN];
        let is_whole = self.file.metadata()?.len() == LEN as u64;
        if is_whole {
            self.file.read_exact_at(&mut text, 0)?;
        }
        Record::parse(&text).filter(|_| is_whole).ok_or_else(|| {
            let reason = "it is damaged, so that nobody knows which PINs were refused";
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })
    }

    /// Replaces the file's content in place: it is shorter than a sector, which a disk writes whole or
    /// not at all, and a flash chip is spared the rest.
    fn write(&mut self, record: Record) -> io::Result<()> {
        if record != self.record {
            let written = self.file.write_all_at(&record.text(), 0);
            written
                .and_then(|()| self.file.sync_data())
                .map_err(|error| {
                    let text = std::format!("{}: {error}", self.path.display());
                    io::Error::new(error.kind(), text)
                })?;
            self.record = record;
        }
        Ok(())
    }
}

impl Drop for DeviceLock {
    fn drop(&mut self) {
        private_file::unlock(&self.file);
    }
}

/// Why a device's secret cannot be dealt with.
#[derive(Debug)]
pub enum LockError {
    /// Someone else holds the lock all the time.
    Busy {
        /// The file that is locked.
        file: PathBuf,
    },
    /// What is remembered cannot be read, or not be kept.
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { file } => {
                write!(f, "{}: another process holds it locked", file.display())
            }
            Self::Io { file, error } => write!(f, "{}: {error}", file.display()),
        }
    }
}

impl core::error::Error for LockError {}

/// A name that is one for any text: its harmless characters, for people, and a hash.
fn file_name(device: &str) -> String {
    let readable = device.chars().take(100).map(|c| match c {
        c if c.is_ascii_alphanumeric() => c,
        _ => '_',
    });
    let mut name: String = readable.collect();
    let hash = ring::digest::digest(&ring::digest::SHA256, device.as_bytes());
    name += &std::format!("-{}", crate::core::text::Hex(&hash.as_ref()[..8]));
    name
}

/// Opens a file or folder that is ours alone, never through a link. What others could do with it ends.
fn open_private(folder: impl AsFd, name: &Path, flags: OFlags) -> io::Result<File> {
    let file = private_file::open(folder, name, flags)?;
    let mode = file.metadata()?.mode();
    if mode & private_file::OTHERS != 0 {
        let owner = Mode::from_raw_mode(mode & 0o700);
        rustix::fs::fchmod(&file, owner)?;
    }
    Ok(file)
}

/// Puts an empty record at `name`, whole or not at all. The folder is locked.
fn create(folder: &File, name: &str) -> io::Result<()> {
    if rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Ok(());
    }
    let new = std::format!("{name}.new");
    // What a crash left.
    match rustix::fs::unlinkat(folder, &new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let mut salt = [0; 16];
    let random = ring::rand::SystemRandom::new();
    ring::rand::SecureRandom::fill(&random, &mut salt)
        .map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = open_private(folder, Path::new(&new), flags)?;
    file.write_all_at(&Record::new(salt).text(), 0)?;
    file.sync_all()?;
    rustix::fs::renameat(folder, &new, folder, name)?;
    folder.sync_all()
}

fn wait_for(lock: &File, path: &Path, deadline: Instant) -> Result<(), LockError> {
    let mut pauses = private_file::Pauses::until(deadline);
    loop {
        let file = path.to_owned();
        match private_file::try_lock(lock) {
            Ok(true) => return Ok(()),
            Ok(false) if pauses.pause() => {}
            Ok(false) => return Err(LockError::Busy { file }),
            Err(error) => return Err(LockError::Io { file, error }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::process::Command;
    use std::string::ToString as _;
    use std::thread;
    use std::vec::Vec;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn pin(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_owned())
    }

    /// A memory in a folder of its own, two levels of which are still missing.
    fn memory() -> (tempfile::TempDir, RefusedSecrets) {
        let folder = tempfile::tempdir().unwrap();
        let memory = RefusedSecrets::new(folder.path().join("a/state"));
        (folder, memory)
    }

    fn lock(memory: &RefusedSecrets) -> DeviceLock {
        memory.lock("1234", PATIENCE).unwrap()
    }

    fn why(memory: &RefusedSecrets) -> String {
        memory.lock("1234", Duration::ZERO).unwrap_err().to_string()
    }

    #[test]
    fn a_recorded_secret_counts_as_refused_until_it_is_taken() {
        let (_folder, memory) = memory();
        let mut first = lock(&memory);
        assert!(!first.was_refused(&pin("0000")).unwrap());
        first.record(&pin("0000")).unwrap();
        assert!(first.was_refused(&pin("0000")).unwrap());
        let path = first.path().to_owned();
        drop(first);
        assert!(fs::read(&path).unwrap().starts_with(b"keystead-refused-1 "));

        let mut second = lock(&memory);
        assert!(second.was_refused(&pin("0000")).unwrap());
        assert!(!second.was_refused(&pin("1111")).unwrap());
        second.record(&pin("1111")).unwrap();
        second.forget(&pin("1111")).unwrap();
        drop(second);
        let mut third = lock(&memory);
        assert!(third.was_refused(&pin("0000")).unwrap());
        assert!(!third.was_refused(&pin("1111")).unwrap());
        third.forget(&pin("0000")).unwrap();
        assert!(!third.was_refused(&pin("0000")).unwrap());
        // Another device is another matter.
        memory.lock("", PATIENCE).unwrap();
        memory.lock("../12\u{e9}\0/34", PATIENCE).unwrap();
    }

    #[test]
    fn many_at_once_spend_one_try() {
        let (_folder, memory) = memory();
        let tries = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let mut lock = lock(&memory);
                    if !lock.was_refused(&pin("0000")).unwrap() {
                        tries.fetch_add(1, Ordering::Relaxed);
                        lock.record(&pin("0000")).unwrap();
                    }
                });
            }
        });
        assert_eq!(tries.into_inner(), 1);
    }

    #[test]
    fn the_lock_holds_for_other_processes() {
        let (_folder, memory) = memory();
        let held = lock(&memory);
        let path = held.path().to_owned();
        let is_free = || {
            let mut flock = Command::new("flock");
            let status = flock.arg("-n").arg(&path).arg("true").status();
            status.unwrap().success()
        };
        assert!(!is_free());
        assert!(why(&memory).ends_with("another process holds it locked"));
        drop(held);
        assert!(is_free());
    }

    #[test]
    fn a_file_that_a_person_removed_is_made_anew() {
        let (_folder, memory) = memory();
        let mut held = lock(&memory);
        held.record(&pin("0000")).unwrap();
        let path = held.path().to_owned();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(&memory).was_refused(&pin("0000")).unwrap());
            fs::remove_file(&path).unwrap();
            drop(held);
            assert!(!waiting.join().unwrap());
        });
    }

    #[test]
    fn files_are_their_owners_alone() {
        let (folder, memory) = memory();
        let path = lock(&memory).path().to_owned();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        assert_eq!(mode(&folder.path().join("a")), 0o700);
        // Nothing is left beside it.
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        lock(&memory);
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_damaged_file_is_named_and_means_nothing_else() {
        let (_folder, memory) = memory();
        let mut lock = lock(&memory);
        lock.record(&pin("0000")).unwrap();
        let path = lock.path().to_owned();
        drop(lock);
        let whole = fs::read(&path).unwrap();
        let longer = [&whole[..], b"x"].concat();
        let other = [&b"keystead-refused-2"[..], &whole[18..]].concat();
        for damaged in [&b""[..], &whole[..100], &longer, &other, &[0xff; LEN]] {
            fs::write(&path, damaged).unwrap();
            let why = why(&memory);
            assert!(why.starts_with(&path.display().to_string()), "{why}");
            assert!(why.contains("damaged"), "{why}");
        }
    }

    #[test]
    fn links_and_other_things_are_not_followed() {
        let (folder, memory) = memory();
        let path = lock(&memory).path().to_owned();
        let target = folder.path().join("target");
        fs::rename(&path, &target).unwrap();
        symlink(&target, &path).unwrap();
        assert!(why(&memory).contains("it is a link"));
        fs::remove_file(&path).unwrap();
        symlink(folder.path().join("nothing"), &path).unwrap();
        assert!(why(&memory).contains("it is a link"));
        fs::remove_file(&path).unwrap();
        fs::hard_link(&target, &path).unwrap();
        assert!(why(&memory).contains("it is a link"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(memory.lock("1234", PATIENCE).is_err());

        let folder_path = path.parent().unwrap();
        fs::rename(folder_path, folder.path().join("moved")).unwrap();
        symlink(folder.path().join("moved"), folder_path).unwrap();
        assert!(why(&memory).contains("it is a link"));
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_named() {
        let memory = RefusedSecrets::new("/proc/keystead");
        assert!(why(&memory).starts_with("/proc/keystead/refused-pins: "));
    }
}
