//! What fits and what does not.

use core::time::Duration;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::string::ToString as _;
use std::time::Instant;
use std::vec::Vec;

use super::*;

/// A trailer takes less than this in these tests.
const TRAILER: u64 = 500;

#[test]
fn entries() {
    let folder = memory();
    let options = Options {
        max_entries: Some(2),
        ..options()
    };
    let spool = Spool::open(folder.path(), options.clone()).unwrap();
    for key in ["a", "b"] {
        spool.add(&mut key.as_bytes(), naming(key)).unwrap();
    }
    let error = spool.add(&mut &b"c"[..], naming("c")).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert!(
        error.to_string().contains("its quota is 2 entries"),
        "{error}"
    );
    assert_eq!(keys(&spool), ["a", "b"]);
    // It is kept for whoever asks later.
    let spool = Spool::open(folder.path(), options.clone()).unwrap();
    assert_eq!(spool.usage().unwrap().rejected, 1);
    let options = Options {
        when_full: WhenFull::DropOldest,
        ..options
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    for key in ["c", "d", "e"] {
        spool.add(&mut key.as_bytes(), naming(key)).unwrap();
    }
    assert_eq!(keys(&spool), ["d", "e"]);
    assert_eq!(spool.usage().unwrap().dropped, 3);
}

#[test]
fn bytes_while_they_are_written() {
    let folder = memory();
    let options = Options {
        max_bytes: Some(5_000_000),
        ..options()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let mut first = spool.writer();
    first.write_all(&[1; 3_000_000]).unwrap();
    let mut second = spool.writer();
    let piece = [2; 100_000];
    let written = (0..).find(|_| second.append(&piece).is_err()).unwrap();
    // What the first one may have reserved beyond its need, and what is not in the file yet.
    assert!(
        (900_000..2_200_000).contains(&(written * piece.len())),
        "{written}"
    );
    // What was not written once stays unwritten.
    assert!(second.append(b"x").is_err());
    assert!(second.commit(naming("second")).is_err());
    first.commit(naming("first")).unwrap();
    // All alone it would be too large.
    let error = spool.writer().append(&std::vec![3; 5_000_001]).unwrap_err();
    assert!(
        error.to_string().contains("larger than the whole quota"),
        "{error}"
    );
    assert_eq!(keys(&spool), ["first"]);
    assert_eq!(usage_of(&spool), count(&spool));
    assert!(usage_of(&spool).0 < 3_000_000 + TRAILER);
}

#[test]
fn the_oldest_give_way_to_bytes_and_those_aside_come_last() {
    let folder = memory();
    let options = Options {
        max_bytes: Some(10_000),
        when_full: WhenFull::DropOldest,
        ..options()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let content = [5; 2500];
    let ids: Vec<_> = ["0", "1", "2"]
        .iter()
        .map(|key| spool.add(&mut &content[..], naming(key)).unwrap().id)
        .collect();
    spool.set_aside(ids[0], &reason()).unwrap();
    spool.add(&mut &content[..], naming("3")).unwrap();
    assert_eq!(keys(&spool), ["2", "3"]);
    assert_eq!(spool.aside().unwrap().len(), 1);
    spool.add(&mut &[6; 9000][..], naming("4")).unwrap();
    assert_eq!(keys(&spool), ["4"]);
    assert_eq!(spool.aside().unwrap(), []);
    assert_eq!(spool.usage().unwrap().dropped, 4);
    assert_eq!(usage_of(&spool), count(&spool));
    // For what never fits nothing is dropped.
    assert!(spool.add(&mut &[7; 10_001][..], naming("5")).is_err());
    assert_eq!(keys(&spool), ["4"]);
}

/// A spool of 4 MB with four entries that fill most of it.
fn nearly_full(folder: &Path) -> Spool {
    let options = Options {
        max_bytes: Some(4_000_000),
        when_full: WhenFull::DropOldest,
        ..options()
    };
    let spool = Spool::open(folder, options).unwrap();
    for key in ["0", "1", "2", "3"] {
        spool.add(&mut &[5; 900_000][..], naming(key)).unwrap();
    }
    spool
}

#[test]
fn where_entries_are_lacking_alone_a_stream_may_be_long() {
    let folder = memory();
    let options = Options {
        max_entries: Some(3),
        when_full: WhenFull::DropOldest,
        ..options()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    for key in ["0", "1", "2"] {
        spool.add(&mut &[5; 200][..], naming(key)).unwrap();
    }
    spool
        .add(&mut &[7; 1_500_000][..], naming("stream"))
        .unwrap();
    assert_eq!(keys(&spool), ["1", "2", "stream"]);
}

#[test]
fn what_may_never_fit_does_not_drop_everything() {
    let folder = memory();
    let spool = nearly_full(folder.path());
    // A stream of unknown length.
    let error = spool
        .add(&mut &[7; 6_000_000][..], naming("stream"))
        .unwrap_err();
    assert!(error.to_string().contains("a stream"), "{error}");
    assert_eq!(keys(&spool), ["2", "3"]);
    // One that fails half-way.
    struct Torn;
    impl std::io::Read for Torn {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let mut torn = [7; 1_000_000].chain(Torn);
    spool.add(&mut torn, naming("torn")).unwrap_err();
    assert_eq!(keys(&spool), ["2", "3"]);
    // One that fits takes its place.
    spool
        .add(&mut &[7; 3_000_000][..], naming("stream"))
        .unwrap_err();
    spool
        .add(&mut &[7; 1_900_000][..], naming("stream"))
        .unwrap();
    assert_eq!(keys(&spool), ["2", "3", "stream"]);
    assert_eq!(usage_of(&spool), count(&spool));
}

#[test]
fn what_is_known_to_be_too_large_drops_nothing_and_what_fits_gets_its_room_at_once() {
    let folder = memory();
    let spool = nearly_full(folder.path());
    let error = spool
        .writer()
        .expect(4_000_000, &naming("large"))
        .unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
    assert_eq!(keys(&spool).len(), 4);
    let mut writer = spool.writer();
    writer.expect(3_500_000, &naming("large")).unwrap();
    assert_eq!(keys(&spool), [""; 0]);
    // Nobody else's room.
    let full = spool.add(&mut &[8; 600_000][..], naming("other"));
    assert!(full.unwrap_err().is_full());
    writer.append(&[7; 3_500_000]).unwrap();
    writer.commit(naming("large")).unwrap();
    assert_eq!(keys(&spool), ["large"]);
    assert_eq!(usage_of(&spool), count(&spool));
    // Shorter and longer than it was said to be.
    for length in [100, 1_000_000] {
        let mut writer = spool.writer();
        writer.expect(200_000, &naming("other")).unwrap();
        writer.append(&std::vec![9; length]).unwrap();
        writer.commit(naming("other")).unwrap();
        assert_eq!(usage_of(&spool), count(&spool));
    }
}

#[test]
fn for_what_others_are_writing_nothing_is_dropped() {
    let folder = memory();
    let spool = nearly_full(folder.path());
    let mut writer = spool.writer();
    writer.expect(2_000_000, &naming("first")).unwrap();
    let left = keys(&spool);
    assert_eq!(left, ["2", "3"]);
    // With everything dropped it would not fit beside the first one.
    let mut second = spool.writer();
    assert!(second.expect(2_500_000, &naming("second")).is_err());
    assert_eq!(keys(&spool), left);
}

#[test]
fn a_hint_that_is_wrong_drops_nothing_else() {
    let folder = memory();
    let options = Options {
        max_entries: Some(3),
        when_full: WhenFull::DropOldest,
        ..options()
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    let added = spool.add(&mut &b"0"[..], naming("0")).unwrap();
    for key in ["1", "2"] {
        spool.add(&mut key.as_bytes(), naming(key)).unwrap();
    }
    // Delivered, and added once more: it is the newest now.
    spool.remove(added.id).unwrap();
    spool.add(&mut &b"0"[..], naming("0")).unwrap();
    let mut hint = std::vec![0; 24];
    hint[8..].copy_from_slice(&added.id.0);
    std::fs::write(folder.path().join("oldest"), &hint).unwrap();
    spool.add(&mut &b"3"[..], naming("3")).unwrap();
    assert_eq!(keys(&spool), ["2", "0", "3"]);
    // Half a record is none.
    std::fs::write(folder.path().join("oldest"), &hint[..11]).unwrap();
    spool.add(&mut &b"4"[..], naming("4")).unwrap();
    assert_eq!(keys(&spool), ["0", "3", "4"]);
}

#[test]
fn the_reserve_of_the_disk() {
    let folder = memory();
    let options = Options {
        reserve: u64::MAX / 2,
        ..options()
    };
    let spool = Spool::open(folder.path(), options.clone()).unwrap();
    let error = spool.add(&mut &b"a"[..], naming("a")).unwrap_err();
    assert!(
        error.to_string().contains("full but for the reserve"),
        "{error}"
    );
    // Others filled the disk: dropping what is here would not help, and nothing is dropped.
    let all = Spool::open(folder.path(), super::options()).unwrap();
    all.add(&mut &b"a"[..], naming("a")).unwrap();
    let options = Options {
        when_full: WhenFull::DropOldest,
        ..options
    };
    let spool = Spool::open(folder.path(), options).unwrap();
    assert!(spool.add(&mut &b"b"[..], naming("b")).is_err());
    assert_eq!(keys(&spool), ["a"]);
}

#[test]
fn what_is_counted_wrong_is_counted_anew() {
    let folder = memory();
    let options = Options {
        max_entries: Some(3),
        ..options()
    };
    let spool = Spool::open(folder.path(), options.clone()).unwrap();
    for key in ["a", "b", "c"] {
        spool.add(&mut key.as_bytes(), naming(key)).unwrap();
    }
    // Somebody removes files by hand.
    let (id, _) = spool.entries().unwrap()[0];
    std::fs::remove_file(folder.path().join("entries").join(id.to_string())).unwrap();
    assert_eq!(spool.usage().unwrap().entries, 3);
    // Where counting takes long, not everybody who is refused counts.
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = spool.add(&mut &b"d"[..], naming("d")) {
        assert!(error.is_full() && Instant::now() < deadline, "{error}");
    }
    assert_eq!(keys(&spool), ["b", "c", "d"]);
    // The page is gone, or of another start of the machine, or whoever changed it died in the middle.
    let page = folder.path().join("lock");
    let lock = std::fs::File::options().write(true).open(&page).unwrap();
    for damage in [0, 3, 5 * 8 + 7, 90] {
        lock.write_all_at(&[0xff], damage).unwrap();
        assert_eq!(usage_of(&spool), count(&spool));
        let added = spool.add(&mut &b"e"[..], naming("e")).unwrap_err();
        assert!(added.is_full());
        assert_eq!(usage_of(&spool), count(&spool));
    }
    lock.set_len(0).unwrap();
    let again = Spool::open(folder.path(), options).unwrap();
    assert_eq!(usage_of(&again), count(&again));
    // The order goes on where it was.
    let (last, _) = again.entries().unwrap()[2];
    again.remove(last).unwrap();
    again.add(&mut &b"f"[..], naming("f")).unwrap();
    assert_eq!(keys(&again), ["b", "c", "f"]);
}
