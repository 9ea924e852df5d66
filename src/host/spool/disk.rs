//! Every system call of the spool that changes something on disk. What has to have happened before what, so
//! that a loss of power at any moment loses nothing, is decided by who calls; that it happened, here. Each of them is
//! a place where a test ends the process or has the call fail.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::FileExt as _;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::host::fault_points::around;

/// Makes a new file; it must not be there. `mode` is what the umask leaves of it.
pub(super) fn create(folder: impl AsFd, name: &str, mode: Mode) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    around("create", || {
        Ok(rustix::fs::openat(folder, name, flags, mode)?.into())
    })
}

/// Makes a folder; `false` if something of that name is there.
pub(super) fn make_folder(folder: impl AsFd, name: impl Arg, mode: Mode) -> io::Result<bool> {
    around("make folder", || {
        match rustix::fs::mkdirat(folder, name, mode) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
}

/// Gives a file or folder its mode, whatever the umask is.
pub(super) fn set_mode(file: impl AsFd, mode: Mode) -> io::Result<()> {
    around("set mode", || Ok(rustix::fs::fchmod(file, mode)?))
}

/// Gives a file or folder to somebody.
pub(super) fn set_owner(file: impl AsFd, owner: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
    around("set owner", || Ok(rustix::fs::fchown(file, owner, group)?))
}

/// Makes a file as long as that: what is reserved for a writer is the length of its file.
pub(super) fn set_length(file: &File, length: u64) -> io::Result<()> {
    around("set length", || Ok(rustix::fs::ftruncate(file, length)?))
}

/// Writes at the file's position, both after each other.
pub(super) fn write(mut file: &File, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut slices = &mut slices[..];
    while !slices.is_empty() {
        match around("write", || file.write_vectored(slices)) {
            Ok(0) if slices.iter().all(|slice| slice.is_empty()) => return Ok(()),
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes over what is there.
pub(super) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    around("write over", || file.write_all_at(bytes, offset))
}

/// Has the content of the file written soon: a hint, which changes nothing of what is promised.
pub(super) fn start_writing(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}

/// Returns when the content of the file will outlast a loss of power: before it gets its name.
pub(super) fn sync_file(file: &File) -> io::Result<()> {
    around("sync file", || file.sync_all())
}

/// The same for a file whose length and mode nobody needs to know.
pub(super) fn sync_data(file: &File) -> io::Result<()> {
    around("sync data", || file.sync_data())
}

/// Returns when the names in the folder will outlast a loss of power: after a file got its name there.
pub(super) fn sync_folder(folder: &File) -> io::Result<()> {
    around("sync folder", || folder.sync_all())
}

/// Gives a file a name that nothing has yet; `false` if something has it.
pub(super) fn rename_new(
    from: impl AsFd,
    name: impl Arg + Copy,
    to: impl AsFd,
    new_name: impl Arg + Copy,
) -> io::Result<bool> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{RenameFlags, renameat_with};
        let rename = || renameat_with(&from, name, &to, new_name, RenameFlags::NOREPLACE);
        match around("rename to new", || Ok(rename()))? {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => return Ok(false),
            // Old kernels, and file systems that do not know how.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let link = || rustix::fs::linkat(&from, name, &to, new_name, AtFlags::empty());
    match around("link", || Ok(link()))? {
        // One that dies here leaves a second name in `tmp`, which the next one removes.
        Ok(()) => unlink(from, name).map(|_| true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives a file a name; what had it is gone.
pub(super) fn rename(
    from: impl AsFd,
    name: impl Arg,
    to: impl AsFd,
    new_name: impl Arg,
) -> io::Result<()> {
    around("rename", || {
        Ok(rustix::fs::renameat(from, name, to, new_name)?)
    })
}

/// Removes a name; `false` if nothing has it.
pub(super) fn unlink(folder: impl AsFd, name: impl Arg) -> io::Result<bool> {
    around("unlink", || {
        match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    })
}
