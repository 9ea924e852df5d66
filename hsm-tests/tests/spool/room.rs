//! No room: a small file system, one that is read-only, quotas; and clocks that are wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hsm_tests::program::{self, run};
use hsm_tests::{Surroundings, alone};
use keystead::host::spool::Spool;

use crate::audit::{audit, names, options};
use crate::load;

/// Where libfaketime is.
const FAKETIME: &str = "faketime/libfaketime.so.1";

/// A spool on a file system of its own.
struct Small {
    folder: PathBuf,
    spool: PathBuf,
}

impl Small {
    /// In memory, of that size.
    fn new(folder: &Path, size: &str) -> Self {
        let disk = folder.join("disk");
        fs::create_dir(&disk).unwrap();
        mount(&["-t", "tmpfs", "-o", size, "small"], &disk);
        Self {
            folder: folder.into(),
            spool: disk.join("spool"),
        }
    }

    fn add(&self, key: &str) -> Command {
        let (_, name) = key.rsplit_once('/').unwrap();
        let file = self.folder.join(name);
        fs::write(&file, &*load::content(key)).unwrap();
        let mut command = program::command(program::keystead());
        command
            .args(["spool", "add"])
            .arg(file)
            .arg(format!("s3://{}/sensors/", load::BUCKET))
            .env("HOME", &self.folder)
            .env("KEYSTEAD_SPOOL_DIR", &self.spool)
            .env("KEYSTEAD_SPOOL_RESERVE", "0");
        command
    }

    /// Adds until that fails: what was accepted, and what was said.
    fn fill(&self, length: usize, arguments: &[&str]) -> (BTreeSet<String>, String) {
        let mut accepted = BTreeSet::new();
        for number in 0.. {
            let key = load::key(number, length);
            let finished = run(self.add(&key).args(arguments));
            if finished.code != Some(0) {
                let tmp = self.spool.join("tmp");
                assert_eq!(names(&tmp), [""; 0], "what was refused leaves nothing");
                return (accepted, finished.stderr);
            }
            accepted.insert(key);
        }
        unreachable!("there are numbers enough");
    }

    /// One sentence about what is wrong, one about what to do, and all that was accepted is there; with room again, it
    /// goes on.
    fn check(&self, accepted: &BTreeSet<String>, error: &str, expected: &str) {
        assert!(error.contains(expected), "{error}");
        assert!(error.lines().count() <= 3, "{error}");
        assert!(!accepted.is_empty());
        let spool = Spool::open(&self.spool, options()).unwrap();
        let (first, head) = spool.entries().unwrap().remove(0);
        assert!(spool.remove(first).unwrap());
        drop(spool);
        let mut left = accepted.clone();
        assert!(left.remove(&head.key));
        audit(&self.spool, &left).unwrap();
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    let mut mount = program::command(program::packaged("mount"));
    run(mount.args(arguments).arg(folder)).success();
}

#[test]
fn on_a_full_disk() {
    alone(Surroundings::with_mounts, |folder| {
        for length in [3000, 200_000] {
            let folder = folder.join(length.to_string());
            fs::create_dir(&folder).unwrap();
            let small = Small::new(&folder, "size=1m");
            let (accepted, error) = small.fill(length, &[]);
            small.check(&accepted, &error, "is full");
        }
    });
}

#[test]
fn on_a_disk_without_inodes() {
    alone(Surroundings::with_mounts, |folder| {
        let small = Small::new(folder, "size=64m,nr_inodes=90");
        let (accepted, error) = small.fill(10, &[]);
        small.check(&accepted, &error, "no room for more files");
    });
}

#[test]
fn at_the_quota() {
    alone(Surroundings::with_mounts, |folder| {
        for (name, quota, expected) in [
            ("entries", ["--max-entries", "3"], "its quota is 3 entries"),
            ("bytes", ["--max-size", "9000"], "its quota is 9000 bytes"),
        ] {
            let folder = folder.join(name);
            fs::create_dir(&folder).unwrap();
            let small = Small::new(&folder, "size=8m");
            let (accepted, error) = small.fill(2000, &quota);
            assert_eq!(accepted.len(), 3, "{error}");
            small.check(&accepted, &error, expected);
        }
    });
}

#[test]
fn on_a_disk_that_became_read_only() {
    alone(Surroundings::with_mounts, |folder| {
        let small = Small::new(folder, "size=8m");
        let keys = [load::key(0, 10), load::key(1, 10)];
        run(&mut small.add(&keys[0])).success();
        let disk = small.spool.parent().unwrap();
        mount(&["-o", "remount,ro"], disk);
        let error = run(&mut small.add(&keys[1])).failure();
        mount(&["-o", "remount,rw"], disk);
        assert!(error.contains("read-only"), "{error}");
        assert!(error.lines().count() <= 3, "{error}");
        audit(&small.spool, &BTreeSet::from([keys[0].clone()])).unwrap();
        run(&mut small.add(&keys[1])).success();
    });
}

#[test]
fn with_clocks_that_are_wrong() {
    alone(Surroundings::with_mounts, |folder| {
        let small = Small::new(folder, "size=8m");
        let keys: Vec<_> = (0..4).map(|number| load::key(number, 10)).collect();
        let times = ["2026-01-01", "1971-01-01", "2100-01-01", "2000-01-01"];
        for (key, time) in keys.iter().zip(times) {
            let mut add = small.add(key);
            add.env("LD_PRELOAD", program::library(FAKETIME))
                .env("FAKETIME", format!("@{time} 00:00:00"));
            run(&mut add).success();
        }
        // In the order in which they came.
        let spool = Spool::open(&small.spool, options()).unwrap();
        let entries = spool.entries().unwrap().into_iter();
        let found: Vec<_> = entries.map(|(_, head)| head.key).collect();
        assert_eq!(found, keys);
        audit(&small.spool, &keys.into_iter().collect()).unwrap();
    });
}
