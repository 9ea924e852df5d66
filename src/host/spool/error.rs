//! What keeps the spool from doing what it was asked for.

use core::fmt;
use std::borrow::ToOwned as _;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// What is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// The quota in bytes.
    Bytes {
        /// The quota.
        max: u64,
    },
    /// The quota in entries.
    Entries {
        /// The quota.
        max: u64,
    },
    /// It would be more than the quota in bytes all alone.
    TooLarge {
        /// The quota.
        max: u64,
    },
    /// The quota or the disk: there would be room if more were dropped, which is not done for a stream that may
    /// turn out to be longer than everything.
    Stream,
    /// The disk, but for the reserve.
    Disk {
        /// How many bytes are to stay free; zero if there is nothing left at all.
        reserve: u64,
    },
    /// The file system can hold no more files, but for a few.
    Inodes,
    /// The file system's quota of this user or group.
    DiskQuota,
}

/// Why the spool did not do what it was asked for. Whatever was not accepted has left nothing behind.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpoolError {
    /// There is no room.
    Full {
        /// What is full.
        what: Full,
        /// The spool's folder.
        folder: PathBuf,
    },
    /// The folder is something else, or of a newer version.
    NotASpool {
        /// The folder.
        folder: PathBuf,
        /// What was found.
        found: &'static str,
    },
    /// Another `run` is at work.
    Running {
        /// The folder.
        folder: PathBuf,
    },
    /// An entry's file is not what was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: &'static str,
    },
    /// An open batch of records has no header any more. It stays where it is.
    UnreadableBatch {
        /// The file.
        path: PathBuf,
    },
    /// Records of a batch are not what was written. The others are taken.
    DamagedRecords {
        /// The file.
        path: PathBuf,
        /// How many lines that are.
        lines: u64,
    },
    /// Key and attributes are longer than S3 takes by far.
    TooMuch,
    /// What was to be accepted cannot be read.
    Source(io::Error),
    /// The system refused.
    Io {
        /// What was tried, before the path: `cannot make`.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SpoolError {
    /// For `map_err`: `what` failed at `path`, which is below `folder`.
    pub(super) fn io<'a>(
        what: &'static str,
        folder: &'a Path,
        path: &'a str,
    ) -> impl Fn(io::Error) -> Self + 'a {
        move |source| {
            let full = |what| Self::Full {
                what,
                folder: folder.to_owned(),
            };
            match Errno::from_io_error(&source) {
                Some(Errno::NOSPC) => full(Full::Disk { reserve: 0 }),
                Some(Errno::DQUOT) => full(Full::DiskQuota),
                _ => Self::Io {
                    what,
                    path: match path {
                        "" => folder.to_owned(),
                        path => folder.join(path),
                    },
                    source,
                },
            }
        }
    }

    /// Whether it is for want of room, which passes when entries are delivered.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether there would be room for something smaller.
    pub(super) fn is_about_size(&self) -> bool {
        let Self::Full { what, .. } = self else {
            return false;
        };
        matches!(
            what,
            Full::Bytes { .. } | Full::Stream | Full::Disk { .. } | Full::DiskQuota
        )
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Full { what, .. } => match what {
                Full::Bytes { .. } | Full::Entries { .. } => {
                    "see `keystead spool status` for what keeps entries from being delivered; else raise \
                     the quota, or drop what is set aside (`keystead spool drop`)"
                }
                Full::TooLarge { .. } => "raise the quota (`max-size`), or add it in pieces",
                Full::Stream => {
                    "add it as a file, whose length is known, or in pieces; or raise the quota (`max-size`)"
                }
                Full::Disk { .. } => {
                    "make room on the disk: see `df` and `keystead spool status`; entries are deleted \
                     when they are delivered"
                }
                Full::Inodes => {
                    "the disk has room, but not for more files (`df -i`): remove small files, or \
                     collect records into fewer entries (`keystead spool add --records`)"
                }
                Full::DiskQuota => "see `quota`, and have it raised",
            },
            Self::NotASpool { .. } => "name another folder (--spool), or update keystead",
            Self::Running { .. } => "stop the other one first: `systemctl status keystead-spool`",
            Self::Damaged { .. } => {
                "see the kernel's log for errors of the disk; `keystead spool drop` removes the entry"
            }
            Self::UnreadableBatch { .. } => {
                "an update of keystead may read it; else take its records, one a line, out of the file, and remove it"
            }
            Self::DamagedRecords { .. } => "see the kernel's log for errors of the disk (`dmesg`)",
            Self::TooMuch => "S3 takes 2 KB of metadata, and ten tags",
            Self::Source(_) => "",
            Self::Io { source, .. } => match Errno::from_io_error(source) {
                Some(Errno::ROFS) => {
                    "the file system is read-only: see the kernel's log for why (`dmesg`), and mount it \
                     for writing again"
                }
                Some(Errno::ACCESS | Errno::PERM) => {
                    "run this as the user or in the group that the spool belongs to (`usermod -aG \
                     keystead USER`), or name another folder (--spool)"
                }
                Some(Errno::IO) => "the disk fails: see the kernel's log (`dmesg`)",
                Some(Errno::NOENT) => "somebody removed it: start again, and it is made anew",
                _ => "",
            },
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { what, folder } => {
                let folder = folder.display();
                match what {
                    Full::Bytes { max } => {
                        write!(f, "the spool {folder} is full: its quota is {max} bytes")
                    }
                    Full::Entries { max } => {
                        write!(f, "the spool {folder} is full: its quota is {max} entries")
                    }
                    Full::TooLarge { max } => write!(
                        f,
                        "it is larger than the whole quota of the spool {folder}, {max} bytes"
                    ),
                    Full::Stream => write!(
                        f,
                        "the spool {folder} is full, and a stream, whose length nobody knows, displaces older \
                         entries up to half of the quota alone"
                    ),
                    Full::Disk { reserve: 0 } => {
                        write!(f, "the disk of the spool {folder} is full")
                    }
                    Full::Disk { reserve } => write!(
                        f,
                        "the disk of the spool {folder} is full but for the reserve of {reserve} bytes"
                    ),
                    Full::Inodes => write!(
                        f,
                        "the file system of the spool {folder} has no room for more files (inodes)"
                    ),
                    Full::DiskQuota => {
                        write!(
                            f,
                            "the disk quota of this user is used up in the spool {folder}"
                        )
                    }
                }
            }
            Self::NotASpool { folder, found } => {
                write!(f, "{} cannot be used as a spool: {found}", folder.display())
            }
            Self::Running { folder } => write!(
                f,
                "the spool {} is being delivered by another process",
                folder.display()
            ),
            Self::Damaged { path, found } => {
                write!(f, "the entry {} is damaged: {found}", path.display())
            }
            Self::UnreadableBatch { path } => write!(
                f,
                "what was decided about the batch of records {} cannot be read: it stays there, and is not delivered",
                path.display()
            ),
            Self::DamagedRecords { path, lines } => write!(
                f,
                "{lines} lines of the batch of records {} are damaged, and left out",
                path.display()
            ),
            Self::TooMuch => f.write_str("key, metadata and tags are too long"),
            Self::Source(error) => write!(f, "cannot read what is to be added: {error}"),
            Self::Io { what, path, source } => write!(f, "{what} {}: {source}", path.display()),
        }
    }
}

impl core::error::Error for SpoolError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Source(error) | Self::Io { source: error, .. } => Some(error),
            _ => None,
        }
    }
}
