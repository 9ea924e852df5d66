//! Many processes at once, and those that are killed. They are this very test program, started again with the one
//! test that is their part.

use core::time::Duration;
use std::collections::BTreeSet;
use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::string::{String, ToString as _};
use std::thread;
use std::time::Instant;
use std::vec::Vec;

use super::*;

/// Tells such a process its part, and its folder.
const PART: &str = "KEYSTEAD_SPOOL_PART";

fn start(part: &str, folder: &Path) -> Child {
    let this = env::current_exe().unwrap();
    let test = "host::spool::tests::processes::a_part_of_another_test";
    Command::new(this)
        .args(["--exact", test, "--nocapture"])
        .env(PART, std::format!("{part} {}", folder.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_part_of_another_test() {
    let Ok(part) = env::var(PART) else {
        return;
    };
    let (part, folder) = part.split_once(' ').unwrap();
    match part {
        "forever" => add_forever(folder.as_ref()),
        number => add_some(folder.as_ref(), number.parse().unwrap()),
    }
}

const THREADS: usize = 3;
const EACH: usize = 20;
const PROCESSES: usize = 4;

/// Half of them are the same in all threads of all processes.
fn add_some(folder: &Path, process: usize) {
    let spool = Spool::open(folder, limited()).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let spool = &spool;
            scope.spawn(move || {
                for index in 0..EACH {
                    let key = match index % 2 {
                        0 => std::format!("shared/{index}"),
                        _ => std::format!("own/{process}/{thread}/{index}"),
                    };
                    // Some of them are larger than what is buffered.
                    let content = key.repeat(1 + index * 1000);
                    add_until_accepted(spool, &content, &key);
                }
            });
        }
    });
}

fn add_until_accepted(spool: &Spool, content: &str, key: &str) {
    let deadline = Instant::now() + Duration::from_secs(100);
    while let Err(error) = spool.add(&mut content.as_bytes(), naming(key)) {
        assert!(error.is_full(), "{error}");
        assert!(Instant::now() < deadline, "there is never room");
        thread::yield_now();
    }
}

const MAX_BYTES: u64 = 2_000_000;
const MAX_ENTRIES: u64 = 30;

fn limited() -> Options {
    Options {
        max_bytes: Some(MAX_BYTES),
        max_entries: Some(MAX_ENTRIES),
        ..options()
    }
}

#[test]
fn all_arrive_and_the_quota_holds() {
    let folder = memory();
    let spool = Spool::open(folder.path(), limited()).unwrap();
    let mut children: Vec<_> = (0..PROCESSES)
        .map(|process| start(&process.to_string(), folder.path()))
        .collect();
    let mut arrived = BTreeSet::new();
    let mut news = News::new();
    let mut is_over = false;
    while !is_over {
        is_over = children
            .iter_mut()
            .all(|child| child.try_wait().unwrap().is_some());
        // Nobody gets or gives up room meanwhile.
        let counted = spool.0.locked(|_| Ok(count(&spool)));
        let (bytes, entries) = counted.unwrap();
        assert!(
            bytes <= MAX_BYTES && entries <= MAX_ENTRIES,
            "{bytes} {entries}"
        );
        for queued in news.look(&spool).unwrap() {
            let entry = spool.open_entry(queued.id).unwrap().unwrap();
            let key = &entry.head.key;
            let text = String::from_utf8(content(&entry)).unwrap();
            assert_eq!(text, key.repeat(text.len() / key.len()));
            arrived.insert(key.clone());
            assert!(spool.remove(queued.id).unwrap());
        }
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(arrived.len(), EACH / 2 + PROCESSES * THREADS * EACH / 2);
    assert_eq!(keys(&spool), [""; 0]);
    assert_eq!(usage_of(&spool), (0, 0));
    assert_eq!(count(&spool), (0, 0));
}

fn add_forever(folder: &Path) {
    let spool = Spool::open(folder, options()).unwrap();
    for index in 0.. {
        let key = std::format!("{}/{index}", std::process::id());
        let content = key.repeat(1 + index % 5 * 50_000);
        let added = spool.add(&mut content.as_bytes(), naming(&key)).unwrap();
        if index % 3 == 0 {
            spool.set_aside(added.id, &reason()).unwrap();
        }
        if index % 5 == 0 {
            spool.retry(&Selection::All).unwrap();
        }
        if index % 7 == 0 {
            spool.remove(added.id).unwrap();
        }
    }
}

#[test]
fn what_is_killed_leaves_nothing_and_loses_nothing() {
    let folder = memory();
    let mut known = BTreeSet::new();
    for round in 0..8 {
        let mut child = start("forever", folder.path());
        // Until it is in the middle of it.
        let spool = Spool::open(folder.path(), options()).unwrap();
        let wanted = known.len() + 3 + round;
        let deadline = Instant::now() + Duration::from_secs(60);
        while spool.queue().unwrap().len() < wanted {
            assert!(Instant::now() < deadline, "nothing is added");
            thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let spool = Spool::open(folder.path(), options()).unwrap();
        spool.retry(&Selection::All).unwrap();
        assert_eq!(folder.path().join("tmp").read_dir().unwrap().count(), 0);
        assert_eq!(usage_of(&spool), count(&spool));
        let found = keys(&spool);
        assert_eq!(found.len() as u64, usage_of(&spool).1);
        for (id, head) in spool.entries().unwrap() {
            let entry = spool.open_entry(id).unwrap().unwrap();
            assert!(content(&entry).starts_with(head.key.as_bytes()));
        }
        let found: BTreeSet<_> = found.into_iter().collect();
        assert!(found.is_superset(&known));
        known = found;
    }
}
