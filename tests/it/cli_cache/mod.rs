//! The cache of `keystead credential-process`, against the sandbox.

mod processes;
mod trust;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use keystead::host::cache::{Cache, Entry, Key, Place};
use keystead::sandbox::{Fault, Running};
use serde_json::Value;

use crate::support::hub::{Hub, command_of};
use crate::support::openssl::{LEAF, Workshop};
use crate::support::program::{Ran, command, run};

/// A device, and a sandbox that trusts its CA. The device's cache is the folder `cache`.
struct Scene {
    workshop: Workshop,
    sandbox: Running,
}

impl Scene {
    fn new() -> Self {
        let Hub { workshop, sandbox } = Hub::new();
        Self { workshop, sandbox }
    }

    /// The command without a cache.
    fn bare(&self, more: &[&str]) -> Command {
        command_of((&self.workshop, &self.sandbox), "credential-process", more)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = self.bare(more);
        command.env("KEYSTEAD_CACHE_DIR", "cache");
        command
    }

    /// Runs the command, and gives the number of sessions that were begun by it.
    #[track_caller]
    fn sessions_of(&self, command: &mut Command) -> usize {
        let before = self.sessions();
        has_credentials(&run(command));
        self.sessions() - before
    }

    #[track_caller]
    fn sessions_with(&self, more: &[&str]) -> usize {
        self.sessions_of(&mut self.command(more))
    }

    fn sessions(&self) -> usize {
        self.sandbox.session_requests().len()
    }

    fn cache(&self) -> Cache {
        Cache::open(&Place::chosen(self.workshop.path("cache"))).expect("a cache")
    }

    /// The only entry, and its file.
    fn entry(&self) -> (Key, Entry, PathBuf) {
        let mut entries = self.cache().entries().expect("a folder");
        assert_eq!(entries.len(), 1);
        let listed = entries.remove(0);
        let path = self.workshop.path("cache").join(&listed.name);
        let key = Key::parse(&listed.name).expect("a key");
        (key, listed.entry.expect("an entry"), path)
    }
}

#[track_caller]
fn has_credentials(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert!(document["SessionToken"].is_string());
}

#[test]
fn a_hit_needs_no_key_no_password_and_no_service() {
    let scene = Scene::new();
    let openssl = "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in hub.key -out hub.enc";
    scene.workshop.openssl(openssl);
    let with_key = |more: &[&str]| {
        let mut arguments = vec!["--key=hub.enc"];
        arguments.extend(more);
        scene.command(&arguments)
    };
    let first = run(with_key(&["--password-source=env:PASSWORD"]).env("PASSWORD", "secret"));
    has_credentials(&first);
    // No password, and a key that nobody can read any more.
    let second = run(&mut with_key(&["--debug"]));
    assert_eq!((second.code, &second.stdout), (0, &first.stdout));
    assert_eq!(scene.sessions(), 1);
    let lines: Vec<_> = second.stderr.lines().collect();
    assert!(
        matches!(lines[..], [folder, hit]
            if folder == "--- cache: cache" && hit.starts_with("--- cache: credentials that live ")),
        "{}",
        second.stderr
    );
    let document: Value = serde_json::from_str(&first.stdout).expect("JSON");
    for secret in ["SecretAccessKey", "SessionToken"] {
        let secret = document[secret].as_str().expect("text");
        assert!(!second.stderr.contains(secret));
    }
    // Files and folder are ours alone, and their names say nothing.
    let (key, _, path) = scene.entry();
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&scene.workshop.path("cache")), 0o700);
    for entry in fs::read_dir(scene.workshop.path("cache")).expect("a folder") {
        let name = entry.expect("a file").file_name();
        assert!(name.to_string_lossy().starts_with(&key.to_string()));
    }
}

#[test]
fn whatever_decides_about_the_credentials_has_an_entry_of_its_own() {
    let scene = Scene::new();
    assert_eq!(scene.sessions_with(&[]), 1);
    let account = &scene.sandbox.config().account;
    let role = format!("--role-arn={}", account.roles[1].arn);
    let profile = format!("--profile-arn={}", account.profiles[1].arn);
    fs::copy(
        scene.workshop.path("root.pem"),
        scene.workshop.path("bundle.pem"),
    )
    .expect("a copy");
    let other_host = format!(
        "--endpoint={}",
        scene.sandbox.url().replace("127.0.0.1", "localhost")
    );
    for more in [
        &["--session-duration=16m"][..],
        &[&role, &profile],
        &[&other_host],
        &["--ca-bundle=bundle.pem"],
        &["--skip-certificate-rules"],
        &["--strict"],
        &["--intermediates=root.pem"],
    ] {
        assert_eq!(scene.sessions_with(more), 1, "{more:?}");
        assert_eq!(scene.sessions_with(more), 0, "{more:?}");
    }
    for name in [
        "SOFTHSM2_CONF",
        "P11_KIT_SERVER_ADDRESS",
        "TPM2_PKCS11_TCTI",
        "HOME",
        "XDG_CONFIG_HOME",
    ] {
        let sessions = || scene.sessions_of(scene.command(&[]).env(name, "elsewhere"));
        assert_eq!((sessions(), sessions()), (1, 0), "{name}");
    }
    // What does not decide shares it.
    for more in [
        &["--max-attempts=2"][..],
        &["--password-source=file:none"],
        &["--private-key=./hub.key"],
        &["--timeout=5s"],
    ] {
        assert_eq!(scene.sessions_with(more), 0, "{more:?}");
    }
    // Another certificate of the same name.
    scene
        .workshop
        .certificate("hub", "root", "-sha256 -days 3", LEAF);
    assert_eq!(scene.sessions_with(&[]), 1);
    assert_eq!(scene.sessions_with(&[]), 0);
    fs::remove_file(scene.workshop.path("hub.key")).expect("a file");
    run(&mut scene.command(&[])).failed(3, "hub.key");
}

#[test]
fn how_long_credentials_have_to_live_is_for_the_user_to_say() {
    let scene = Scene::new();
    assert_eq!(scene.sessions_with(&[]), 1);
    assert_eq!(scene.sessions_with(&["--cache-min-life=14m"]), 0);
    assert_eq!(scene.sessions_with(&["--cache-min-life=2h"]), 1);
    assert_eq!(scene.sessions_with(&["--no-cache"]), 1);
    let mut command = scene.command(&[]);
    assert_eq!(scene.sessions_of(command.env("KEYSTEAD_NO_CACHE", "1")), 1);
    assert_eq!(scene.sessions_with(&[]), 0);
    let wrong = run(&mut scene.command(&["--cache-min-life=long"]));
    wrong.failed(2, "--cache-min-life");
}

#[test]
fn a_failure_of_the_service_leaves_what_still_lives_and_a_refusal_does_not() {
    let scene = Scene::new();
    let first = run(&mut scene.command(&[]));
    has_credentials(&first);
    let faults = &scene.sandbox.config().faults;
    let too_long = ["--cache-min-life=2h"];
    for fault in [
        Fault::Status(500),
        Fault::Throttle,
        Fault::Drop,
        Fault::Garbage,
        Fault::MissingField("expiration".to_owned()),
    ] {
        faults.add(fault.clone().times(1));
        let ran = run(&mut scene.command(&too_long));
        assert_eq!((ran.code, &ran.stdout), (0, &first.stdout), "{fault:?}");
        assert!(
            ran.stderr.starts_with("warning: ") && ran.stderr.contains("are used instead"),
            "{}",
            ran.stderr
        );
    }
    faults.add(Fault::Skew(-3600).times(1));
    run(&mut scene.command(&too_long)).failed(6, "refused");
}

#[test]
fn under_the_reference_name_each_run_begins_a_session() {
    let scene = Scene::new();
    let link = scene.workshop.path("aws_signing_helper");
    symlink(env!("CARGO_BIN_EXE_keystead"), &link).expect("a link");
    let memory = tempfile::tempdir_in("/dev/shm").expect("a file system in memory");
    let drop_in = |more: &[&str]| {
        let ours = scene.bare(more);
        let mut command = Command::new(&link);
        command
            .args(ours.get_args())
            .env_clear()
            .env("XDG_RUNTIME_DIR", memory.path())
            .current_dir(scene.workshop.path(""));
        command
    };
    for _ in 0..2 {
        assert_eq!(scene.sessions_of(&mut drop_in(&[])), 1);
    }
    assert_eq!(fs::read_dir(memory.path()).expect("a folder").count(), 0);
    assert_eq!(scene.sessions_of(&mut drop_in(&["--no-cache=false"])), 1);
    assert_eq!(scene.sessions_of(&mut drop_in(&["--no-cache=false"])), 0);
}

#[test]
fn list_and_clear() {
    let scene = Scene::new();
    let cache = |arguments: &[&str]| {
        let mut all = vec!["cache"];
        all.extend(arguments);
        let mut command = command(&scene.workshop.path(""), &all);
        run(command.env("KEYSTEAD_CACHE_DIR", "cache"))
    };
    assert_eq!(cache(&["list"]).stdout, "nothing is kept\n");
    let nothing: Value = serde_json::from_str(&cache(&["list", "--json"]).stdout).expect("JSON");
    assert_eq!(nothing["entries"].as_array().map(Vec::len), Some(0));
    assert_eq!(cache(&["clear"]).stdout, "removed: 0\n");
    assert!(!scene.workshop.path("cache").exists());

    let first = run(&mut scene.command(&[]));
    let document: Value = serde_json::from_str(&first.stdout).expect("JSON");
    let text = cache(&["list"]).stdout;
    for says in [
        "role         arn:aws:iam::111122223333:role/",
        "certificate  hub.pem\n",
        "expires      20",
        " min ",
    ] {
        assert!(text.contains(says), "{text}");
    }
    let json = cache(&["list", "--json"]).stdout;
    for secret in ["SecretAccessKey", "SessionToken"] {
        let secret = document[secret].as_str().expect("text");
        assert!(!json.contains(secret) && !text.contains(secret));
    }
    let json: Value = serde_json::from_str(&json).expect("JSON");
    let entry = &json["entries"][0];
    assert_eq!(entry["expiration"], document["Expiration"]);
    let left = entry["secondsLeft"].as_u64().expect("a number");
    assert!((1500..=1800).contains(&left), "{left}");

    fs::write(scene.entry().2, "").expect("a file");
    assert!(cache(&["list"]).stdout.contains("problem      "));
    assert_eq!(cache(&["clear"]).stdout, "removed: 1\n");
    assert_eq!(scene.sessions_with(&[]), 1);
    fs::set_permissions(
        scene.workshop.path("cache"),
        fs::Permissions::from_mode(0o755),
    )
    .expect("chmod");
    cache(&["list"]).failed(1, "others have access");
}
