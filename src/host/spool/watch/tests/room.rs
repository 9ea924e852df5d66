//! Where there is no room.

use super::*;
use crate::host::spool::WhenFull;

#[test]
fn a_full_spool_leaves_files_where_they_are() {
    let places = places_with(spool::Options {
        max_bytes: Some(20_000),
        ..spool::Options::default()
    });
    let watched = Watched::start(&places.watched, &places.spool, &never_quiet());
    for name in ["a", "b"] {
        places.move_in(name, &vec![b'x'; 10_000]);
    }
    assert_eq!(watched.taken(), "a");
    places.move_in("huge", &vec![b'x'; 40_000]);
    assert_eq!(watched.next(), Told::Full);
    assert_eq!(places.left(), ["b", "huge"]);
    // Nothing was refused by the spool: nothing was lost.
    assert_eq!(places.spool.usage().unwrap().rejected, 0);
    let (id, _) = places.spool.entries().unwrap()[0];
    places.spool.remove(id).unwrap();
    let mut told = [watched.next(), watched.next(), watched.next()];
    told.sort_by_key(|told| format!("{told:?}"));
    let refused = Told::Refused("huge".into(), Refusal::TooLarge);
    assert_eq!(told, [Told::Recovered, refused, Told::Taken("b".into())]);
    assert_eq!(places.left(), ["huge"]);
}

#[test]
fn a_file_for_which_there_is_no_room_does_not_hold_up_smaller_ones() {
    let places = places_with(spool::Options {
        max_bytes: Some(1_000_000),
        ..spool::Options::default()
    });
    let name = naming(OsStr::new("waiting"), UnixTime::from_secs(0)).unwrap();
    let waiting = places
        .spool
        .add(&mut &[b'x'; 500_000][..], name)
        .unwrap()
        .id;
    for (name, length, seconds) in [
        ("a", 600_000, 1),
        ("b", 550_000, 2),
        ("c", 10, 3),
        ("d", 20, 4),
    ] {
        places.move_in(name, &vec![b'x'; length]);
        let file = File::open(places.watched.join(name)).unwrap();
        let time = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(time).unwrap();
    }
    let watched = Watched::start(&places.watched, &places.spool, &soon_quiet(false));
    let told = [watched.next(), watched.next(), watched.next()];
    assert_eq!(
        told,
        [Told::Taken("c".into()), Told::Taken("d".into()), Told::Full]
    );
    assert_eq!(places.left(), ["a", "b"]);
    // With room the oldest goes first.
    places.spool.remove(waiting).unwrap();
    assert_eq!(watched.taken(), "a");
    assert_eq!(places.left(), ["b"]);
}

#[test]
fn where_the_oldest_are_dropped_files_are_taken_all_the_same() {
    let places = places_with(spool::Options {
        max_bytes: Some(30_000),
        when_full: WhenFull::DropOldest,
        ..spool::Options::default()
    });
    let watched = Watched::start(&places.watched, &places.spool, &never_quiet());
    for name in ["a", "b", "c"] {
        places.move_in(name, &vec![b'x'; 10_000]);
        assert_eq!(watched.taken(), name);
    }
    assert_eq!(places.spool.entries().unwrap().len(), 2);
}
