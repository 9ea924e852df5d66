//! The file on disk.

use core::sync::atomic::{AtomicBool, Ordering};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::string::ToString as _;
use std::thread;

use super::*;
use crate::output::credentials_file::{CredentialsFile, FileError, Written, access_key_id};

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file with this mode.
    fn file(&self, name: &str, contents: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

fn of(path: &Path, name: &str) -> CredentialsFile {
    CredentialsFile::new(path.into(), profile(name))
}

fn write(path: &Path) -> Result<Written, FileError> {
    of(path, "hub").write(&credentials("1"))
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

fn has_credentials(path: &Path) -> bool {
    access_key_id(&fs::read(path).unwrap(), &profile("hub")) == Some(b"ID1")
}

#[test]
fn what_is_missing_is_made_for_its_owner_alone() {
    let scene = Scene::new();
    let path = scene.path("home/.aws/credentials");
    let written = write(&path).unwrap();
    assert_eq!(
        written,
        Written {
            changed: true,
            open_to_others: false
        }
    );
    assert!(has_credentials(&path));
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&scene.path("home/.aws")), 0o700);
    assert_eq!(
        mode(&scene.path("home/.aws/.credentials.keystead-lock")),
        0o600
    );
    assert!(!scene.path("home/.aws/.credentials.keystead-new").exists());
    assert!(!write(&path).unwrap().changed);
}

#[test]
fn the_mode_is_kept() {
    let scene = Scene::new();
    for kept in [0o600, 0o640, 0o644, 0o400] {
        let path = scene.file("credentials", "[a]\n", kept);
        let written = write(&path).unwrap();
        assert_eq!(written.open_to_others, kept & 0o077 != 0);
        assert_eq!(mode(&path), kept);
        assert!(has_credentials(&path));
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn links_are_followed_to_their_target() {
    let scene = Scene::new();
    fs::create_dir(scene.path("dotfiles")).unwrap();
    for (name, contents) in [("there", Some("[a]\n")), ("dangling", None)] {
        let target = scene.path("dotfiles").join(name);
        if let Some(contents) = contents {
            fs::write(&target, contents).unwrap();
        }
        let (link, chain) = (scene.path("link"), scene.path("dotfiles/chain"));
        symlink(name, &chain).unwrap();
        symlink("dotfiles/chain", &link).unwrap();
        assert_eq!(of(&link, "hub").folder().unwrap(), scene.path("dotfiles"));
        write(&link).unwrap();
        assert!(has_credentials(&target));
        for link in [link, chain] {
            assert!(link.is_symlink());
            fs::remove_file(link).unwrap();
        }
    }
    symlink("b", scene.path("a")).unwrap();
    symlink("a", scene.path("b")).unwrap();
    let error = write(&scene.path("a")).unwrap_err().to_string();
    assert!(error.starts_with("cannot follow the links to "), "{error}");
}

#[test]
fn what_is_no_file_of_its_own_is_left_alone() {
    let scene = Scene::new();
    let path = scene.file("credentials", "[a]\n", 0o600);
    fs::hard_link(&path, scene.path("other")).unwrap();
    assert!(matches!(write(&path), Err(FileError::HardLinks(_))));
    assert_eq!(fs::read(&path).unwrap(), b"[a]\n");
    fs::remove_file(scene.path("other")).unwrap();
    write(&path).unwrap();

    assert!(matches!(
        write(scene.0.path()),
        Err(FileError::NotRegular(_))
    ));
    let fifo = scene.path("fifo");
    let made = std::process::Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap();
    assert!(made.success());
    assert!(matches!(write(&fifo), Err(FileError::NotRegular(_))));
    let in_a_file = path.join("credentials");
    assert!(matches!(write(&in_a_file), Err(FileError::Io { .. })));
    // Nobody can make files there.
    let error = write(Path::new("/proc/self/credentials"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot lock /proc/"), "{error}");
}

#[test]
fn what_cannot_be_changed_stays_as_it_is() {
    let scene = Scene::new();
    let disputed = "[hub]\naws_access_key_id = x\n  region = r\n";
    let path = scene.file("credentials", disputed, 0o600);
    let error = write(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("credentials: line 3 is indented"),
        "{error}"
    );
    assert!(error.remedy().contains("nothing was changed"));
    assert_eq!(fs::read(&path).unwrap(), disputed.as_bytes());
    assert!(!scene.path(".credentials.keystead-new").exists());
}

#[test]
fn what_a_killed_process_left_is_no_obstacle() {
    let scene = Scene::new();
    let left = scene.file(".credentials.keystead-new", "half a fi", 0o600);
    let path = scene.path("credentials");
    write(&path).unwrap();
    assert!(has_credentials(&path) && !left.exists());
    // Somebody's link instead of our file is not written through.
    let lock = scene.path(".credentials.keystead-lock");
    fs::remove_file(&lock).unwrap();
    symlink("victim", &lock).unwrap();
    assert!(of(&path, "b").write(&credentials("1")).is_err());
    assert!(!scene.path("victim").exists());
}

#[test]
fn only_our_own_are_removed() {
    let scene = Scene::new();
    let path = scene.path("credentials");
    write(&path).unwrap();
    let file = of(&path, "hub");
    assert!(!file.remove("ID2").unwrap().changed);
    assert!(has_credentials(&path));
    assert!(file.remove("ID1").unwrap().changed);
    assert_eq!(fs::read(&path).unwrap(), b"[hub]\n");
    assert!(!file.remove("ID1").unwrap().changed);
    assert!(write(&path).unwrap().changed);
}

#[test]
fn what_has_expired_since_is_removed() {
    let scene = Scene::new();
    let path = scene.path("credentials");
    let (hub, depot) = (of(&path, "hub"), of(&path, "depot"));
    let mut new = credentials("1");
    new.expiration = UnixTime::from_secs(100);
    hub.write(&new).unwrap();
    depot.write(&new).unwrap();
    let at = UnixTime::from_secs;
    assert!(!hub.remove_expired(at(99)).unwrap().changed);
    assert!(hub.remove_expired(at(100)).unwrap().changed);
    assert!(!hub.remove_expired(at(100)).unwrap().changed);
    let contents = fs::read(&path).unwrap();
    assert!(contents.starts_with(b"[hub]\n\n[depot]\naws_access_key_id"));
    // What somebody else has written since is not ours.
    fs::write(&path, "[depot]\naws_access_key_id = own\n").unwrap();
    assert!(!depot.remove_expired(at(100)).unwrap().changed);
}

/// Two who write, each its own profile, and one who reads: what is read is whole, and of one moment.
#[test]
fn a_reader_never_sees_half_a_file() {
    const ROUNDS: usize = 200;
    let scene = Scene::new();
    let path = scene.file("credentials", "# top\n[a]\nx = 1\n", 0o600);
    for name in ["hub", "depot"] {
        of(&path, name).write(&credentials("0")).unwrap();
    }
    let is_over = AtomicBool::new(false);
    let looks = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                let contents = fs::read(&path).unwrap();
                let text = str::from_utf8(&contents).unwrap();
                assert!(text.starts_with("# top\n[a]\nx = 1\n"));
                for name in ["hub", "depot"] {
                    let id = access_key_id(&contents, &profile(name)).unwrap();
                    let round = str::from_utf8(&id[2..]).unwrap();
                    let token = std::format!("aws_session_token = TOKEN+{round}==\n");
                    assert!(text.contains(&token), "{text}");
                }
                looks += 1;
            }
            looks
        });
        let write = |name: &'static str| {
            let file = of(&path, name);
            move || {
                for round in 1..=ROUNDS {
                    file.write(&credentials(&round.to_string())).unwrap();
                }
            }
        };
        let writers = ["hub", "depot"].map(|name| scope.spawn(write(name)));
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(looks > 0);
    let contents = fs::read(&path).unwrap();
    for name in ["hub", "depot"] {
        let last = std::format!("ID{ROUNDS}");
        assert_eq!(
            access_key_id(&contents, &profile(name)),
            Some(last.as_bytes())
        );
    }
}
