//! A process is killed at each of its calls, before it and after it. Another one goes on, and then the power
//! goes as well.

use std::path::Path;

use hsm_tests::alone::{my_part, part};
use hsm_tests::chance::Chance;
use hsm_tests::power::{Disk, Fault, States, Trouble};
use hsm_tests::{Surroundings, alone};
use rustix::io::Errno;

use crate::audit::audit;
use crate::power::{check_moments, promised};
use crate::work::{Step, listen, work, work_aloud};

/// What a call may fail with: the disk, the user's quota, the mount, permissions, the device, open files.
const ERRORS: [Errno; 6] = [
    Errno::NOSPC,
    Errno::DQUOT,
    Errno::ROFS,
    Errno::ACCESS,
    Errno::IO,
    Errno::MFILE,
];

/// What the second process does.
const AFTERWARDS: [Step; 2] = [Step::Add(900, 30), Step::Retry];

/// Runs `steps` once for each call that they make, and is killed there.
fn kill_everywhere(folder: &Path, before: &[Step], steps: &[Step]) {
    match my_part().as_deref() {
        Some("first") => return work_aloud(&spool(folder), steps),
        Some("second") => return work_aloud(&spool(folder), &AFTERWARDS),
        _ => {}
    }
    let mut chance = Chance::new();
    println!("KEYSTEAD_FAULTS_SEED={}", chance.seed);
    let (mut kills, mut states) = (0, 0);
    for trouble in [Trouble::KillBefore, Trouble::KillAfter] {
        for at in 0.. {
            let disk = Disk::mount(&place(folder));
            // To open a spool is to make it.
            if !before.is_empty() {
                work(&spool(folder), before, |note| disk.note(note)).expect("nothing is wrong yet");
            }
            disk.fail(Fault { at, trouble });
            let is_through = listen(&mut part("first"), |note| disk.note(note));
            disk.heal();
            if is_through {
                break;
            }
            kills += 1;
            // As if the machine stayed up, with everything in its memory.
            let (log, tree) = (disk.log(), disk.tree());
            let here = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
            tree.write_to(here.path());
            if let Err(error) = audit(&here.path().join("spool"), &promised(&log)) {
                panic!(
                    "killed at call {at}, {trouble:?}: {error}\n{:#?}",
                    disk.calls()
                );
            }
            // Somebody goes on, and then the power goes.
            let killed = log.len();
            assert!(
                listen(&mut part("second"), |note| disk.note(note)),
                "{at}, {trouble:?}"
            );
            let (log, tree) = (disk.log(), disk.tree());
            let mut all = States::new(&tree, &log, Chance::of(chance.below(u64::MAX)));
            states += check_moments(&mut all, &log, moments(killed, log.len(), &mut chance));
        }
    }
    println!("killed {kills} times, {states} states after power losses");
}

/// The last moment, and some of those before it; all of them with `KEYSTEAD_SPOOL_THOROUGH`.
fn moments(first: usize, last: usize, chance: &mut Chance) -> Vec<usize> {
    let is_thorough = std::env::var_os("KEYSTEAD_SPOOL_THOROUGH").is_some();
    let mut moments: Vec<_> = (first..last)
        .filter(|_| is_thorough || chance.below(8) == 0)
        .collect();
    moments.push(last);
    moments
}

/// Each call fails once, and so does each with all that follow: whoever is told that something is safe can rely on
/// it, and there is one clear error for the rest.
fn fail_everywhere(folder: &Path, steps: &[Step]) {
    for errno in ERRORS {
        for trouble in [Trouble::Fail(errno), Trouble::FailFrom(errno)] {
            for at in 0.. {
                let disk = Disk::mount(&place(folder));
                disk.fail(Fault { at, trouble });
                let done = work(&spool(folder), steps, |note| disk.note(note));
                let calls = disk.calls();
                if let Err(error) = &done {
                    let text = error.to_string();
                    assert!(text.contains("spool"), "{text}");
                    assert!(!text.contains('\n'), "{text}");
                    assert!(
                        !error.remedy().is_empty() || errno == Errno::MFILE,
                        "{text} at call {at} of {calls:#?}"
                    );
                }
                disk.heal();
                let here = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
                disk.tree().write_to(here.path());
                if let Err(error) = audit(&here.path().join("spool"), &promised(&disk.log())) {
                    panic!("call {at}, {trouble:?}: {error}\n{calls:#?}");
                }
                if calls.len() <= at {
                    break;
                }
            }
        }
    }
}

fn place(folder: &Path) -> std::path::PathBuf {
    let place = folder.join("disk");
    std::fs::create_dir_all(&place).expect("the test's folder can be written to");
    place
}

fn spool(folder: &Path) -> std::path::PathBuf {
    folder.join("disk/spool")
}

#[test]
fn while_a_spool_is_made_and_added_to() {
    alone(Surroundings::with_mounts, |folder| {
        kill_everywhere(folder, &[], &[Step::Add(0, 10), Step::Add(1, 140_000)]);
    });
}

#[test]
fn while_several_are_added_together() {
    alone(Surroundings::with_mounts, |folder| {
        kill_everywhere(
            folder,
            &[Step::Add(0, 5)],
            &[Step::Batch(1), Step::Batch(5)],
        );
    });
}

#[test]
fn while_entries_are_delivered_and_set_aside() {
    alone(Surroundings::with_mounts, |folder| {
        let before = [Step::Add(0, 10), Step::Add(1, 10), Step::Add(2, 10)];
        let steps = [
            Step::SetAside(0, 10),
            Step::Deliver(1, 10),
            Step::Add(0, 10),
            Step::Retry,
            Step::SetAside(2, 10),
            Step::Discard(2, 10),
        ];
        kill_everywhere(folder, &before, &steps);
    });
}

#[test]
fn while_what_was_set_aside_is_added_again() {
    alone(Surroundings::with_mounts, |folder| {
        let before = [Step::Add(0, 10), Step::SetAside(0, 10)];
        kill_everywhere(folder, &before, &[Step::Add(0, 10)]);
    });
}

#[test]
fn calls_that_fail_leave_nothing_and_lose_nothing() {
    alone(Surroundings::with_mounts, |folder| {
        let steps = [
            Step::Add(0, 10),
            Step::Add(1, 140_000),
            Step::Batch(2),
            Step::SetAside(0, 10),
            Step::Add(0, 10),
            Step::Retry,
        ];
        fail_everywhere(folder, &steps);
    });
}
