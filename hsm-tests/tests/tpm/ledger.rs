//! What a process that is killed leaves in a TPM without a resource manager is removed by the next.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use hsm_tests::Swtpm;
use hsm_tests::alone::{Surroundings, alone, my_part, part};
use keystead::backend::tpm::{
    Access, Destination, Device as _, Done, GenerateKey, KeyAlgorithm, KeyPlace, Local, OpenKey,
    Parent, Task,
};
use keystead::core::key::Scheme;

use crate::operator::Values;
use crate::support::*;

fn access(folder: &Path) -> Access {
    Access {
        tcti: Swtpm::tcti_in(folder),
        state: Some(folder.join("keystead")),
        plain_auth: false,
        timeout: Duration::from_secs(30),
    }
}

fn key_file(folder: &Path, name: &str) -> OpenKey {
    OpenKey {
        key: KeyPlace::File {
            name: name.into(),
            contents: fs::read(folder.join(name)).unwrap(),
        },
        ..request()
    }
}

/// A TPM with a key in a file, one with a policy in a file, and one with an auth value at a handle.
fn prepare(folder: &Path) -> Swtpm {
    let tpm = Swtpm::at(folder);
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|noda|sign", "keypin", HANDLE);
    for (name, policy_pcrs) in [("file", vec![]), ("policy", vec![7])] {
        let task = Task::Generate(GenerateKey {
            to: Destination::File,
            parent: Parent::StorageRoot,
            algorithm: KeyAlgorithm::P256,
            with_auth: false,
            counts_towards_lockout: false,
            policy_pcrs,
        });
        let made = Local::new(access(folder)).perform(&task, &mut Values::none());
        let Ok(Done::Generated(key)) = made else {
            panic!("{made:?}");
        };
        fs::write(folder.join(name), key.file.unwrap()).unwrap();
    }
    tpm
}

/// What a daemon does: it signs until it is killed.
fn sign_for_ever(folder: &Path, which: &str) {
    let (request, auth) = match which {
        "handle" => (request(), Some("keypin")),
        name => (key_file(folder, name), None),
    };
    let mut opened = open(&access(folder), &request, auth).unwrap();
    println!("open");
    loop {
        signs(&mut opened.signer, Scheme::EcdsaSha256);
        println!("signed");
    }
}

/// Starts one that signs, and kills it after it said so often that it did something.
#[track_caller]
fn killed_after(which: &str, lines: usize) {
    let mut child = signing(which);
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut said = output
        .lines()
        .map_while(Result::ok)
        .filter(|line| line == "open" || line == "signed");
    assert_eq!(said.by_ref().take(lines).count(), lines);
    // Its output is not closed before: it would end by itself then, and in order.
    child.kill().unwrap();
    drop(said);
    child.wait().unwrap();
}

fn signing(which: &str) -> Child {
    part(which).stdout(Stdio::piped()).spawn().unwrap()
}

/// What is written down of what somebody has in a TPM.
fn records(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("keystead/tpm-handles"));
    entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect()
}

fn no_surroundings(_: &Path) -> Surroundings {
    Surroundings::default()
}

#[test]
fn the_next_one_removes_what_is_left_and_nothing_else() {
    alone(no_surroundings, |folder| {
        if let Some(which) = my_part() {
            return sign_for_ever(folder, &which);
        }
        let tpm = prepare(folder);
        // Somebody else's, which stays.
        tpm.tool("createprimary -Q -C o -G rsa2048 -c other.ctx");
        tpm.tool("startauthsession -S other.session");
        let others = tpm.left();
        assert_eq!(others.objects.len(), 1);
        for lines in 1..4 {
            killed_after("file", lines);
            let left = tpm.left();
            assert_eq!(left.objects.len(), 2, "{left:?}");
            assert_eq!(records(folder).len(), 1);
            // The next one has nothing to do with that key.
            let mut opened = open(&access(folder), &request(), Some("keypin")).unwrap();
            signs(&mut opened.signer, Scheme::EcdsaSha256);
            drop(opened);
            assert_eq!(tpm.left(), others);
            assert!(records(folder).is_empty());
        }
    });
}

#[test]
fn sessions_are_removed_as_well() {
    alone(no_surroundings, |folder| {
        if let Some(which) = my_part() {
            return sign_for_ever(folder, &which);
        }
        let tpm = prepare(folder);
        // As many as would fill it, and one more.
        for which in ["handle", "policy", "handle", "policy"] {
            killed_after(which, 3);
            assert_eq!(tpm.left().loaded_sessions.len(), 1);
        }
        let mut opened = open(&access(folder), &key_file(folder, "file"), None).unwrap();
        signs(&mut opened.signer, Scheme::EcdsaSha256);
        drop(opened);
        tpm.assert_nothing_left();
        assert!(records(folder).is_empty());
    });
}

#[test]
fn sessions_of_others_stay() {
    alone(no_surroundings, |folder| {
        if let Some(which) = my_part() {
            return sign_for_ever(folder, &which);
        }
        let tpm = prepare(folder);
        // Of it nothing is written down where the next of us looks.
        let elsewhere = Access {
            state: Some(folder.join("elsewhere")),
            ..access(folder)
        };
        let mut other = open(&elsewhere, &request(), Some("keypin")).unwrap();
        signs(&mut other.signer, Scheme::EcdsaSha256);
        let others = tpm.left();
        assert_eq!(others.loaded_sessions.len(), 1);
        killed_after("handle", 3);
        assert_eq!(tpm.left().loaded_sessions.len(), 2);
        drop(open(&access(folder), &key_file(folder, "file"), None).unwrap());
        assert_eq!(tpm.left(), others);
        let (_, commands) = tpm.commands_of(|| signs(&mut other.signer, Scheme::EcdsaSha256));
        assert_eq!(commands, ["Sign"]);
    });
}

#[test]
fn one_that_is_killed_while_it_signs_leaves_nothing_for_good() {
    alone(no_surroundings, |folder| {
        if let Some(which) = my_part() {
            return sign_for_ever(folder, &which);
        }
        let tpm = prepare(folder);
        for which in ["file", "policy", "handle"] {
            // Wherever it is just then.
            for _ in 0..5 {
                let mut child = signing(which);
                let mut line = String::new();
                let mut output = BufReader::new(child.stdout.take().unwrap());
                while !line.contains("running") {
                    output.read_line(&mut line).unwrap();
                }
                child.kill().unwrap();
                child.wait().unwrap();
            }
        }
        drop(open(&access(folder), &request(), Some("keypin")).unwrap());
        tpm.assert_nothing_left();
    });
}

#[test]
fn after_a_reset_of_the_tpm_there_is_nothing_to_look_for() {
    alone(no_surroundings, |folder| {
        if let Some(which) = my_part() {
            return sign_for_ever(folder, &which);
        }
        let mut tpm = prepare(folder);
        killed_after("file", 2);
        assert_eq!(records(folder).len(), 1);
        tpm.restart();
        tpm.tool("createprimary -Q -C o -G rsa2048 -c other.ctx");
        let others = tpm.left();
        let file = key_file(folder, "file");
        let (opened, commands) = tpm.commands_of(|| open(&access(folder), &file, None));
        signs(&mut opened.unwrap().signer, Scheme::EcdsaSha256);
        assert!(!commands.iter().any(|command| command == "FlushContext"));
        assert!(records(folder).is_empty());
        assert_eq!(tpm.left(), others);
    });
}

#[test]
fn who_has_a_resource_manager_writes_nothing_down() {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|noda|sign", "keypin", HANDLE);
    let access = tpm.access();
    // A key at a handle in clear loads nothing, so that there is nothing to write down either.
    let plain = Access {
        plain_auth: true,
        ..access.clone()
    };
    let folder = access.state.clone().unwrap().join("tpm-handles");
    let mut opened = open(&plain, &request(), Some("keypin")).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    assert!(!folder.exists());
    drop(opened);
    let mut opened = open(&access, &request(), Some("keypin")).unwrap();
    signs(&mut opened.signer, Scheme::EcdsaSha256);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    drop(opened);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}
