//! The disk that loses its power, by programs whose promises are known.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hsm_tests::chance::Chance;
use hsm_tests::power::{Disk, Fault, Note, States, Trouble};
use hsm_tests::program::{self, run};
use hsm_tests::{Surroundings, alone};
use rustix::io::Errno;

/// What a file may hold after a power loss at the end of a shell's script, and after each earlier moment.
fn after(folder: &Path, script: &str) -> BTreeSet<Option<String>> {
    let folder = tempfile::tempdir_in(folder).unwrap();
    let disk = Disk::mount(folder.path());
    shell(folder.path(), script).success();
    disk.note(Note::Accepted("all".into()));
    let (tree, log) = (disk.tree(), disk.log());
    drop(disk);
    let mut states = States::new(&tree, &log, Chance::of(1));
    let mut found = BTreeSet::new();
    for moment in 0..=log.len() {
        for state in states.at(moment) {
            if moment < log.len() {
                continue;
            }
            let place = tempfile::tempdir().unwrap();
            state.tree.write_to(place.path());
            found.insert(fs::read_to_string(place.path().join("file")).ok());
        }
    }
    found
}

fn shell(folder: &Path, script: &str) -> program::Finished {
    let mut shell = program::command("sh");
    run(shell.args(["-ec", script]).current_dir(folder))
}

fn texts(all: &[Option<&str>]) -> BTreeSet<Option<String>> {
    all.iter().map(|text| text.map(str::to_owned)).collect()
}

#[test]
fn what_is_not_synced_may_be_lost_in_every_way() {
    alone(Surroundings::with_mounts, |folder| {
        let found = after(folder, "printf new >tmp; mv tmp file");
        assert_eq!(
            found,
            texts(&[None, Some(""), Some("n"), Some("\0\0\0"), Some("new")])
        );
    });
}

#[test]
fn bytes_without_their_name_are_lost() {
    alone(Surroundings::with_mounts, |folder| {
        let found = after(folder, "printf new >tmp; sync tmp; mv tmp file");
        assert_eq!(found, texts(&[None, Some("new")]));
    });
}

#[test]
fn a_name_without_its_bytes_is_not_enough() {
    alone(Surroundings::with_mounts, |folder| {
        let found = after(folder, "printf new >tmp; mv tmp file; sync .");
        assert_eq!(
            found,
            texts(&[Some(""), Some("n"), Some("\0\0\0"), Some("new")])
        );
    });
}

#[test]
fn what_is_synced_stays() {
    alone(Surroundings::with_mounts, |folder| {
        let found = after(
            folder,
            "printf old >file; sync file .; printf new >tmp; sync tmp; mv tmp file; sync .",
        );
        assert_eq!(found, texts(&[Some("new")]));
    });
}

#[test]
fn a_call_fails_and_the_caller_is_killed_where_it_was_asked_for() {
    alone(Surroundings::with_mounts, |folder| {
        let folder = tempfile::tempdir_in(folder).unwrap();
        let disk = Disk::mount(folder.path());
        let at = |at, trouble| disk.fail(Fault { at, trouble });
        at(1, Trouble::Fail(Errno::NOSPC));
        let error = shell(folder.path(), "printf a | tee first >log").failure();
        assert!(error.contains("No space left"), "{error}");
        at(0, Trouble::KillBefore);
        assert_eq!(shell(folder.path(), "printf a >second").code, None);
        assert!(!folder.path().join("second").exists());
        at(0, Trouble::KillAfter);
        assert_eq!(shell(folder.path(), "printf a >second").code, None);
        assert_eq!(fs::read(folder.path().join("second")).unwrap(), b"");
        at(0, Trouble::FailFrom(Errno::ROFS));
        for _ in 0..2 {
            let error = shell(folder.path(), "printf a >third").failure();
            assert!(error.contains("Read-only file system"), "{error}");
        }
        disk.heal();
        shell(folder.path(), "printf a >third").success();
        let calls = disk.calls();
        assert!(calls.contains(&"create third".to_owned()), "{calls:?}");
    });
}
