//! The disk as a test sees it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::{BackgroundSession, Config, Errno, MountOption, Request, Session};
use rustix::io::Errno as Code;
use rustix::process::{Pid, Signal, getgid, getuid, kill_process};

use super::calls::Calls;
use super::tree::{Change, Note, Tree};

/// A mounted disk. It is unmounted when it is dropped: whoever works on it has to have ended before.
pub struct Disk {
    shared: Shared,
    session: Option<BackgroundSession>,
}

/// What goes wrong, and at which of the calls that change or sync something, counted from zero.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub at: usize,
    pub trouble: Trouble,
}

#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The caller is killed, and the call has no effect.
    KillBefore,
    /// The caller is killed when the call has had its effect.
    KillAfter,
    /// This call fails.
    Fail(Code),
    /// This call and all that follow fail, of those that can fail so.
    FailFrom(Code),
}

/// Looks at each change before it is made; what it says is noted before the change.
pub type Watcher = Box<dyn Fn(&Change, &Tree) -> Option<Note> + Send>;

#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Inside>>);

pub(super) struct Inside {
    pub(super) tree: Tree,
    log: Vec<Change>,
    /// What the calls were, by name.
    calls: Vec<String>,
    fault: Option<Fault>,
    watcher: Option<Watcher>,
}

/// What a call does to the disk.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// It needs room.
    Grows,
    /// It needs none.
    Changes,
    Syncs,
}

impl Disk {
    /// Mounts an empty disk on a folder that is there.
    ///
    /// # Panics
    /// If it cannot be mounted; the message says what it takes.
    pub fn mount(folder: &Path) -> Self {
        let tree = Tree::new(getuid().as_raw(), getgid().as_raw());
        Self::mount_with(tree, folder)
    }

    /// The same with what another disk had at some time.
    pub fn mount_with(tree: Tree, folder: &Path) -> Self {
        let shared = Shared(Arc::new(Mutex::new(Inside {
            tree,
            log: Vec::new(),
            calls: Vec::new(),
            fault: None,
            watcher: None,
        })));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName("keystead-tests".to_owned()),
            MountOption::DefaultPermissions,
        ];
        let session = Session::new(Calls(shared.clone()), folder, &config);
        let session = session.and_then(Session::spawn).unwrap_or_else(|error| {
            panic!(
                "{} cannot be mounted: {error}. It takes /dev/fuse, and root or a user namespace",
                folder.display()
            )
        });
        Self {
            shared,
            session: Some(session),
        }
    }

    /// What is on it now.
    pub fn tree(&self) -> Tree {
        self.shared.lock().tree.clone()
    }

    /// What has happened since it was mounted.
    pub fn log(&self) -> Vec<Change> {
        self.shared.lock().log.clone()
    }

    /// The calls so far that changed or synced something, by name.
    pub fn calls(&self) -> Vec<String> {
        self.shared.lock().calls.clone()
    }

    /// Notes what the test has learned.
    pub fn note(&self, note: Note) {
        self.shared.lock().log.push(Change::Note(note));
    }

    /// Has every change looked at before it is made.
    pub fn watch(&self, watcher: Watcher) {
        self.shared.lock().watcher = Some(watcher);
    }

    /// From now on something goes wrong. `at` counts from here.
    pub fn fail(&self, mut fault: Fault) {
        let mut inside = self.shared.lock();
        fault.at += inside.calls.len();
        inside.fault = Some(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.shared.lock().fault = None;
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            let _: io::Result<()> = session.umount_and_join();
        }
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Makes the changes of one call, or what the test has asked for in their place.
    pub(super) fn change(
        &mut self,
        request: &Request,
        (name, kind): (String, Kind),
        change: Change,
    ) -> Result<(), Errno> {
        let number = self.calls.len();
        self.calls.push(name);
        let trouble = self.fault.and_then(|fault| match fault.trouble {
            Trouble::FailFrom(code) => {
                (number >= fault.at && can_be(code, kind)).then_some(fault.trouble)
            }
            _ => (number == fault.at).then_some(fault.trouble),
        });
        match trouble {
            Some(Trouble::Fail(code) | Trouble::FailFrom(code)) => {
                return Err(Errno::from_i32(code.raw_os_error()));
            }
            Some(Trouble::KillBefore) => {
                kill(request);
                return Err(Errno::EIO);
            }
            Some(Trouble::KillAfter) => kill(request),
            None => {}
        }
        let note = self
            .watcher
            .as_ref()
            .and_then(|watch| watch(&change, &self.tree));
        self.log.extend(note.map(Change::Note));
        self.tree.apply(&change);
        self.log.push(change);
        Ok(())
    }
}

/// Whether a call may fail so for good: a full disk can still be emptied and synced.
fn can_be(code: Code, kind: Kind) -> bool {
    match code {
        Code::NOSPC | Code::DQUOT => kind == Kind::Grows,
        Code::ROFS => kind != Kind::Syncs,
        _ => true,
    }
}

/// The caller may have ended by now, which is what was wanted.
fn kill(request: &Request) {
    let process = i32::try_from(request.pid()).ok().and_then(Pid::from_raw);
    if let Some(process) = process {
        let _: rustix::io::Result<()> = kill_process(process, Signal::KILL);
    }
}
