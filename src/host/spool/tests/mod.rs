mod damage;
mod processes;
mod properties;
mod quota;
mod scale;

use std::io::{Read as _, Write as _};
use std::string::String;
use std::vec::Vec;

use tempfile::TempDir;

use super::*;
use crate::core::time::UnixTime;
use crate::host::s3::Content as _;

/// Nothing depends on how much is free where the tests run.
fn options() -> Options {
    Options {
        reserve: 0,
        ..Options::default()
    }
}

/// A folder that costs no waiting for a disk, where there is one.
fn memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Bytes and entries, as they are counted.
fn usage_of(spool: &Spool) -> (u64, u64) {
    let usage = spool.usage().unwrap();
    (usage.bytes, usage.entries)
}

/// Bytes and entries, as they are found.
fn count(spool: &Spool) -> (u64, u64) {
    let mut counted = (0, 0);
    let mut known = std::collections::BTreeSet::new();
    // In the order in which files move; one that has moved meanwhile counts once.
    for name in ["tmp", "entries", "aside"] {
        for file in spool.path().join(name).read_dir().unwrap() {
            let file = file.unwrap();
            let is_reason = file.file_name().to_string_lossy().ends_with(".reason");
            // It may be gone by now.
            if !is_reason
                && let Ok(metadata) = file.metadata()
                && known.insert(std::os::unix::fs::MetadataExt::ino(&metadata))
            {
                counted = (counted.0 + metadata.len(), counted.1 + 1);
            }
        }
    }
    counted
}

fn reason() -> Reason {
    Reason {
        code: "KeyTooLongError".into(),
        what: "the key is too long".into(),
        at: UnixTime::from_secs(5),
    }
}

fn naming(key: &str) -> Naming {
    Naming {
        bucket: "bucket".into(),
        key: key.into(),
        ..Naming::default()
    }
}

fn content(entry: &Entry) -> Vec<u8> {
    let mut content = Vec::new();
    let length = entry.head.digests.length;
    entry
        .open(0, length)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

fn keys(spool: &Spool) -> Vec<String> {
    spool
        .entries()
        .unwrap()
        .into_iter()
        .map(|(_, head)| head.key)
        .collect()
}

#[test]
fn what_is_added_is_there_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spool");
    let spool = Spool::open(&path, Options::default()).unwrap();
    let large = std::vec![7; 3_000_000];
    for (key, content) in [("z", &b"one"[..]), ("a", &large), ("m", b"")] {
        let added = spool.add(&mut { content }, naming(key)).unwrap();
        assert!(added.is_new);
    }
    assert_eq!(keys(&spool), ["z", "a", "m"]);
    let again = Spool::open(&path, Options::default()).unwrap();
    assert_eq!(keys(&again), ["z", "a", "m"]);
    let (id, _) = again.entries().unwrap()[1].clone();
    let entry = again.open_entry(id).unwrap().unwrap();
    assert_eq!(content(&entry), large);
    assert!(again.remove(id).unwrap());
    assert!(!again.remove(id).unwrap());
    assert_eq!(content(&entry), large);
    assert_eq!(keys(&spool), ["z", "m"]);
    assert_eq!(spool.usage().unwrap(), again.usage().unwrap());
    assert_eq!(spool.usage().unwrap().entries, 2);
}

#[test]
fn the_same_twice_is_one_entry() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    let first = spool.add(&mut &b"x"[..], naming("key")).unwrap();
    let usage = spool.usage().unwrap();
    let second = spool.add(&mut &b"x"[..], naming("key")).unwrap();
    assert_eq!((second.id, second.is_new), (first.id, false));
    assert_eq!(spool.usage().unwrap(), usage);
    assert!(spool.add(&mut &b"x"[..], naming("other")).unwrap().is_new);
    assert!(spool.add(&mut &b"y"[..], naming("key")).unwrap().is_new);
}

/// What is in the bucket in the end is what was accepted last.
#[test]
fn a_content_that_comes_back_after_another_one_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    let add = |content: &str| {
        spool
            .add(&mut content.as_bytes(), naming("switch"))
            .unwrap()
    };
    let contents = || -> Vec<Vec<u8>> {
        let entries = spool.entries().unwrap().into_iter();
        entries
            .map(|(id, _)| content(&spool.open_entry(id).unwrap().unwrap()))
            .collect()
    };
    let first = add("on");
    assert!(add("off").is_new);
    // What comes under other keys is of no account.
    spool.add(&mut &b"x"[..], naming("other")).unwrap();
    let last = add("on");
    assert!(last.is_new && last.id != first.id);
    assert_eq!(contents(), [&b"on"[..], b"off", b"x", b"on"]);
    let again = add("on");
    assert_eq!((again.id, again.is_new), (last.id, false));
    assert!(add("off").is_new);
    // Together, too.
    let mut batch = spool.batch();
    for content in ["up", "down", "up"] {
        let mut writer = spool.writer();
        writer.append(content.as_bytes()).unwrap();
        batch.add(writer, naming("lift")).unwrap();
    }
    let added = batch.commit().unwrap();
    assert!(added.iter().all(|added| added.is_new));
    assert_eq!(contents()[5..], [&b"up"[..], b"down", b"up"]);
    assert_eq!(usage_of(&spool), count(&spool));
    let again = Spool::open(folder.path(), Options::default()).unwrap();
    assert_eq!(again.entries().unwrap().len(), 8);
}

#[test]
fn a_writer_that_is_dropped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    let mut writer = spool.writer();
    writer.write_all(&[0; 1_000_000]).unwrap();
    assert!(spool.usage().unwrap().bytes >= 1_000_000);
    // Another process does not take it for one that was left.
    Spool::open(folder.path(), Options::default()).unwrap();
    assert!(spool.usage().unwrap().bytes >= 1_000_000);
    drop(writer);
    assert_eq!(spool.usage().unwrap(), Usage::default());
    assert_eq!(folder.path().join("tmp").read_dir().unwrap().count(), 0);
}

#[test]
fn aside_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    let first = spool.add(&mut &b"1"[..], naming("1")).unwrap();
    spool.add(&mut &b"2"[..], naming("2")).unwrap();
    let reason = reason();
    assert!(spool.set_aside(first.id, &reason).unwrap());
    assert!(!spool.set_aside(first.id, &reason).unwrap());
    assert_eq!(keys(&spool), ["2"]);
    let aside = spool.aside().unwrap();
    assert_eq!(
        (aside[0].id, aside[0].reason.as_ref()),
        (first.id, Some(&reason))
    );
    assert_eq!(spool.usage().unwrap().aside, 1);
    assert_eq!(spool.retry(&Selection::All).unwrap(), 1);
    assert_eq!(keys(&spool), ["1", "2"]);
    spool.set_aside(first.id, &reason).unwrap();
    assert_eq!(
        spool.discard(&Selection::Ids([first.id].into())).unwrap(),
        1
    );
    assert_eq!(spool.usage().unwrap().entries, 1);
    assert_eq!(folder.path().join("aside").read_dir().unwrap().count(), 0);
}

#[test]
fn news_are_what_was_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    let mut news = News::new();
    assert_eq!(news.look(&spool).unwrap(), []);
    let first = spool.add(&mut &b"1"[..], naming("1")).unwrap();
    let second = spool.add(&mut &b"2"[..], naming("2")).unwrap();
    let found: Vec<_> = news
        .look(&spool)
        .unwrap()
        .iter()
        .map(|queued| queued.id)
        .collect();
    assert_eq!(found, [first.id, second.id]);
    assert_eq!(news.look(&spool).unwrap(), []);
    // Delivered, and added again.
    spool.remove(first.id).unwrap();
    spool.add(&mut &b"1"[..], naming("1")).unwrap();
    assert_eq!(news.look(&spool).unwrap()[0].id, first.id);
    spool.set_aside(second.id, &reason()).unwrap();
    spool.retry(&Selection::All).unwrap();
    assert_eq!(news.look(&spool).unwrap()[0].id, second.id);
    assert_eq!(news.look(&spool).unwrap(), []);
}

/// Does something as somebody who may not read everything, as root may.
#[cfg(target_os = "linux")]
pub(crate) fn as_nobody(work: impl FnOnce() + Send) {
    use rustix::thread::set_thread_res_uid;

    let nobody = rustix::process::Uid::from_raw(65534);
    std::thread::scope(|scope| {
        let work = || {
            if rustix::process::geteuid().is_root() {
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            work();
        };
        scope.spawn(work).join().unwrap();
    });
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_opened_now_is_news_when_it_can() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), options()).unwrap();
    let add = |key: &str| spool.add(&mut key.as_bytes(), naming(key)).unwrap().id;
    let added = ["1", "2", "3"].map(add);
    let entries = folder.path().join("entries");
    let mode = |name: &str, mode| {
        set_permissions(entries.join(name), Permissions::from_mode(mode)).unwrap();
    };
    mode("", 0o755);
    for id in added {
        mode(&id.to_string(), 0o644);
    }
    let locked = added[1].to_string();
    mode(&locked, 0);
    let mut news = News::new();
    let mut look = |expected: &[EntryId]| {
        let found = news.look(&spool).unwrap();
        assert!(found.iter().map(|queued| &queued.id).eq(expected));
        news.unreadable().map(SpoolError::to_string)
    };
    as_nobody(|| {
        let why = look(&[added[0], added[2]]).unwrap();
        assert!(why.contains(&locked), "{why}");
        assert_eq!(look(&[]), Some(why));
    });
    // Nothing in the folder says that it may be opened now.
    mode(&locked, 0o644);
    as_nobody(|| {
        assert_eq!(look(&[added[1]]), None);
        assert_eq!(look(&[]), None);
    });
}

#[test]
fn one_delivers() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), Options::default()).unwrap();
    let lock = spool.lock_run().unwrap();
    let other = Spool::open(folder.path(), Options::default()).unwrap();
    assert!(matches!(other.lock_run(), Err(SpoolError::Running { .. })));
    drop(lock);
    other.lock_run().unwrap();
}
