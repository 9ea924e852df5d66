//! What is not trusted: files and folders of others, clocks, disks.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use keystead::core::time::UnixTime;
use keystead::host::cache::{BootId, Entry};

use super::{Scene, has_credentials};
use crate::support::program::run;

#[test]
fn what_cannot_be_trusted_is_replaced() {
    let scene = Scene::new();
    assert_eq!(scene.sessions_with(&[]), 1);
    let (_, _, path) = scene.entry();
    let moved = scene.workshop.path("moved");
    let whole = fs::read(&path).expect("an entry");
    let ways: [&dyn Fn() -> std::io::Result<()>; 5] = [
        &|| fs::write(&path, &whole[..100]),
        &|| fs::write(&path, "keystead-cache-2\n"),
        &|| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)),
        &|| fs::rename(&path, &moved).and_then(|()| symlink(&moved, &path)),
        &|| match std::os::unix::fs::chown(&path, Some(12_345), None) {
            // Only root can give files away.
            Err(_) => fs::remove_file(&path),
            given => given,
        },
    ];
    for (number, spoil) in ways.iter().enumerate() {
        spoil().expect("a change");
        assert_eq!(scene.sessions_with(&[]), 1, "{number}");
        assert_eq!(scene.sessions_with(&[]), 0, "{number}");
    }
    // The folder as well: but that is not ours to replace.
    let folder = scene.workshop.path("cache");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("chmod");
    let ran = run(&mut scene.command(&[]));
    has_credentials(&ran);
    let says = "warning: credentials are not kept: cache: others have access to it (mode 0755)";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    assert_eq!(scene.sessions_with(&[]), 1);
}

#[test]
fn no_clock_revives_what_has_expired() {
    let scene = Scene::new();
    assert_eq!(scene.sessions_with(&[]), 1);
    type Change = fn(&mut Entry);
    let changes: [(&str, Change); 4] = [
        // By the clock of this boot its life is over; the wall clock was set back.
        ("boot clock", |entry| entry.life = Duration::ZERO),
        ("wall clock", |entry| {
            entry.credentials.expiration = UnixTime::from_secs(1_700_000_000);
        }),
        ("future", |entry| {
            entry.asked.since_boot += Duration::from_secs(3600)
        }),
        ("boot", |entry| {
            let other = "00000000-0000-0000-0000-000000000000";
            entry.asked.boot = BootId::parse(other).expect("a boot's name");
        }),
    ];
    for (name, change) in changes {
        let (key, mut entry, _) = scene.entry();
        change(&mut entry);
        scene.cache().store(&key, &entry).expect("a folder");
        assert_eq!(scene.sessions_with(&[]), 1, "{name}");
        assert_eq!(scene.sessions_with(&[]), 0, "{name}");
    }
}

#[test]
fn in_memory_alone_unless_somebody_chose_a_place() {
    let scene = Scene::new();
    // A folder of memory, as systemd makes one for users, and one for services.
    let memory = tempfile::tempdir_in("/dev/shm").expect("a file system in memory");
    for (variable, folder) in [
        ("XDG_RUNTIME_DIR", "keystead/cache"),
        ("RUNTIME_DIRECTORY", "cache"),
    ] {
        let mut command = scene.bare(&[]);
        command.env(variable, memory.path());
        assert_eq!(scene.sessions_of(&mut command), 1, "{variable}");
        assert_eq!(scene.sessions_of(&mut command), 0, "{variable}");
        let entries = fs::read_dir(memory.path().join(folder)).expect("a folder");
        assert_eq!(entries.count(), 2);
    }
    let disk = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    for (base, says) in [
        (disk.path(), "it is on a disk"),
        (Path::new("relative"), "has to begin with a slash"),
        (Path::new("/proc"), "off: /proc"),
        (Path::new("/nonexistent"), "No such file"),
    ] {
        let mut command = scene.bare(&["--debug"]);
        let ran = run(command.env("XDG_RUNTIME_DIR", base));
        has_credentials(&ran);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    let ran = run(&mut scene.bare(&["--debug"]));
    let says = "--- cache: off: neither XDG_RUNTIME_DIR nor RUNTIME_DIRECTORY";
    assert!(ran.stderr.starts_with(says), "{}", ran.stderr);
    // Not a word without --debug, with no home and nowhere to write to.
    let mut command = scene.bare(&["--state-dir=/proc/keystead"]);
    let ran = run(command
        .env_remove("HOME")
        .env("XDG_RUNTIME_DIR", "/proc/self"));
    has_credentials(&ran);
    assert_eq!(ran.stderr, "");
}

/// What runs in a mount namespace of its own, where `$1` becomes a file system in memory; `$2` is run
/// while it can be written to, `$3` when it cannot any more.
const READ_ONLY: &str = "
set -e
mount -t tmpfs -o mode=0700 none \"$1\"
eval \"$2\"
mount -o remount,bind,ro \"$1\"
if touch \"$1\"/x 2>/dev/null; then exit 9; fi
eval \"$3\"";

#[test]
fn a_file_system_that_cannot_be_written_to_is_read_and_is_no_error() {
    let scene = Scene::new();
    fs::create_dir(scene.workshop.path("memory")).expect("a folder");
    let ours = scene.bare(&["--state-dir=memory/state", "--debug"]);
    let quoted: Vec<_> = [ours.get_program()]
        .into_iter()
        .chain(ours.get_args())
        .map(|word| format!("'{}'", word.to_str().expect("text")))
        .collect();
    let ours = quoted.join(" ");
    // Kept when it can be, found when it cannot; and new ones when what is kept does not do.
    for (before, after, sessions, says) in [
        (format!("{ours} >/dev/null"), "", 1, "credentials that live"),
        (":".to_owned(), "", 1, "off: "),
        (
            format!("{ours} >/dev/null"),
            "--cache-min-life=2h",
            2,
            "no lock: Read-only file system",
        ),
    ] {
        let mut isolated = Command::new("unshare");
        isolated
            .args(["--map-root-user", "--mount", "sh", "-c", READ_ONLY, "sh"])
            .arg("memory")
            .args([&before, &format!("{ours} {after}")])
            .current_dir(scene.workshop.path(""))
            .env_remove("HOME")
            .env("XDG_RUNTIME_DIR", scene.workshop.path("memory"));
        let earlier = scene.sessions();
        let ran = run(&mut isolated);
        has_credentials(&ran);
        assert_eq!(scene.sessions() - earlier, sessions, "{}", ran.stderr);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
}
