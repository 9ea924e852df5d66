//! Which files are complete.

use core::time::Duration;
use std::vec;

use proptest::prelude::*;

use super::super::refusal::MOST_TOLD;
use super::*;

const QUIET: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn look(inode: u64, length: u64) -> Look {
    Look {
        modified: (0, 0),
        changed: (0, 0),
        device: 1,
        inode,
        length,
    }
}

fn chooser() -> (Chooser, &'static OsStr) {
    (Chooser::new(QUIET), OsStr::new("a"))
}

#[test]
fn renamed_in_is_complete_at_once() {
    let (mut chooser, a) = chooser();
    chooser.sign(a, Sign::MovedIn, at(1));
    assert_eq!(chooser.due(at(1)), vec![OsString::from("a")]);
    chooser.forget(a);
    assert_eq!(chooser.next(at(1)), None);
}

#[test]
fn a_written_file_waits_for_its_writer_and_then_for_quiet() {
    let (mut chooser, a) = chooser();
    for (sign, now) in [(Sign::Created, 1), (Sign::Opened, 1)] {
        chooser.sign(a, sign, at(now));
    }
    // Nothing written for a long time, but open.
    assert!(chooser.due(at(100)).is_empty());
    chooser.sign(a, Sign::Written, at(101));
    chooser.sign(a, Sign::Opened, at(101));
    chooser.sign(a, Sign::Closed, at(101));
    assert!(chooser.due(at(200)).is_empty());
    chooser.sign(a, Sign::ClosedAfterWriting, at(201));
    assert!(chooser.due(at(205)).is_empty());
    assert_eq!(chooser.next(at(205)), Some(at(1)));
    assert_eq!(chooser.due(at(206)).len(), 1);
    // It is opened once more in the last moment.
    chooser.sign(a, Sign::Written, at(206));
    assert!(chooser.due(at(300)).is_empty());
}

#[test]
fn a_linked_file_is_not_waited_for() {
    let (mut chooser, a) = chooser();
    chooser.sign(a, Sign::Created, at(1));
    assert_eq!(chooser.due(at(6)).len(), 1);
}

#[test]
fn without_events_two_looks_are_compared() {
    let (mut chooser, a) = chooser();
    for (second, length) in [(0, 1), (4, 2), (8, 2)] {
        chooser.begin_scan();
        chooser.seen(a, look(1, length), at(second));
        chooser.end_scan(false);
    }
    assert!(chooser.due(at(8)).is_empty());
    assert_eq!(chooser.due(at(9)).len(), 1);
    // It has changed between the last scan and now.
    assert!(!chooser.confirm(a, look(1, 3), at(9)));
    assert!(chooser.due(at(13)).is_empty());
    assert!(chooser.confirm(a, look(1, 3), at(14)));
    chooser.begin_scan();
    chooser.end_scan(false);
    assert_eq!(chooser.waiting(), 0);
}

#[test]
fn a_refusal_is_news_once_for_each_file() {
    let (mut chooser, a) = chooser();
    assert!(chooser.refuse(a, Refusal::Folder, look(1, 0)));
    for _ in 0..3 {
        chooser.begin_scan();
        chooser.seen(a, look(1, 0), at(1));
        chooser.end_scan(false);
        assert_eq!(chooser.waiting(), 0);
    }
    // Something in the folder has changed: it is looked at again, and is no news.
    chooser.seen(a, look(1, 9), at(2));
    assert_eq!(chooser.waiting(), 1);
    assert!(!chooser.refuse(a, Refusal::Folder, look(1, 9)));
    // Another file of that name, and another reason.
    assert!(chooser.refuse(a, Refusal::Folder, look(2, 9)));
    assert!(chooser.refuse(a, Refusal::HardLink, look(2, 9)));
    chooser.sign(a, Sign::Gone, at(3));
    assert_eq!(chooser.refused(), 0);
    assert!(chooser.refuse(a, Refusal::HardLink, look(2, 9)));
}

#[test]
fn what_is_known_is_bounded() {
    let mut chooser = Chooser::new(QUIET);
    let name = |number: usize| OsString::from(std::format!("{number}"));
    for number in 0..MOST_FILES + 10 {
        chooser.sign(&name(number), Sign::MovedIn, at(1));
    }
    assert_eq!(chooser.waiting(), MOST_FILES);
    assert!(!chooser.wants_scan());
    for name in chooser.due(at(1)) {
        chooser.forget(&name);
    }
    assert!(chooser.wants_scan());
    chooser.begin_scan();
    assert!(!chooser.wants_scan());
    let news = |number: &usize| chooser.refuse(&name(*number), Refusal::Link, look(1, 1));
    assert_eq!((0..MOST_TOLD + 10).filter(news).count(), MOST_TOLD);
}

fn signs() -> impl Strategy<Value = Vec<(Sign, u64)>> {
    let sign = prop::sample::select(vec![
        Sign::MovedIn,
        Sign::Created,
        Sign::Opened,
        Sign::Written,
        Sign::ClosedAfterWriting,
        Sign::Closed,
        Sign::Changed,
        Sign::Gone,
    ]);
    prop::collection::vec((sign, 0..8_u64), 0..40)
}

proptest! {
    /// Whatever happens: a file is due at once only if it was renamed in, never while somebody is known to
    /// write, and at last when it was closed or its events were doubted.
    #[test]
    fn complete_files_only(signs in signs()) {
        let (mut chooser, a) = chooser();
        let mut now = at(0);
        let (mut writes, mut last, mut moved) = (false, at(0), false);
        for (sign, pause) in signs {
            now += at(pause);
            chooser.sign(a, sign, now);
            match sign {
                Sign::Written => (writes, moved) = (true, false),
                Sign::Created => (writes, moved) = (false, false),
                Sign::ClosedAfterWriting => (writes, moved) = (false, false),
                Sign::MovedIn => (writes, moved) = (false, true),
                Sign::Gone => (writes, moved) = (false, false),
                Sign::Opened | Sign::Closed | Sign::Changed => {}
            }
            if !matches!(sign, Sign::Opened | Sign::Closed) {
                last = now;
            }
            let is_due = !chooser.due(now).is_empty();
            prop_assert!(!(is_due && writes));
            prop_assert!(!is_due || moved || now >= last + QUIET);
        }
        if chooser.waiting() == 1 {
            chooser.doubt(now);
            prop_assert_eq!(chooser.due(now + QUIET).len(), 1);
        }
    }
}

#[test]
fn however_many_cannot_be_removed_none_is_taken_again() {
    let mut chooser = Chooser::new(QUIET);
    let name = |number: usize| OsString::from(std::format!("{number}"));
    let all = 0..MOST_TOLD + 1000;
    let scan = |chooser: &mut Chooser, present: core::ops::Range<usize>| {
        chooser.begin_scan();
        for number in present {
            chooser.seen(&name(number), look(number as u64, 1), at(1));
        }
        chooser.end_scan(false);
        chooser.waiting()
    };
    for number in all.clone() {
        let is_told = chooser.refuse(&name(number), Refusal::Fixed, look(number as u64, 1));
        assert_eq!(is_told, number < MOST_TOLD);
    }
    for _ in 0..3 {
        assert_eq!(scan(&mut chooser, all.clone()), 0);
    }
    // What has changed is another file.
    chooser.begin_scan();
    chooser.seen(&name(MOST_TOLD), look(MOST_TOLD as u64, 2), at(2));
    assert_eq!(chooser.waiting(), 1);
    chooser.end_scan(false);
    // What was away is forgotten.
    assert_eq!(scan(&mut chooser, MOST_TOLD..MOST_TOLD + 2), 2);
}
