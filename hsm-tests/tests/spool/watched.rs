//! A watched folder, and the power goes: what somebody left there is there or in the spool, and never comes torn after it
//! was taken.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use hsm_tests::chance::Chance;
use hsm_tests::power::{Change, Disk, Note, States, Tree};
use hsm_tests::{Surroundings, alone};
use keystead::core::time::UnixTime;
use keystead::host::spool::watch::{Event, Observer, Options, Watcher};
use keystead::host::spool::{Bell, Naming, Spool};

use crate::audit::{audit, forget_boot, names, options};
use crate::load;

/// What a file is called while it is being removed.
const CLAIM: &str = ".keystead.";

/// Tells which file was taken.
struct Teller(Sender<String>);

impl Observer for Teller {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Taken { name, .. } => {
                let _ = self.0.send(key(name));
            }
            Event::Polling(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn key(name: &OsStr) -> String {
    format!("sensors/{}", name.to_str().expect("names are text"))
}

fn naming(name: &OsStr, _: UnixTime) -> Result<Naming, String> {
    Ok(load::naming(&key(name)))
}

/// A program that leaves a file, by renaming it. Who takes care syncs it, and its name.
fn leave(disk: &Disk, place: &Path, key: &str, takes_care: bool) {
    let (_, name) = key.rsplit_once('/').expect("keys have a folder");
    let (made, left) = (place.join(name), place.join("watched").join(name));
    fs::write(&made, &*load::content(key)).expect("files can be written");
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    if takes_care {
        sync(&made).expect("files can be synced");
    }
    fs::rename(&made, left).expect("files can be renamed");
    if takes_care {
        sync(&place.join("watched")).expect("folders can be synced");
        disk.note(Note::Accepted(key.into()));
    }
}

#[test]
fn what_is_left_in_a_watched_folder_survives() {
    alone(Surroundings::with_mounts, |folder| {
        let place = tempfile::tempdir_in(folder).unwrap();
        let disk = Disk::mount(place.path());
        let spool = Spool::open(place.path().join("spool"), options()).unwrap();
        let watched = place.path().join("watched");
        fs::create_dir(&watched).unwrap();
        File::open(place.path()).unwrap().sync_all().unwrap();
        let keys: Vec<_> = (0..4).map(|number| load::key(number, 40)).collect();
        for (number, key) in keys.iter().enumerate() {
            leave(&disk, place.path(), key, number % 2 == 0);
        }
        let (teller, taken) = mpsc::channel();
        let options = Options {
            quiet: Duration::ZERO,
            polls: true,
        };
        let observer = Box::new(Teller(teller));
        let watcher = Watcher::open(
            &watched,
            spool.clone(),
            Box::new(naming),
            &options,
            observer,
        )
        .unwrap();
        let bell = Arc::new(Bell::new().unwrap());
        let heard = bell.clone();
        let watching = thread::spawn(move || watcher.run(&heard));
        for _ in &keys {
            let key = taken.recv_timeout(Duration::from_secs(60)).unwrap();
            disk.note(Note::Accepted(key));
        }
        bell.ring();
        watching.join().unwrap();
        // It is in the bucket, and what comes back comes after it.
        for (id, head) in spool.entries().unwrap() {
            disk.note(Note::Delivered(head.key));
            assert!(spool.remove(id).unwrap());
        }
        drop(spool);
        let (tree, log) = (disk.tree(), disk.log());
        drop(disk);
        check(&tree, &log);
    });
}

/// Looks at each state after a power loss at each moment.
fn check(tree: &Tree, log: &[Change]) {
    let chance = Chance::new();
    println!("KEYSTEAD_FAULTS_SEED={}", chance.seed);
    let mut states = States::new(tree, log, chance);
    let mut checked = 0;
    for moment in 0..=log.len() {
        for state in states.at(moment) {
            let place = tempfile::tempdir_in("/dev/shm").expect("/dev/shm can be written to");
            state.tree.write_to(place.path());
            if let Err(error) = look_over(place.path(), &log[..moment]) {
                panic!("{error}, at {moment}, without {:?}", state.lost);
            }
            checked += 1;
        }
    }
    println!("{checked} states of {} calls", log.len());
}

fn look_over(place: &Path, log: &[Change]) -> Result<(), String> {
    let (mut accepted, mut delivered) = (BTreeSet::new(), BTreeSet::new());
    for change in log {
        match change {
            Change::Note(Note::Accepted(key)) => accepted.insert(key.clone()),
            Change::Note(Note::Delivered(key)) => delivered.insert(key.clone()),
            _ => continue,
        };
    }
    let (spool, watched) = (place.join("spool"), place.join("watched"));
    if !watched.exists() {
        return Ok(());
    }
    forget_boot(&spool);
    // What is taken next: nothing that is torn follows what was taken.
    let (mut whole, mut torn) = (BTreeSet::new(), BTreeSet::new());
    for name in names(&watched) {
        let key = key(OsStr::new(name.strip_prefix(CLAIM).unwrap_or(&name)));
        let content = fs::read(watched.join(name)).map_err(|error| error.to_string())?;
        match content == *load::content(&key) {
            true => whole.insert(key),
            false => torn.insert(key),
        };
    }
    let promised: BTreeSet<_> = accepted.difference(&delivered).cloned().collect();
    let in_spool = promised.difference(&whole).cloned().collect();
    audit(&spool, &in_spool)?;
    let taken = Spool::open(&spool, options()).and_then(|spool| spool.entries());
    let taken = taken.map_err(|error| error.to_string())?;
    let mut taken: BTreeSet<_> = taken.into_iter().map(|(_, head)| head.key).collect();
    taken.extend(delivered);
    taken.extend(accepted);
    match torn.intersection(&taken).next() {
        Some(key) => Err(format!("{key} was taken, and is torn in the folder")),
        None => Ok(()),
    }
}
