//! A hundred thousand entries.

use core::time::Duration;
use std::fs;
use std::string::ToString as _;
use std::time::Instant;

use super::*;
use crate::host::s3::{Attributes, Digests};

const MANY: u64 = 100_000;

/// As they are after that many were added; nobody waits for a disk that long.
fn fill(folder: &Path) {
    Spool::open(folder, options()).unwrap();
    let entries = folder.join("entries");
    for sequence in 0..MANY {
        let head = Head {
            bucket: "bucket".into(),
            key: std::format!("{sequence}"),
            attributes: Attributes::default(),
            digests: Digests::of(b""),
            accepted: UnixTime::from_secs(sequence),
            sequence,
            after: None,
        };
        let trailer = trailer::encode(&head).unwrap();
        fs::write(entries.join(head.id().to_string()), trailer).unwrap();
    }
    // Counted anew.
    fs::remove_file(folder.join("lock")).unwrap();
}

/// Generous: tests run unoptimised, many at a time.
#[track_caller]
fn within<T>(seconds: u64, what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(seconds), "{what} took {took:?}");
    done
}

#[test]
fn a_hundred_thousand() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    let spool = within(30, "opening", || {
        Spool::open(folder.path(), options()).unwrap()
    });
    assert_eq!(spool.usage().unwrap().entries, MANY);
    let mut news = News::new();
    let queue = within(30, "the queue", || news.look(&spool).unwrap());
    assert_eq!(queue.len() as u64, MANY);
    assert!(queue.is_sorted());
    assert_eq!(queue[0].sequence, 0);
    // Full, and the oldest give way: all are looked at once, not for each.
    let options = Options {
        max_entries: Some(MANY),
        when_full: WhenFull::DropOldest,
        ..options()
    };
    let dropping = Spool::open(folder.path(), options).unwrap();
    within(60, "adding 200 to a full spool", || {
        for index in 0..200 {
            let key = std::format!("new/{index}");
            dropping.add(&mut &b"new"[..], naming(&key)).unwrap();
        }
    });
    let usage = spool.usage().unwrap();
    assert_eq!((usage.entries, usage.dropped), (MANY, 200));
    let found = within(30, "news", || news.look(&spool).unwrap());
    assert_eq!(found.len(), 200);
    // What was dropped is what was oldest.
    assert!(spool.open_entry(queue[199].id).unwrap().is_none());
    assert!(spool.open_entry(queue[200].id).unwrap().is_some());
}
