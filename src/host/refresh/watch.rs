//! Whether files have changed, and whether whoever changes them is through.

use core::mem;
use core::time::Duration;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::vec::Vec;

/// What changed has to stay the same for so long before it is looked at.
const SETTLED: Duration = Duration::from_secs(2);

/// What cannot be used is looked at once more after this, before anybody is told: certificate and key are
/// seldom replaced in the same moment.
const PATIENCE: Duration = Duration::from_secs(30);

/// What tells one state of a file from another. A link counts as what it leads to: that is how Kubernetes
/// and systemd swap them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// There is none, or it cannot be seen.
    Missing,
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
}

impl Stamp {
    fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Err(_) => Self::Missing,
            Ok(file) => Self::File {
                device: file.dev(),
                inode: file.ino(),
                size: file.size(),
                modified: (file.mtime(), file.mtime_nsec()),
                changed: (file.ctime(), file.ctime_nsec()),
            },
        }
    }
}

/// A state of several files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stamps(Vec<(PathBuf, Stamp)>);

impl Stamps {
    /// The state that these files are in now.
    pub fn of(files: Vec<PathBuf>) -> Self {
        let stamp = |path: PathBuf| {
            let stamp = Stamp::of(&path);
            (path, stamp)
        };
        Self(files.into_iter().map(stamp).collect())
    }

    /// The same files as they are now.
    pub fn again(&self) -> Self {
        Self::of(self.0.iter().map(|(path, _)| path.clone()).collect())
    }

    /// These files as they were then; those that are new to it as they are now.
    pub fn of_these(self, files: Vec<PathBuf>) -> Self {
        let known = |path: &PathBuf| {
            let mut all = self.0.iter();
            all.find(|(known, _)| known == path)
                .map(|(_, stamp)| *stamp)
        };
        let stamp = |path: PathBuf| {
            let stamp = known(&path).unwrap_or_else(|| Stamp::of(&path));
            (path, stamp)
        };
        Self(files.into_iter().map(stamp).collect())
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What to make of a look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing is new.
    Same,
    /// Something changes; look again after this.
    Changing(Duration),
    /// Something has changed. If it cannot be used, it may still be in the making.
    Changed,
    /// The same, and it has been so for long enough.
    Final,
}

/// Files that are looked at from time to time.
#[derive(Debug, Default)]
pub struct Watch {
    /// As they were when they were last used, or given up.
    known: Stamps,
    change: Option<Change>,
}

#[derive(Debug)]
struct Change {
    stamps: Stamps,
    since: Duration,
    is_tried: bool,
}

impl Watch {
    /// Whether there is anything to look at.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// These are known from now on.
    pub fn know(&mut self, stamps: Stamps) {
        self.known = stamps;
        self.change = None;
    }

    /// Looks at the files.
    pub fn look(&mut self, now: Duration) -> Seen {
        let stamps = self.known.again();
        self.judge(stamps, now)
    }

    /// The change that was seen last is tried now, before it is certain that it is through; false if it was
    /// tried before.
    pub fn try_now(&mut self) -> bool {
        let change = self.change.as_mut();
        change.is_some_and(|change| !mem::replace(&mut change.is_tried, true))
    }

    fn judge(&mut self, stamps: Stamps, now: Duration) -> Seen {
        if stamps == self.known {
            self.change = None;
            return Seen::Same;
        }
        let change = match &mut self.change {
            Some(change) if change.stamps == stamps => change,
            change => {
                *change = Some(Change {
                    stamps,
                    since: now,
                    is_tried: false,
                });
                return Seen::Changing(SETTLED);
            }
        };
        let passed = now.saturating_sub(change.since);
        let wait = if change.is_tried { PATIENCE } else { SETTLED };
        if passed < wait {
            Seen::Changing(wait - passed)
        } else if mem::replace(&mut change.is_tried, true) {
            Seen::Final
        } else {
            Seen::Changed
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::vec;

    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn any_change_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pair.pem");
        let states = || Stamps::of(vec![path.clone()]);
        let missing = states();
        fs::write(&path, "one").unwrap();
        let first = states();
        assert_ne!(first, missing);
        assert_eq!(first.again(), first);
        // The same content in another file.
        let new = folder.path().join("new");
        fs::write(&new, "one").unwrap();
        fs::rename(&new, &path).unwrap();
        let second = states();
        assert_ne!(second, first);
        fs::write(&path, "three").unwrap();
        assert_ne!(states(), second);
        fs::remove_file(&path).unwrap();
        assert_eq!(states(), missing);
    }

    #[test]
    fn a_link_is_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("1")).unwrap();
        fs::create_dir(at("2")).unwrap();
        fs::write(at("1/pem"), "one").unwrap();
        fs::write(at("2/pem"), "two").unwrap();
        symlink("1", at("data")).unwrap();
        symlink("data/pem", at("pem")).unwrap();
        let before = Stamps::of(vec![at("pem")]);
        symlink("2", at("data.new")).unwrap();
        fs::rename(at("data.new"), at("data")).unwrap();
        assert_ne!(before.again(), before);
    }

    #[test]
    fn a_change_is_tried_when_it_is_through_and_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pem");
        fs::write(&path, "one").unwrap();
        let mut watch = Watch::default();
        watch.know(Stamps::of(vec![path.clone()]));
        assert_eq!(watch.look(secs(0)), Seen::Same);
        fs::write(&path, "two, longer").unwrap();
        assert_eq!(watch.look(secs(60)), Seen::Changing(SETTLED));
        // Still being written.
        fs::write(&path, "two, longer still").unwrap();
        assert_eq!(watch.look(secs(62)), Seen::Changing(SETTLED));
        assert_eq!(watch.look(secs(63)), Seen::Changing(secs(1)));
        assert_eq!(watch.look(secs(64)), Seen::Changed);
        assert_eq!(watch.look(secs(65)), Seen::Changing(secs(27)));
        assert_eq!(watch.look(secs(92)), Seen::Final);
        watch.know(watch.known.again());
        assert_eq!(watch.look(secs(93)), Seen::Same);
        assert_eq!(watch.look(secs(1000)), Seen::Same);
        fs::write(&path, "three").unwrap();
        assert_eq!(watch.look(secs(1060)), Seen::Changing(SETTLED));
        // Taken back.
        watch.know(watch.known.again());
        assert_eq!(watch.look(secs(1062)), Seen::Same);
    }
}
