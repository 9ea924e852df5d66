//! What the program does to itself before anything else.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use hsm_tests::processes::folder;
use hsm_tests::{program, run};

use super::signer;

/// Somebody who is not root.
const NOBODY: u32 = 65534;

/// Starts a program as somebody whose processes are not root's anyway.
fn start(program: &std::path::Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.spawn().unwrap()
}

/// Who owns the memory of a process: root, if it is protected.
fn owner(process: &Child) -> u32 {
    fs::metadata(folder(process.id()).join("mem"))
        .unwrap()
        .uid()
}

#[test]
fn a_worker_protects_its_memory_and_has_bounds() {
    // Where anybody can start it.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("keystead-signer");
    fs::copy(signer(), &copy).unwrap();

    let mut worker = start(&copy, &["worker", "0"]);
    let mut greeting = String::new();
    let mut output = BufReader::new(worker.stdout.take().unwrap());
    output.read_line(&mut greeting).unwrap();
    assert!(greeting.starts_with("keystead-signer "), "{greeting}");
    assert_eq!(owner(&worker), 0);
    let limits = fs::read_to_string(folder(worker.id()).join("limits"));
    if let Ok(limits) = limits {
        let data = limits
            .lines()
            .find(|line| line.starts_with("Max data size"));
        assert!(data.unwrap().contains(&(512 << 20).to_string()), "{limits}");
    }
    let first = fs::read_to_string(folder(worker.id()).join("oom_score_adj")).unwrap();
    assert_eq!(first, "1000\n");
    // Nobody speaks to it any more: it ends, and that is no error.
    drop(worker.stdin.take());
    assert!(worker.wait().unwrap().success());

    let mut other = start("/bin/cat".as_ref(), &[]);
    if owner(&other) == 0 {
        panic!("a process that protects nothing would pass as well");
    }
    drop(other.stdin.take());
    other.wait().unwrap();
}

#[test]
fn started_by_hand_it_says_what_it_is() {
    for arguments in [
        &[][..],
        &["worker"],
        &["worker", "0"],
        &["launcher"],
        &["--help"],
    ] {
        let said = run(program::command(signer()).args(arguments)).failure();
        assert!(said.contains("which starts it by itself"), "{said}");
    }
}

#[test]
fn an_orphan_does_not_begin() {
    let mut orphan = Command::new(signer());
    let process = std::process::id() + 1;
    orphan
        .args(["worker", &process.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let orphan = orphan.stderr(Stdio::piped()).spawn().unwrap();
    let said = orphan.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    assert_eq!(said.stdout, b"");
    assert!(String::from_utf8_lossy(&said.stderr).contains("has ended"));
}
