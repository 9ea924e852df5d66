//! What killed processes, and bad disks, have left of open batches.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};

use super::*;

/// Keeps what was told of damage.
#[derive(Clone, Default)]
struct Listening(Arc<Mutex<Vec<String>>>);

impl Observer for Listening {
    fn added(&self, _added: &Added, _records: u64) {}
    fn failed(&self, error: &RecordError) {
        panic!("{error}");
    }
    fn damaged(&self, error: &RecordError) {
        self.0.lock().unwrap().push(error.what.clone());
    }
}

/// Recovers, as the next process does; what was told.
fn recovered(spool: &Spool) -> Vec<String> {
    let listening = Listening::default();
    let observer = Box::new(listening.clone());
    let next = Recorder::new(
        spool.clone(),
        Box::new(naming),
        Options::default(),
        observer,
    );
    next.recover().unwrap();
    let once = listening.0.lock().unwrap().clone();
    next.recover().unwrap();
    assert_eq!(*listening.0.lock().unwrap(), once);
    once
}

/// An open batch with these records, which nobody has open any more.
fn left(folder: &Path, records: &[u8]) -> (Spool, std::path::PathBuf) {
    let spool = open(folder);
    let first = recorder(&spool, Options::default());
    first.add(records).unwrap();
    let path = open_batch(folder);
    (spool, path)
}

fn batches(folder: &Path) -> usize {
    folder.join("records").read_dir().unwrap().count()
}

#[test]
fn what_a_killed_process_left_becomes_an_entry_without_its_torn_end() {
    for (end, more) in [
        (&b""[..], &b""[..]),
        (b"{\"torn\":", b""),
        (b"4", b""),
        (b"\0\0\0\0", b""),
        (b"4\n\0\0\n5\n", b"4\n5\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        let first = recorder(&spool, Options::default());
        first.add(b"1\n2\n").unwrap();
        first.add(b"3\n").unwrap();
        // While somebody has it, it is left alone.
        let second = recorder(&open(folder.path()), Options::default());
        second.recover().unwrap();
        assert_eq!(contents(&spool).len(), 0);
        drop(first);

        let path = open_batch(folder.path());
        let content = fs::read(&path).unwrap();
        let at = content.iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(end, at as u64).unwrap();
        let told = recovered(&spool);
        assert_eq!(contents(&spool), [[b"1\n2\n3\n", more].concat()], "{end:?}");
        assert_eq!(told.is_empty(), more.is_empty(), "{told:?}");
        assert_eq!(batches(folder.path()), 0);
        assert_eq!(spool.usage().unwrap().entries, 1);
    }
}

#[test]
fn a_batch_that_became_an_entry_before_the_end_is_not_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let first = recorder(&spool, Options::default());
    first.add(b"1\n").unwrap();
    let kept = open_batch(folder.path());
    let copy = fs::read(&kept).unwrap();
    first.close().unwrap();
    // As if it had been killed before it removed the batch.
    fs::write(&kept, copy).unwrap();
    assert!(recovered(&spool).is_empty());
    assert_eq!(contents(&spool), [b"1\n"]);
    // Neither is one in which nothing was accepted: killed before it had a header, or torn by a loss of power, or begun
    // by another version.
    for header in [
        &b""[..],
        b"{\"bucket\":",
        b"{\"bucket\":\0\0\0",
        b"\0\0\0\0:1}\n",
        b"{\"version\":2}\n",
    ] {
        fs::write(&kept, [header, &[0; 5000]].concat()).unwrap();
        assert!(recovered(&spool).is_empty());
        assert_eq!(contents(&spool).len(), 1);
        assert!(!kept.exists(), "{header:?}");
    }
}

#[test]
fn records_whose_header_cannot_be_read_stay_on_disk() {
    for header in [
        &b"{\"bucket\":\"b\",\"key\":\"k\",\"attributes\":{\"new\":1},\"compression\":\"none\"}\n1\n"[..],
        b"{\"bucket\":\0\0\n1\n2\n",
        // Its newline is gone.
        b"{\"bucket\":\"b\",\"key\":\"k\",\"attributes\":{},\"compression\":\"none\"}x1\n",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (spool, path) = left(folder.path(), b"1\n");
        let file = [header, &[0; 600_000]].concat();
        fs::write(&path, &file).unwrap();
        // A whole one beside it is recovered all the same.
        let whole = recorder(&spool, Options::default());
        whole.add(b"2\n").unwrap();
        drop(whole);
        let told = recovered(&spool);
        assert!(
            told.len() == 1 && told[0].contains("it stays there"),
            "{told:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), file);
        assert_eq!(contents(&spool), [b"2\n"]);
        assert_eq!(batches(folder.path()), 1);
    }
}

#[test]
fn records_behind_a_damaged_one_are_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, path) = left(
        folder.path(),
        b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n",
    );
    let content = fs::read(&path).unwrap();
    let damage = |from: &str, to: &[u8]| {
        let at = content
            .windows(from.len())
            .position(|piece| piece == from.as_bytes());
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(to, at.unwrap() as u64).unwrap();
    };
    damage(":2}", b":\0\0");
    damage("4}", b"4\xff");
    let told = recovered(&spool);
    assert!(
        told.len() == 1 && told[0].starts_with("2 lines"),
        "{told:?}"
    );
    assert_eq!(contents(&spool), [b"{\"a\":1}\n{\"a\":3}\n"]);
    assert_eq!(batches(folder.path()), 0);
    // Where there is nothing else it stays.
    let (spool, path) = left(folder.path(), b"5\n");
    let mut content = fs::read(&path).unwrap();
    let at = content
        .windows(3)
        .position(|piece| piece == b"\n5\n")
        .unwrap();
    content[at + 1] = b'x';
    fs::write(&path, &content).unwrap();
    assert_eq!(recovered(&spool).len(), 1);
    assert_eq!(fs::read(&path).unwrap(), content);
}

#[test]
fn what_was_taken_back_does_not_show_behind_what_was_written_over_it() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let time = UnixTime::from_secs(0);
    let naming = naming("x", time).unwrap();
    let mut journal = Journal::create(&spool, naming, Compression::None, true).unwrap();
    journal.append(b"1\n", 1).unwrap();
    let before = journal.fill();
    journal.append(b"12345\n", 1).unwrap();
    // The sync has failed.
    journal.rewind(before);
    journal.append(b"99\n", 1).unwrap();
    // Killed.
    drop(journal);
    assert!(recovered(&spool).is_empty());
    assert_eq!(contents(&spool), [b"1\n99\n"]);
}

#[test]
fn what_cannot_be_read_is_read_once() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, path) = left(folder.path(), b"1\n2\n");
    let whole = fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[0] = b'x';
    fs::write(&path, damaged).unwrap();
    let then = fs::metadata(&path).unwrap().modified().unwrap();
    let next = Recorder::new(
        spool.clone(),
        Box::new(naming),
        Options::default(),
        Box::new(Listening::default()),
    );
    next.recover().unwrap();
    assert!(path.exists());
    // It looks as it did: nobody reads it, whatever is in it.
    fs::write(&path, whole).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_modified(then).unwrap();
    next.recover().unwrap();
    assert!(path.exists());
    // Somebody has mended it.
    file.set_modified(then + core::time::Duration::from_secs(1))
        .unwrap();
    drop(file);
    next.recover().unwrap();
    assert_eq!(contents(&spool), [b"1\n2\n"]);
    assert!(!path.exists());
}
