//! The spool's folders.

use std::borrow::ToOwned as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::disk;
use super::error::SpoolError;

/// What `format` says.
const FORMAT: &[u8] = b"keystead spool 1\n";

/// What makes a folder without `format` one that is becoming a spool.
const FOLDERS: [&str; 5] = ["tmp", "entries", "aside", "journal", "records"];

/// What no file here has reason to be reached through.
const FOREIGN: &str = "it is a link, or something else than keystead made there";

/// The folders of a spool, open: whoever moves one of them away does not lead anybody elsewhere.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) root: File,
    pub(super) tmp: File,
    pub(super) entries: File,
    pub(super) aside: File,
    pub(super) journal: File,
    /// Open batches of records.
    pub(super) records: File,
    access: Access,
}

/// Who may do what with what is made.
#[derive(Debug, Clone, Copy)]
struct Access {
    /// For a group: the folder's group may write.
    is_shared: bool,
    /// Root gives what it makes to the folder's owner, who has to deliver it.
    owner: Option<(Uid, Gid)>,
}

impl Place {
    /// Opens the folders, and makes what is missing: for `group`, if the spool's folder itself is missing and there
    /// is one.
    pub(super) fn open(path: &Path, group: Option<u32>) -> Result<Self, SpoolError> {
        let failed = |what, name| SpoolError::io(what, path, name);
        let root = match open_root(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_root(path, group).map_err(failed("cannot make", ""))?
            }
            opened => opened.map_err(failed("cannot open", ""))?,
        };
        let access = Access::of(&root).map_err(failed("cannot look at", ""))?;
        // First of all: a folder that has other things in it is left as it is.
        let is_complete = access.is_complete(path, &root)?;
        let below = |name| {
            let opened = match open_folder(&root, Path::new(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    access.make_folder(&root, name)
                }
                opened => opened,
            };
            opened.map_err(failed("cannot open", name))
        };
        let place = Self {
            tmp: below("tmp")?,
            entries: below("entries")?,
            aside: below("aside")?,
            journal: below("journal")?,
            records: below("records")?,
            path: path.to_owned(),
            access,
            root,
        };
        if !is_complete {
            place.complete().map_err(failed("cannot make", ""))?;
        }
        Ok(place)
    }

    /// Writes `format`, which says that everything above it outlasts a loss of power, also if the process that made
    /// the folders was killed before it had come that far.
    fn complete(&self) -> io::Result<()> {
        disk::sync_folder(&self.root)?;
        let path = std::path::absolute(&self.path)?;
        for folder in path.ancestors().skip(1) {
            // What this user may not read, this user has not made.
            if let Ok(folder) = File::open(folder) {
                disk::sync_folder(&folder)?;
            }
        }
        let format = self.open_or_create(&self.root, "format")?;
        // Whoever does the same at this moment writes the same.
        disk::write_at(&format, FORMAT, 0)?;
        disk::sync_file(&format)?;
        disk::sync_folder(&self.root)
    }

    /// For `map_err`: `what` failed at `name`.
    pub(super) fn failed<'a>(
        &'a self,
        what: &'static str,
        name: &'a str,
    ) -> impl Fn(io::Error) -> SpoolError + 'a {
        SpoolError::io(what, &self.path, name)
    }

    /// Makes a new file; it must not be there.
    pub(super) fn create(&self, folder: &File, name: &str) -> io::Result<File> {
        self.access.create(folder, name)
    }

    /// Opens a file that several write to, and makes it if it is missing.
    pub(super) fn open_or_create(&self, folder: &File, name: &str) -> io::Result<File> {
        loop {
            match open_file(folder, name, OFlags::RDWR) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
            match self.create(folder, name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created,
            }
        }
    }
}

impl Access {
    fn of(root: &File) -> io::Result<Self> {
        let metadata = root.metadata()?;
        let is_root = rustix::process::geteuid().is_root() && metadata.uid() != 0;
        Ok(Self {
            is_shared: metadata.mode() & Mode::WGRP.bits() != 0,
            owner: is_root.then(|| {
                let group = Gid::from_raw(metadata.gid());
                (Uid::from_raw(metadata.uid()), group)
            }),
        })
    }

    fn create(self, folder: &File, name: &str) -> io::Result<File> {
        let mode = match self.is_shared {
            true => Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP,
            false => Mode::RUSR | Mode::WUSR,
        };
        let file = disk::create(folder, name, mode)?;
        let given = self.give(&file, mode);
        given.inspect_err(|_| drop(disk::unlink(folder, name)))?;
        Ok(file)
    }

    fn make_folder(self, parent: &File, name: &str) -> io::Result<File> {
        let mode = match self.is_shared {
            true => Mode::RWXU | Mode::RWXG | Mode::SGID,
            false => Mode::RWXU,
        };
        let is_new = disk::make_folder(parent, name, mode)?;
        let folder = open_folder(parent, Path::new(name))?;
        if is_new {
            self.give(&folder, mode)?;
            disk::sync_folder(parent)?;
        }
        Ok(folder)
    }

    /// Whatever the umask is, and whoever this is.
    fn give(self, file: &File, mode: Mode) -> io::Result<()> {
        if let Some((owner, group)) = self.owner {
            disk::set_owner(file, Some(owner), Some(group))?;
        }
        // Last: a change of the owner takes the bit of the group away.
        match self.is_shared {
            true => disk::set_mode(file, mode),
            false => Ok(()),
        }
    }

    /// Reads what the folder says of itself; `false` if it says nothing, and may become a spool.
    fn is_complete(self, path: &Path, root: &File) -> Result<bool, SpoolError> {
        let failed = |what| SpoolError::io(what, path, "format");
        let refused = |found| SpoolError::NotASpool {
            folder: path.to_owned(),
            found,
        };
        match open_file(root, "format", OFlags::RDONLY) {
            Ok(file) => {
                let mut found = Vec::new();
                let read = file.take(64).read_to_end(&mut found);
                read.map_err(failed("cannot read"))?;
                match found == FORMAT {
                    true => Ok(true),
                    // One that was killed, or lost its power, in between.
                    false if FORMAT.starts_with(&found) || found.iter().all(|byte| *byte == 0) => {
                        Ok(false)
                    }
                    false => Err(refused("its file `format` is that of another version")),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let names = names(root).map_err(failed("cannot read the folder of"))?;
                // Any of them: a loss of power keeps names in no order.
                let is_spool = names.iter().any(|name| FOLDERS.contains(&name.as_str()));
                let is_empty = names.iter().all(|name| name == "lost+found");
                match is_spool || is_empty {
                    true => Ok(false),
                    false => Err(refused("there are other files in it")),
                }
            }
            Err(error) => Err(failed("cannot open")(error)),
        }
    }
}

/// Makes the folder and its parents. The parents are like any folder that the user makes.
fn make_root(path: &Path, group: Option<u32>) -> io::Result<File> {
    let parents = path.ancestors().skip(1);
    let missing = parents.take_while(|parent| !parent.as_os_str().is_empty() && !parent.exists());
    let missing: Vec<_> = missing.collect();
    for parent in missing.into_iter().rev() {
        let everybody = Mode::RWXU | Mode::RGRP | Mode::XGRP | Mode::ROTH | Mode::XOTH;
        disk::make_folder(rustix::fs::CWD, parent, everybody)?;
    }
    let is_new = disk::make_folder(rustix::fs::CWD, path, Mode::RWXU)?;
    let root = open_root(path)?;
    if is_new && let Some(group) = group {
        disk::set_owner(&root, None, Some(Gid::from_raw(group)))?;
        disk::set_mode(&root, Mode::RWXU | Mode::RWXG | Mode::SGID)?;
    }
    Ok(root)
}

/// The folder that somebody chose may be reached through a link; what is below it may not.
fn open_root(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn open_folder(folder: &File, path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, path, flags, Mode::empty()) {
        Ok(opened) => Ok(opened.into()),
        Err(Errno::LOOP | Errno::NOTDIR) => Err(io::Error::other(FOREIGN)),
        Err(error) => Err(error.into()),
    }
}

/// Opens a file that is there: never through a link, and none that has another name elsewhere.
pub(super) fn open_file(folder: &File, name: &str, flags: OFlags) -> io::Result<File> {
    // Without O_NONBLOCK, opening a FIFO would wait for ever.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(Errno::LOOP | Errno::NXIO | Errno::ISDIR) => return Err(io::Error::other(FOREIGN)),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    match metadata.is_file() && metadata.nlink() <= 1 {
        true => Ok(file),
        false => Err(io::Error::other(FOREIGN)),
    }
}

/// How long a file is, without opening it; `None` if there is none.
pub(super) fn length(folder: &File, name: &str) -> io::Result<Option<u64>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(u64::try_from(stat.st_size).unwrap_or(0))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names in a folder, in no order. What is no text is none of ours.
pub(super) fn names(folder: &File) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        if let Ok(name) = entry?.file_name().to_str()
            && !matches!(name, "." | "..")
        {
            names.push(name.into());
        }
    }
    Ok(names)
}
