//! What the kernel tells about a folder (inotify(7)).

use core::fmt;
use std::ffi::OsStr;
use std::path::Path;
use std::string::String;

use super::chooser::Sign;

/// What was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice<'a> {
    /// Something happened to the file of this name.
    Sign(&'a OsStr, Sign),
    /// More happened than the kernel keeps: all names have to be looked at.
    Overflow,
    /// The folder was removed, moved away or unmounted.
    FolderGone,
}

#[cfg(target_os = "linux")]
pub use linux::Events;
#[cfg(not(target_os = "linux"))]
pub use other::Events;

/// Why there are no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoEvents {
    /// Other machines can change the folder, and the kernel does not hear of it.
    Remote(&'static str),
    /// The system refuses.
    Refused(String),
    /// Nobody wants them.
    Unwanted,
}

impl fmt::Display for NoEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(name) => write!(f, "on {name} the kernel does not tell of all changes"),
            Self::Refused(error) => write!(f, "inotify is not to be had: {error}"),
            Self::Unwanted => f.write_str("as it was asked for"),
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use core::mem::MaybeUninit;
    use std::ffi::OsStr;
    use std::io;
    use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt as _;
    use std::string::ToString as _;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::io::Errno;

    use super::{NoEvents, Notice, Path, Sign};

    /// Room for some hundred events with short names, and for one with the longest.
    const BUFFER: usize = 16 * 1024;

    /// File systems that others may write to from elsewhere (statfs(2)), where inotify sees only what happens here.
    const REMOTE: [(u64, &str); 10] = [
        (0x6969, "NFS"),
        (0x517b, "SMB"),
        (0xff53_4d42, "SMB"),
        (0xfe53_4d42, "SMB"),
        (0x0102_1997, "9P"),
        (0x6573_5546, "FUSE"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x786f_4256, "vboxsf"),
        (0x0116_1970, "GFS2"),
    ];

    /// The events of one folder.
    pub struct Events {
        inotify: OwnedFd,
    }

    impl Events {
        /// Listens to what happens in `path`, which is open as `folder`.
        pub fn of(path: &Path, folder: BorrowedFd<'_>) -> Result<Self, NoEvents> {
            let kind = rustix::fs::fstatfs(folder).map(|system| system.f_type as u64);
            // The type is 32 bits wide where it is signed, too.
            let kind = kind.unwrap_or_default() & 0xffff_ffff;
            if let Some((_, name)) = REMOTE.iter().find(|(remote, _)| *remote == kind) {
                return Err(NoEvents::Remote(name));
            }
            let refused = |error: Errno| NoEvents::Refused(io::Error::from(error).to_string());
            let inotify =
                inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(refused)?;
            let flags = WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::OPEN
                | WatchFlags::MODIFY
                | WatchFlags::CLOSE_WRITE
                | WatchFlags::CLOSE_NOWRITE
                | WatchFlags::ATTRIB
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            inotify::add_watch(&inotify, path, flags).map_err(refused)?;
            Ok(Self { inotify })
        }

        /// What becomes readable when there are events.
        pub fn descriptor(&self) -> BorrowedFd<'_> {
            self.inotify.as_fd()
        }

        /// Calls `each` for what has happened. Does not wait.
        ///
        /// # Errors
        /// [`io::Error`] if the system refuses.
        pub fn read(&self, each: &mut dyn FnMut(Notice<'_>)) -> io::Result<()> {
            let mut buffer = [MaybeUninit::uninit(); BUFFER];
            let mut events = Reader::new(&self.inotify, &mut buffer);
            loop {
                match events.next() {
                    Ok(event) => {
                        let name = event
                            .file_name()
                            .map(|name| OsStr::from_bytes(name.to_bytes()));
                        if let Some(notice) = notice(event.events(), name) {
                            each(notice);
                        }
                    }
                    Err(Errno::WOULDBLOCK) => return Ok(()),
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }

    fn notice(flags: ReadFlags, name: Option<&OsStr>) -> Option<Notice<'_>> {
        if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            return Some(Notice::Overflow);
        }
        let ends =
            ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
        if flags.intersects(ends) {
            return Some(Notice::FolderGone);
        }
        let sign = [
            (ReadFlags::MOVED_TO, Sign::MovedIn),
            (ReadFlags::MOVED_FROM, Sign::Gone),
            (ReadFlags::DELETE, Sign::Gone),
            (ReadFlags::CREATE, Sign::Created),
            (ReadFlags::OPEN, Sign::Opened),
            (ReadFlags::MODIFY, Sign::Written),
            (ReadFlags::CLOSE_WRITE, Sign::ClosedAfterWriting),
            (ReadFlags::CLOSE_NOWRITE, Sign::Closed),
            (ReadFlags::ATTRIB, Sign::Changed),
        ];
        let (_, sign) = sign.into_iter().find(|(flag, _)| flags.contains(*flag))?;
        Some(Notice::Sign(name?, sign))
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io;
    use std::os::fd::BorrowedFd;

    use super::{NoEvents, Notice, Path};

    /// There are none on this system.
    pub enum Events {}

    impl Events {
        /// Fails.
        pub fn of(_path: &Path, _folder: BorrowedFd<'_>) -> Result<Self, NoEvents> {
            Err(NoEvents::Refused("this system has no inotify".into()))
        }

        /// Is never called.
        pub fn descriptor(&self) -> BorrowedFd<'_> {
            match *self {}
        }

        /// Is never called.
        ///
        /// # Errors
        /// None.
        pub fn read(&self, _each: &mut dyn FnMut(Notice<'_>)) -> io::Result<()> {
            match *self {}
        }
    }
}
