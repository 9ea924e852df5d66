//! The power goes: of what was not synced anything may be missing.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use hsm_tests::chance::Chance;
use hsm_tests::power::{Change, Disk, Note, States, Tree};
use hsm_tests::{Surroundings, alone};
use keystead::core::time::UnixTime;
use keystead::host::spool::{EntryId, Reason, Selection, Spool};

use crate::audit::{audit, forget_boot, options};
use crate::load;

/// A spool on a disk that records.
struct Scene {
    disk: Disk,
    spool: Spool,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(folder: &Path) -> Self {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let disk = Disk::mount(folder.path());
        let spool = Spool::open(folder.path().join("spool"), options()).unwrap();
        Self {
            disk,
            spool,
            folder,
        }
    }

    fn add(&self, key: &str) -> EntryId {
        let content = load::content(key);
        let added = self
            .spool
            .add(&mut &content[..], load::naming(key))
            .unwrap();
        self.disk.note(Note::Accepted(key.into()));
        added.id
    }

    fn deliver(&self, id: EntryId, key: &str) {
        self.disk.note(Note::Delivered(key.into()));
        assert!(self.spool.remove(id).unwrap());
    }

    fn set_aside(&self, id: EntryId) {
        let reason = Reason {
            code: "KeyTooLongError".into(),
            what: "your key is too long".into(),
            at: UnixTime::from_secs(1_700_000_000),
        };
        assert!(self.spool.set_aside(id, &reason).unwrap());
    }

    /// Every state after a power loss at every moment; each of them is looked over.
    fn check(self, chance: Chance) {
        let Self {
            disk,
            spool,
            folder,
        } = self;
        drop(spool);
        let (tree, log) = (disk.tree(), disk.log());
        drop(disk);
        drop(folder);
        check(&tree, &log, chance);
    }
}

/// Checks the states of all moments, and says how many there were.
fn check(tree: &Tree, log: &[Change], chance: Chance) {
    println!("KEYSTEAD_FAULTS_SEED={}", chance.seed);
    let began = SystemTime::now();
    let mut states = States::new(tree, log, chance);
    let checked = check_moments(&mut states, log, 0..=log.len());
    println!(
        "{checked} states of {} calls in {:?}",
        log.len(),
        began.elapsed().unwrap_or_default()
    );
}

/// Checks the states of some moments; gives their number.
pub fn check_moments(
    states: &mut States<'_>,
    log: &[Change],
    moments: impl IntoIterator<Item = usize>,
) -> usize {
    let (mut checked, mut wrong) = (0, Vec::new());
    for moment in moments {
        let promised = promised(&log[..moment]);
        for state in states.at(moment) {
            let place = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
            state.tree.write_to(place.path());
            let folder = place.path().join("spool");
            forget_boot(&folder);
            if let Err(error) = audit(&folder, &promised) {
                wrong.push(format!("{error}\n{}", account(log, moment, &state.lost)));
            }
            checked += 1;
        }
        assert!(wrong.len() < 5, "{}", wrong.join("\n\n"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    checked
}

/// What has to be there: what was accepted and not delivered.
pub fn promised(log: &[Change]) -> BTreeSet<String> {
    let mut promised = BTreeSet::new();
    for change in log {
        match change {
            Change::Note(Note::Accepted(key)) => promised.insert(key.clone()),
            Change::Note(Note::Delivered(key)) => promised.remove(key),
            _ => continue,
        };
    }
    promised
}

/// The last calls before a power loss, and which of them were lost.
fn account(log: &[Change], moment: usize, lost: &[usize]) -> String {
    let first = lost.first().copied().unwrap_or(moment);
    let lines = (first.min(moment.saturating_sub(12))..moment).map(|position| {
        let what = match &log[position] {
            Change::Write(file, at, bytes) => {
                format!("Write({file}, {} bytes at {at})", bytes.len())
            }
            other => format!("{other:?}"),
        };
        let mark = if lost.contains(&position) { "LOST" } else { "" };
        format!("{position:5} {mark:4} {what}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_was_added_survives() {
    alone(Surroundings::with_mounts, |folder| {
        let scene = Scene::new(folder);
        // Empty, small, and larger than what is buffered.
        for (number, length) in [0, 10, 140_000].into_iter().enumerate() {
            let key = load::key(number, length);
            scene.add(&key);
            // The same again.
            scene.add(&key);
        }
        scene.check(Chance::new());
    });
}

#[test]
fn what_is_larger_than_the_first_reservation_survives() {
    alone(Surroundings::with_mounts, |folder| {
        let scene = Scene::new(folder);
        scene.add(&load::key(0, 1_100_000));
        scene.check(Chance::new());
    });
}

#[test]
fn what_was_added_together_survives() {
    alone(Surroundings::with_mounts, |folder| {
        let scene = Scene::new(folder);
        for round in 0..3 {
            let keys: Vec<_> = (0..4)
                .map(|number| load::key(10 * round + number, 50))
                .collect();
            let mut batch = scene.spool.batch();
            for key in &keys {
                let mut writer = scene.spool.writer();
                writer.append(&load::content(key)).unwrap();
                batch.add(writer, load::naming(key)).unwrap();
            }
            assert_eq!(batch.commit().unwrap().len(), keys.len());
            for key in keys {
                scene.disk.note(Note::Accepted(key));
            }
        }
        scene.check(Chance::new());
    });
}

#[test]
fn what_is_delivered_set_aside_and_tried_again_is_always_somewhere() {
    alone(Surroundings::with_mounts, |folder| {
        let scene = Scene::new(folder);
        let keys: Vec<_> = (0..4).map(|number| load::key(number, 64)).collect();
        let ids: Vec<_> = keys.iter().map(|key| scene.add(key)).collect();
        scene.set_aside(ids[0]);
        scene.deliver(ids[1], &keys[1]);
        scene.set_aside(ids[2]);
        // It is there twice, and the older one gives way.
        scene.add(&keys[2]);
        assert_eq!(scene.spool.retry(&Selection::All).unwrap(), 2);
        scene.deliver(ids[2], &keys[2]);
        scene.set_aside(ids[3]);
        scene.disk.note(Note::Delivered(keys[3].clone()));
        assert_eq!(scene.spool.discard(&Selection::All).unwrap(), 1);
        scene.check(Chance::new());
    });
}

#[test]
fn a_spool_that_was_opened_by_many_survives() {
    alone(Surroundings::with_mounts, |folder| {
        let scene = Scene::new(folder);
        for number in 0..3 {
            let another = Spool::open(scene.spool.path(), options()).unwrap();
            let key = load::key(number, 20);
            another
                .add(&mut &load::content(&key)[..], load::naming(&key))
                .unwrap();
            scene.disk.note(Note::Accepted(key));
        }
        scene.check(Chance::new());
    });
}
