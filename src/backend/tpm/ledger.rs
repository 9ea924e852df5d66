//! What this process has in a TPM that has no resource manager, written down so that the next of us can
//! remove it if this one is killed.
//!
//! Nothing is asked of the TPM for that. libtss2 says at which handle a session is, but not at which an object
//! is, so that of objects what they are is written down: their public area.
//! While its file is locked, the process is there.

mod record;

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::format;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::string::String;
use std::time::Instant;
use std::vec::Vec;

use rustix::fs::{FlockOperation, Mode, OFlags};

pub use self::record::{Epoch, Record, Thing, What};
use super::device::Access;
use crate::core::text::Hex;

/// How long something may be in the TPM before it is asked for its epoch: what is shorter there is judged
/// by the TPM's clock, for which nothing need be asked while it is there. No clock is wrong by so much in
/// so short a time that it mattered.
const LONG: Duration = Duration::from_secs(60);

/// How many of us there can be at once.
const MOST: u32 = 1000;

/// What this process has in the TPM, through one connection.
#[derive(Debug)]
pub struct Ledger {
    folder: Option<PathBuf>,
    tpm: String,
    file: Option<(File, PathBuf)>,
    record: Record,
    /// For each thing of the record: its number, and where the connection has it (with libtss2: ESYS).
    places: Vec<(Ticket, Option<u32>)>,
    next: u64,
    since: Option<Instant>,
    has_asked: bool,
    is_kept: bool,
}

/// Something that is being loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket(u64);

impl Ledger {
    /// One with nothing in it, for a TPM that is reached so. Without a state directory, nothing is
    /// written down.
    pub fn new(access: &Access) -> Self {
        Self {
            folder: folder(access),
            tpm: tpm(access),
            file: None,
            record: Record::new(boot().unwrap_or_default()),
            places: Vec::new(),
            next: 0,
            since: None,
            has_asked: false,
            is_kept: false,
        }
    }

    /// To be called before something is loaded: from here on the next of us looks for it, also if this
    /// process is killed before the TPM answers.
    ///
    /// What cannot be written down is loaded all the same: a full disk is no reason not to sign.
    pub fn begin(&mut self, what: What) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        if self.folder.is_some() && !self.record.boot.is_empty() {
            let since = uptime().unwrap_or_default();
            self.record.things.push(Thing { what, since });
            self.places.push((ticket, None));
            self.since.get_or_insert_with(Instant::now);
            let _ = self.write();
        }
        ticket
    }

    /// It was not loaded.
    pub fn failed(&mut self, ticket: Ticket) {
        self.remove(|(known, _)| *known == ticket);
    }

    /// It was loaded, and the connection has it there; a session has this handle in the TPM.
    pub fn loaded(&mut self, ticket: Ticket, handle: u32, session: Option<u32>) {
        let Some(at) = self.places.iter().position(|(known, _)| *known == ticket) else {
            return;
        };
        self.places[at].1 = Some(handle);
        if let Some(session) = session {
            self.record.things[at].what = What::SessionAt(session);
            let _ = self.write();
        }
    }

    /// What the connection had there is not in the TPM any more.
    pub fn flushed(&mut self, handle: u32) {
        self.remove(|(_, place)| *place == Some(handle));
    }

    /// Something could not be flushed: what is written down at the end is left to the next of us.
    pub fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Whether something could not be flushed.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// Whether it is time to ask the TPM for its epoch, once.
    pub fn wants_epoch(&self) -> bool {
        !self.has_asked
            && !self.places.is_empty()
            && self.since.is_some_and(|since| since.elapsed() >= LONG)
    }

    /// What the TPM says of its epoch; `None` if it does not.
    pub fn set_epoch(&mut self, epoch: Option<Epoch>) {
        self.has_asked = true;
        self.record.epoch = epoch;
        let _ = self.write();
    }

    /// What it has in the TPM now.
    pub fn loaded_things(&self) -> impl Iterator<Item = What> {
        let things = self.record.things.iter().zip(&self.places);
        things
            .filter(|(_, (_, place))| place.is_some())
            .map(|(thing, _)| thing.what)
    }

    fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(_, path)| &**path)
    }

    fn remove(&mut self, is_it: impl Fn(&(Ticket, Option<u32>)) -> bool) {
        if let Some(at) = self.places.iter().position(is_it) {
            self.places.remove(at);
            self.record.things.remove(at);
            let _ = self.write();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            let Some(folder) = &self.folder else {
                return Ok(());
            };
            self.file = Some(create(folder, &self.tpm)?);
        }
        if let Some((file, _)) = &self.file {
            let text = self.record.text();
            // A process that is killed meanwhile leaves a text that ends before what was there before.
            file.write_all_at(text.as_bytes(), 0)?;
            file.set_len(text.len() as u64)?;
        }
        Ok(())
    }
}

impl Drop for Ledger {
    /// The connection has been closed, and what it had loaded has been flushed, or is kept.
    fn drop(&mut self) {
        let is_left = self.is_kept && !self.record.things.is_empty();
        if !is_left && let Some((_, path)) = &self.file {
            let _ = fs::remove_file(path);
        }
    }
}

/// What processes have written down that are not there any more.
#[derive(Debug)]
pub struct Left {
    path: PathBuf,
    /// Locked, so that nobody else deals with it.
    _file: File,
    /// What they had in the TPM.
    pub record: Record,
}

impl Left {
    /// It has been dealt with.
    pub fn remove(self) {
        // What stays is looked at once more.
        let _ = fs::remove_file(&self.path);
    }
}

/// What others than `own` have written down about a TPM: those who are not there any more, and those who
/// are.
pub fn others(access: &Access, own: Option<&Ledger>) -> (Vec<Left>, Vec<Record>) {
    let own = own.and_then(Ledger::path);
    let (mut left, mut present) = (Vec::new(), Vec::new());
    let tpm = tpm(access);
    let entries = folder(access).and_then(|folder| fs::read_dir(folder).ok());
    for path in entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.starts_with(&tpm) || name.ends_with(NEW) || Some(&*path) == own {
            continue;
        }
        let Ok(file) = open(&path, OFlags::RDWR) else {
            continue;
        };
        let is_left = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        let record = fs::read(&path).ok().and_then(|text| Record::parse(&text));
        match record {
            Some(record) if is_left && Some(&record.boot) == boot().as_ref() => left.push(Left {
                path,
                _file: file,
                record,
            }),
            // What was before the machine was started is not in its TPM; and what nobody can read helps
            // nobody.
            _ if is_left => drop(fs::remove_file(&path)),
            Some(record) => present.push(record),
            None => {}
        }
    }
    (left, present)
}

/// How long the machine has been running, including the time that it slept, in milliseconds.
pub fn uptime() -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((seconds * 1000.0) as u64)
}

/// What ends the name of a file that is not locked yet.
const NEW: &str = ".new";

fn folder(access: &Access) -> Option<PathBuf> {
    Some(access.state.as_ref()?.join("tpm-handles"))
}

/// What the names of a TPM's files begin with.
fn tpm(access: &Access) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, access.tcti.as_bytes());
    format!("{}-", Hex(&hash.as_ref()[..8]))
}

fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().into())
}

/// Makes a file, which is locked before anyone could take it for that of a process that is gone.
fn create(folder: &Path, tpm: &str) -> io::Result<(File, PathBuf)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let process = std::process::id();
    for _ in 0..MOST {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{tpm}{process}-{number}"));
        let new = folder.join(format!("{tpm}{process}-{number}{NEW}"));
        if path.exists() {
            continue;
        }
        let file = match open(&new, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            file => file?,
        };
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(&new, &path)?;
        return Ok((file, path));
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(folder: &Path) -> Access {
        Access {
            tcti: "device:/dev/tpm0".into(),
            state: Some(folder.join("state")),
            plain_auth: false,
            timeout: Duration::from_secs(20),
        }
    }

    fn files(access: &Access) -> usize {
        fs::read_dir(folder(access).unwrap()).map_or(0, Iterator::count)
    }

    /// As a process that is killed: its file stays, and is not locked any more.
    fn kill(mut ledger: Ledger) {
        ledger.file = None;
    }

    #[test]
    fn what_a_killed_process_had_is_known_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path());
        let mut ledger = Ledger::new(&access);
        ledger.begin(What::Area([1; 32]));
        let second = ledger.begin(What::Session);
        ledger.loaded(second, 0x40_4001, Some(0x0200_0001));
        let (_, present) = others(&access, None);
        assert_eq!(present[0].things[1].what, What::SessionAt(0x0200_0001));
        let third = ledger.begin(What::Template([3; 32]));
        ledger.failed(third);
        let (left, present) = others(&access, None);
        assert!(left.is_empty());
        assert_eq!(present[0].things.len(), 2);
        ledger.flushed(0x40_4001);
        kill(ledger);

        let (mut left, present) = others(&access, None);
        assert!(present.is_empty());
        // Only one of us deals with it.
        assert!(others(&access, None).0.is_empty());
        let left = left.pop().unwrap();
        assert_eq!(left.record.things.len(), 1);
        assert_eq!(left.record.things[0].what, What::Area([1; 32]));
        left.remove();
        assert_eq!(files(&access), 0);
    }

    #[test]
    fn who_ends_in_order_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path());
        let mut ledger = Ledger::new(&access);
        assert_eq!(files(&access), 0);
        let ticket = ledger.begin(What::Session);
        assert_eq!(files(&access), 1);
        ledger.loaded(ticket, 7, None);
        assert!(!ledger.wants_epoch());
        drop(ledger);
        assert_eq!(files(&access), 0);
    }

    #[test]
    fn what_could_not_be_flushed_is_left_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path());
        for (flushed, files_left) in [(&[7][..], 1), (&[7, 8], 0)] {
            let mut ledger = Ledger::new(&access);
            for handle in [7, 8] {
                let ticket = ledger.begin(What::Session);
                ledger.loaded(ticket, handle, Some(handle));
            }
            ledger.keep();
            flushed.iter().for_each(|handle| ledger.flushed(*handle));
            drop(ledger);
            let (left, _) = others(&access, None);
            let things = left.iter().flat_map(|left| &left.record.things);
            assert!(things.clone().all(|thing| thing.what == What::SessionAt(8)));
            assert_eq!((left.len(), things.count()), (files_left, files_left));
            left.into_iter().for_each(Left::remove);
        }
    }

    #[test]
    fn what_another_boot_or_another_tpm_had_is_not_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let access = access(folder.path());
        let mut ledger = Ledger::new(&access);
        ledger.begin(What::Session);
        let elsewhere = Access {
            tcti: "device:/dev/tpm1".into(),
            ..access.clone()
        };
        let (path, text) = {
            let path = ledger.file.as_ref().unwrap().1.clone();
            (path.clone(), fs::read_to_string(path).unwrap())
        };
        kill(ledger);
        assert!(others(&elsewhere, None).0.is_empty());
        let other = text.replace(&boot().unwrap(), "another");
        assert_ne!(other, text);
        fs::write(&path, other).unwrap();
        assert!(others(&access, None).0.is_empty());
        assert!(!path.exists());
        fs::write(&path, "damaged").unwrap();
        assert!(others(&access, None).0.is_empty());
        assert!(!path.exists());
    }

    #[test]
    fn without_a_state_directory_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = Access {
            state: None,
            ..access(folder.path())
        };
        let mut ledger = Ledger::new(&nowhere);
        let ticket = ledger.begin(What::Session);
        ledger.loaded(ticket, 7, None);
        assert!(ledger.file.is_none());
        assert!(others(&nowhere, None).0.is_empty());
    }
}
