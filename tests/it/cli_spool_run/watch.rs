use super::*;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// A folder that is watched, and one from which files are renamed.
fn folders(scene: &Scene) -> (PathBuf, PathBuf) {
    let folders = (
        scene.hub.workshop.path("in"),
        scene.hub.workshop.path("new"),
    );
    fs::create_dir(&folders.0).expect("a folder");
    fs::create_dir(&folders.1).expect("a folder");
    folders
}

fn left(folder: &Path) -> usize {
    fs::read_dir(folder).expect("a folder").count()
}

#[test]
fn files_that_appear_arrive() {
    let scene = Scene::new();
    let (watched, new) = folders(&scene);
    fs::write(watched.join("before"), "was there").expect("a file");
    let delivering = scene.run(&["--watch", "in", "--watch-quiet", "300ms"]);
    scene.arrives("before", "was there");
    fs::write(new.join("a.csv"), "renamed").expect("a file");
    fs::rename(new.join("a.csv"), watched.join("a.csv")).expect("the same file system");
    scene.arrives("a.csv", "renamed");
    fs::write(watched.join("b.csv"), "written").expect("a file");
    scene.arrives("b.csv", "written");
    let name = OsStr::from_bytes(b"\xff\n$(x).csv");
    fs::write(new.join("c"), "odd").expect("a file");
    fs::rename(new.join("c"), watched.join(name)).expect("the same file system");
    scene.arrives("%FF%0A$(x).csv", "odd");
    until("nothing is left", || (left(&watched) == 0).then_some(()));
    assert!(
        scene
            .ask("/metrics")
            .contains("keystead_spool_files_taken_total 4\n")
    );
    let (status, log) = delivering.end();
    assert!(status.success(), "{log}");
}

#[test]
fn what_is_no_file_is_refused_and_said_once() {
    let scene = Scene::new();
    let (watched, _) = folders(&scene);
    fs::set_permissions(&watched, fs::Permissions::from_mode(0o770)).expect("chmod");
    fs::create_dir(watched.join("folder")).expect("a folder");
    symlink("/etc/passwd", watched.join("link")).expect("a link");
    scene.hub.workshop.write("secret", "s3cr3t");
    fs::hard_link(scene.hub.workshop.path("secret"), watched.join("hard")).expect("a link");
    let fifo = Command::new("mkfifo").arg(watched.join("fifo")).status();
    assert!(fifo.expect("mkfifo").success());
    let delivering = scene.run(&["--watch", "in", "--watch-quiet", "100ms", "--watch-poll"]);
    for says in [
        "`folder` is not taken: it is a folder",
        "`link` is not taken: it is a symbolic link",
        "`hard` is not taken: it is a hard link",
        "`fifo` is not taken: it is a FIFO",
    ] {
        delivering.says(says);
    }
    fs::write(watched.join("last"), "last").expect("a file");
    scene.arrives("last", "last");
    let (_, log) = delivering.end();
    assert_eq!(log.matches("is not taken").count(), 4, "{log}");
    assert_eq!(left(&watched), 4);
    assert_eq!(scene.uploads().len(), 1);
}

#[test]
fn ten_thousand_files_at_once() {
    const FILES: usize = 10_000;
    let scene = Scene::new();
    let (watched, new) = folders(&scene);
    // None of them can be delivered: what comes in is in the spool.
    let delivering = scene.run(&[
        "--watch",
        "in",
        "--s3-endpoint",
        "http://127.0.0.1:1",
        "--watch-quiet",
        "200ms",
    ]);
    for number in 0..FILES {
        let name = format!("{number}");
        fs::write(new.join(&name), &name).expect("a file");
        fs::rename(new.join(&name), watched.join(&name)).expect("the same file system");
    }
    for goal in (0..FILES).step_by(1000).rev() {
        until("they are taken", || (left(&watched) <= goal).then_some(()));
    }
    delivering.end();
    assert_eq!(scene.entries().len(), FILES);
}

/// Kills it while it takes files over, again and again: each file is in the folder, or in the spool, or in both,
/// and at last all of them have arrived.
#[test]
fn nothing_is_lost_by_kill_9() {
    const ROUNDS: usize = 8;
    const EACH: usize = 60;
    let scene = Scene::new();
    let (watched, new) = folders(&scene);
    let arguments = ["--watch", "in", "--watch-quiet", "50ms"];
    for round in 0..ROUNDS {
        let delivering = scene.run(&arguments);
        for number in 0..EACH {
            let name = format!("{round}-{number}");
            fs::write(new.join(&name), &name).expect("a file");
            fs::rename(new.join(&name), watched.join(&name)).expect("the same file system");
            if number == round * 7 {
                std::thread::sleep(Duration::from_millis(round as u64));
            }
        }
        // The guard kills it with SIGKILL.
        drop(delivering);
    }
    let _delivering = scene.run(&arguments);
    for round in 0..ROUNDS {
        for number in 0..EACH {
            let name = format!("{round}-{number}");
            let key = format!("sensors/{name}");
            until(&key, || scene.object(&key).filter(|found| *found == name));
        }
    }
    until("nothing is left", || (left(&watched) == 0).then_some(()));
    until("the spool is empty", || {
        scene.entries().is_empty().then_some(())
    });
}

#[test]
fn a_folder_that_cannot_be_watched_is_said_at_once() {
    let scene = Scene::new();
    let ran = scene.command(&["run", "--watch", "nowhere"]);
    ran.failed(
        2,
        "the folder nowhere cannot be watched: No such file or directory",
    );
    let (_, _) = folders(&scene);
    let ran = scene.command(&["run", "--watch", "in", "--to", "s3://sensor-logs/fixed"]);
    ran.failed(2, "all of them would have the same key");
}
