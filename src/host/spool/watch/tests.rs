//! Watching real folders.

mod room;

use core::time::Duration;
use std::boxed::Box;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::vec::Vec;
use std::{format, vec};

use super::folder::{Folder, Found, Removal};
use super::{Event, Names, Observer, Options, Refusal, Watcher};
use crate::core::time::UnixTime;
use crate::host::spool::{self, Bell, Naming, Spool};

/// What was told, with the name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Taken(OsString),
    Refused(OsString, Refusal),
    Full,
    Recovered,
    Lost,
    Found,
}

struct Teller(Sender<Told>);

impl Observer for Teller {
    fn event(&mut self, event: &Event<'_>) {
        let told = match event {
            Event::Taken { name, .. } => Told::Taken((*name).into()),
            Event::Refused { name, why, .. } => Told::Refused((*name).into(), *why),
            Event::Full(_) => Told::Full,
            Event::Failed(error) => panic!("{error}"),
            Event::Recovered => Told::Recovered,
            Event::Polling(_) => return,
            Event::Lost(_) => Told::Lost,
            Event::Found => Told::Found,
        };
        let _ = self.0.send(told);
    }
}

fn naming(name: &OsStr, _: UnixTime) -> Result<Naming, String> {
    Ok(Naming {
        bucket: "b".into(),
        key: format!("{:?}", name.as_bytes()),
        ..Naming::default()
    })
}

struct Watched {
    told: Receiver<Told>,
    bell: Arc<Bell>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watched {
    fn start(path: &Path, spool: &Spool, options: &Options) -> Self {
        Self::with_names(path, spool, options, Box::new(naming))
    }

    fn with_names(path: &Path, spool: &Spool, options: &Options, names: Box<Names>) -> Self {
        let (teller, told) = mpsc::channel();
        let observer = Box::new(Teller(teller));
        let watcher = Watcher::open(path, spool.clone(), names, options, observer).unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let heard = bell.clone();
        let thread = thread::spawn(move || watcher.run(&heard));
        Self {
            told,
            bell,
            thread: Some(thread),
        }
    }

    fn next(&self) -> Told {
        self.told.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn taken(&self) -> OsString {
        match self.next() {
            Told::Taken(name) => name,
            other => panic!("{other:?}"),
        }
    }

    fn end(mut self) -> Vec<Told> {
        self.bell.ring();
        self.thread.take().unwrap().join().unwrap();
        self.told.try_iter().collect()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.bell.ring();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Places {
    _folder: tempfile::TempDir,
    watched: PathBuf,
    outside: PathBuf,
    spool: Spool,
}

fn places() -> Places {
    places_with(spool::Options::default())
}

fn places_with(options: spool::Options) -> Places {
    let folder = tempfile::tempdir().unwrap();
    let (watched, outside) = (folder.path().join("watched"), folder.path().join("outside"));
    fs::create_dir(&watched).unwrap();
    fs::create_dir(&outside).unwrap();
    Places {
        spool: Spool::open(folder.path().join("spool"), options).unwrap(),
        watched,
        outside,
        _folder: folder,
    }
}

impl Places {
    /// Writes a file elsewhere and renames it into the watched folder.
    fn move_in(&self, name: &str, content: &[u8]) {
        let new = self.outside.join(name);
        fs::write(&new, content).unwrap();
        fs::rename(new, self.watched.join(name)).unwrap();
    }

    fn left(&self) -> Vec<String> {
        let files = self.watched.read_dir().unwrap();
        let mut names: Vec<String> = files
            .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// So long that nothing is quiet before the test is over.
fn never_quiet() -> Options {
    Options {
        quiet: Duration::from_secs(3600),
        ..Options::default()
    }
}

fn soon_quiet(polls: bool) -> Options {
    Options {
        quiet: Duration::from_millis(50),
        polls,
    }
}

#[test]
fn renamed_files_are_taken_at_once_and_others_are_not() {
    let places = places();
    fs::write(places.watched.join("before"), "1").unwrap();
    let watched = Watched::start(&places.watched, &places.spool, &never_quiet());
    let mut open = File::create(places.watched.join("open")).unwrap();
    open.write_all(b"half").unwrap();
    fs::write(places.watched.join(".hidden"), "1").unwrap();
    places.move_in("a", b"one");
    assert_eq!(watched.taken(), "a");
    // Within the folder, as rsync does it.
    fs::rename(places.watched.join(".hidden"), places.watched.join("b")).unwrap();
    assert_eq!(watched.taken(), "b");
    assert_eq!(watched.end(), []);
    assert_eq!(places.left(), ["before", "open"]);
    let entries = places.spool.entries().unwrap();
    assert_eq!(entries[0].1.key, "[97]");
    assert_eq!(entries[0].1.digests.length, 3);
}

#[test]
fn quiet_files_are_taken_the_oldest_first() {
    for polls in [false, true] {
        let places = places();
        for (name, seconds) in [("new", 3000), ("old", 1000), ("middle", 2000)] {
            let file = File::create(places.watched.join(name)).unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            file.set_modified(time).unwrap();
        }
        let watched = Watched::start(&places.watched, &places.spool, &soon_quiet(polls));
        for name in ["old", "middle", "new"] {
            assert_eq!(watched.taken(), name);
        }
        fs::write(places.watched.join("later"), "x").unwrap();
        assert_eq!(watched.taken(), "later");
        assert!(places.left().is_empty());
    }
}

#[test]
fn what_is_no_file_is_refused_once() {
    for polls in [false, true] {
        let places = places();
        let secret = places.outside.join("secret");
        fs::write(&secret, "s3cr3t").unwrap();
        let path = |name| places.watched.join(name);
        fs::create_dir(path("folder")).unwrap();
        symlink(&secret, path("link")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), fifo, mode, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        // Others can make links here.
        fs::set_permissions(&places.watched, fs::Permissions::from_mode(0o770)).unwrap();
        fs::hard_link(&secret, path("hard")).unwrap();
        let watched = Watched::start(&places.watched, &places.spool, &soon_quiet(polls));
        let mut told: Vec<Told> = (0..6).map(|_| watched.next()).collect();
        told.sort_by_key(|told| format!("{told:?}"));
        let refused = |name: &str, why| Told::Refused(name.into(), why);
        assert_eq!(
            told,
            [
                refused("dangling", Refusal::Link),
                refused("fifo", Refusal::Pipe),
                refused("folder", Refusal::Folder),
                refused("hard", Refusal::HardLink),
                refused("link", Refusal::Link),
                refused("socket", Refusal::Pipe),
            ]
        );
        // Not again, whatever happens in between; and the hard link is taken when it is the only name.
        fs::write(path("folder").join("x"), "x").unwrap();
        places.move_in("a", b"a");
        assert_eq!(watched.taken(), "a");
        fs::remove_file(&secret).unwrap();
        assert_eq!(watched.taken(), "hard");
        assert_eq!(watched.end(), []);
        assert_eq!(
            places.left(),
            ["dangling", "fifo", "folder", "link", "socket"]
        );
    }
}

#[test]
fn links_of_our_own_are_taken_where_nobody_else_makes_any() {
    let places = places();
    fs::set_permissions(&places.watched, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(places.outside.join("a"), "a").unwrap();
    fs::hard_link(places.outside.join("a"), places.watched.join("a")).unwrap();
    let watched = Watched::start(&places.watched, &places.spool, &soon_quiet(false));
    assert_eq!(watched.taken(), "a");
    assert!(places.outside.join("a").exists());
}

#[test]
fn any_bytes_are_a_name() {
    let places = places();
    let watched = Watched::start(&places.watched, &places.spool, &never_quiet());
    let names: [&[u8]; 6] = [
        b"\xff\xfe",
        b"new\nline",
        b"-rf *",
        b"a'\"\\ $(reboot)",
        &[b'x'; 255],
        b"%2e%2e",
    ];
    for name in names {
        let new = places.outside.join("new");
        fs::write(&new, name).unwrap();
        fs::rename(&new, places.watched.join(OsStr::from_bytes(name))).unwrap();
        assert_eq!(watched.taken(), OsStr::from_bytes(name));
    }
    assert!(places.left().is_empty());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_taken_when_it_is_quiet() {
    let places = places();
    let path = places.watched.join("a");
    let writer = Mutex::new(Some(path.clone()));
    let names = move |name: &OsStr, time| {
        // It has been opened, and not yet read.
        if let Some(path) = writer.lock().unwrap().take() {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b" and more").unwrap();
        }
        naming(name, time)
    };
    let options = soon_quiet(false);
    let watched = Watched::with_names(&places.watched, &places.spool, &options, Box::new(names));
    places.move_in("a", b"content");
    assert_eq!(watched.taken(), "a");
    assert_eq!(watched.end(), []);
    let entries = places.spool.entries().unwrap();
    let lengths: Vec<u64> = entries
        .iter()
        .map(|(_, head)| head.digests.length)
        .collect();
    assert_eq!(lengths, [16]);
}

#[test]
fn a_file_that_replaces_the_one_that_is_read_is_not_lost() {
    let places = places();
    let (outside, path) = (places.outside.join("second"), places.watched.join("a"));
    fs::write(&outside, "second").unwrap();
    let replace = Mutex::new(Some((outside, path)));
    let names = move |name: &OsStr, time| {
        if let Some((from, to)) = replace.lock().unwrap().take() {
            fs::rename(from, to).unwrap();
        }
        naming(name, time)
    };
    let options = soon_quiet(false);
    let watched = Watched::with_names(&places.watched, &places.spool, &options, Box::new(names));
    places.move_in("a", b"first");
    assert_eq!(watched.taken(), "a");
    watched.end();
    let entries = places.spool.entries().unwrap();
    assert_eq!(entries.last().unwrap().1.digests.length, 6);
    assert!(places.left().is_empty());
}

#[test]
fn only_what_was_read_is_removed() {
    let places = places();
    let folder = Folder::open(&places.watched).unwrap();
    let name = OsStr::new("a");
    let path = places.watched.join(name);
    fs::write(&path, "1").unwrap();
    let Found::File(look) = folder.look(name).unwrap() else {
        panic!();
    };
    fs::write(&path, "12").unwrap();
    assert_eq!(folder.remove(name, &look).unwrap(), Removal::Replaced);
    let Found::File(look) = folder.look(name).unwrap() else {
        panic!();
    };
    assert_eq!(folder.remove(name, &look).unwrap(), Removal::Removed);
    assert_eq!(folder.remove(name, &look).unwrap(), Removal::Removed);
    assert!(places.left().is_empty());
    // Of two who would take the same files, the second is refused.
    let second = Folder::open(&places.watched);
    assert!(
        second
            .err()
            .unwrap()
            .to_string()
            .contains("another process")
    );
}

#[test]
fn what_a_killed_process_was_removing_comes_back() {
    let places = places();
    for (claim, content) in [(".keystead.a", "a"), (".keystead.b", "old"), ("b", "new")] {
        fs::write(places.watched.join(claim), content).unwrap();
    }
    fs::create_dir(places.watched.join(".keystead.c")).unwrap();
    drop(Folder::open(&places.watched).unwrap());
    assert_eq!(places.left(), [".keystead.c", "a", "b"]);
    assert_eq!(fs::read(places.watched.join("b")).unwrap(), b"new");
}

#[test]
fn a_folder_that_is_replaced_is_watched_again() {
    let places = places();
    let watched = Watched::start(&places.watched, &places.spool, &never_quiet());
    fs::rename(&places.watched, places.outside.join("gone")).unwrap();
    fs::create_dir(&places.watched).unwrap();
    assert_eq!(watched.next(), Told::Lost);
    assert_eq!(watched.next(), Told::Found);
    places.move_in("a", b"a");
    assert_eq!(watched.taken(), "a");
    // It is taken once more if it comes with the same content: whoever was killed in between did that.
    places.move_in("a", b"a");
    assert_eq!(watched.taken(), "a");
    assert_eq!(places.spool.entries().unwrap().len(), 1);
}

#[test]
fn a_large_file_does_not_keep_it_from_ending() {
    let places = places();
    let bell = Arc::new(Bell::new().unwrap());
    let (teller, told) = mpsc::channel();
    let ringing = bell.clone();
    // The end comes when the file is open.
    let names = move |name: &OsStr, time| {
        ringing.ring();
        naming(name, time)
    };
    places.move_in("large", &vec![b'x'; 1_000_000]);
    let observer = Box::new(Teller(teller));
    let spool = places.spool.clone();
    let options = soon_quiet(false);
    Watcher::open(&places.watched, spool, Box::new(names), &options, observer)
        .unwrap()
        .run(&bell);
    assert_eq!(told.try_iter().count(), 0);
    assert_eq!(places.left(), ["large"]);
    assert_eq!(places.spool.usage().unwrap().entries, 0);
}
