//! `keystead update --once`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use keystead::sandbox::Fault;

use super::*;
use crate::support::program::run;

#[track_caller]
fn works(command: &mut Command) {
    let ran = run(command);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
    assert_eq!(ran.stderr, "");
}

#[test]
fn where_the_credentials_go() {
    let scene = Scene::new();
    works(&mut scene.command(&["--once"]));
    assert!(id(&scene.usual(), "default").is_some());
    assert_eq!(mode(&scene.usual()), 0o600);
    assert_eq!(mode(&scene.workshop.path(".aws")), 0o700);

    let (other, flag) = (scene.workshop.path("other"), scene.workshop.path("flag"));
    let mut command = scene.command(&["--once=true", "--profile", "my hub"]);
    works(command.env("AWS_SHARED_CREDENTIALS_FILE", "~/other"));
    assert!(id(&other, "my hub").is_some());
    let mut command = scene.command(&["--once", "--credentials-file=flag"]);
    works(command.env("AWS_SHARED_CREDENTIALS_FILE", &other));
    assert!(id(&flag, "default").is_some() && id(&other, "default").is_none());
}

#[test]
fn everything_else_in_the_file_stays() {
    let scene = Scene::new();
    let before = "# mine\r\n[own]\r\naws_access_key_id=AKIA\r\n\r\n[hub]\r\nregion = r\r\n# last";
    let path = scene.workshop.path("file");
    write(&path, before);
    works(&mut scene.command(&["--once", "--profile=hub", "--credentials-file=file"]));
    let after = fs::read_to_string(&path).expect("text");
    let is_ours =
        |line: &&str| line.starts_with("aws_") && line.ends_with("\r\n") && !line.contains("AKIA");
    let (ours, others): (Vec<_>, Vec<_>) = after.split_inclusive('\n').partition(is_ours);
    assert_eq!(ours.len(), 3, "{after}");
    assert_eq!(others.concat(), before);
}

#[test]
fn a_session_of_the_cache_is_used() {
    let scene = Scene::new();
    for profile in ["a", "b"] {
        let mut command = scene.command(&["--once", "--profile", profile]);
        works(command.env("KEYSTEAD_CACHE_DIR", "cache"));
    }
    assert_eq!(scene.sessions(), 1);
    assert_eq!(id(&scene.usual(), "a"), id(&scene.usual(), "b"));

    // Under the name of AWS's helper each run begins one.
    let link = scene.workshop.path("aws_signing_helper");
    symlink(env!("CARGO_BIN_EXE_keystead"), &link).expect("a link");
    let ours = scene.command(&["--once", "--profile", "c"]);
    let mut helper = Command::new(&link);
    let home = scene.workshop.path("");
    helper
        .args(ours.get_args())
        .env_clear()
        .env("HOME", &home)
        .current_dir(&home);
    works(&mut helper);
    assert_eq!(scene.sessions(), 2);
    assert!(id(&scene.usual(), "c").is_some());
}

#[test]
fn after_a_failure_the_file_is_as_it_was() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    let path = scene.workshop.path("file");
    let once = || scene.command(&["--once", "--profile=hub", "--credentials-file=file"]);
    for (fault, code) in [(Fault::Status(500), 5), (Fault::Skew(-3600), 6)] {
        faults.add(fault.times(1));
        run(&mut once()).failed(code, "127.0.0.1");
        assert!(!path.exists());
    }
    // What cannot be edited costs no session.
    let disputed = "[hub]\naws_access_key_id = AKIA\n  region = r\n";
    write(&path, disputed);
    let before = scene.sessions();
    run(&mut once()).failed(1, "file: line 3 is indented");
    assert_eq!(fs::read_to_string(&path).expect("text"), disputed);
    fs::remove_file(&path).expect("a file");
    fs::create_dir(&path).expect("a folder");
    run(&mut once()).failed(1, "file is not a file");
    assert_eq!(scene.sessions(), before);
}

#[test]
fn people_are_told_of_a_file_that_is_open_to_others() {
    let scene = Scene::new();
    let path = scene.workshop.path("file");
    write(&path, "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
    let ran = run(&mut scene.command(&["--once", "--credentials-file=file"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .starts_with("warning: file is open to other users\n"),
        "{}",
        ran.stderr
    );
    assert_eq!(mode(&path), 0o644);
}

#[test]
fn what_does_not_go_together() {
    let scene = Scene::new();
    for (arguments, says) in [
        (
            &["--once", "--retry-errors"][..],
            "--once and --retry-errors",
        ),
        (
            &["--once", "--remove-at-exit"],
            "--once and --remove-at-exit",
        ),
        (&["--once", "--profile=a]b"], "--profile: `a]b`: "),
        (&["--once", "--profile=DEFAULT"], "--profile: `DEFAULT`: "),
        (&["--once=perhaps"], "--once is neither true nor false"),
    ] {
        run(&mut scene.command(arguments)).failed(2, says);
    }
    run(scene.command(&["--once"]).env_remove("HOME")).failed(2, "HOME is not set");
    assert_eq!(scene.sessions(), 0);
}

/// Killed at any moment, a run leaves the old file or the new one, and is nobody's obstacle.
#[test]
fn killed_at_any_moment() {
    let scene = Scene::new();
    let before = "# top\n[own]\nx = 1\n\n";
    fs::create_dir(scene.workshop.path(".aws")).expect("a folder");
    write(&scene.usual(), before);
    let mut had_credentials = false;
    for round in 0..40 {
        let mut command = scene.command(&["--once", "--no-cache"]);
        let log = scene.workshop.path("log");
        let mut updating = Updating::start(&mut command, log);
        // Most of its life it prepares; the kills are spread over all of it.
        let deadline = Instant::now() + Duration::from_millis(round * 3);
        while Instant::now() < deadline && updating.child.try_wait().expect("a child").is_none() {
            let text = fs::read_to_string(scene.usual()).expect("text");
            assert!(text.starts_with(before), "{text}");
        }
        drop(updating);
        let text = fs::read_to_string(scene.usual()).expect("text");
        assert!(text.starts_with(before), "{text}");
        let has_credentials = id(&scene.usual(), "default").is_some();
        assert!(has_credentials || !had_credentials, "{text}");
        assert!(has_credentials || text == before, "{text}");
        had_credentials = has_credentials;
    }
    works(&mut scene.command(&["--once"]));
    let mut names: Vec<_> = fs::read_dir(scene.workshop.path(".aws"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".credentials.keystead-lock", "credentials"]);
}
