//! The cache of `keystead credential-process`, against the sandbox.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use keystead::core::time::UnixTime;
use keystead::host::cache::{BootId, Cache, Entry, Key, Place};
use keystead::sandbox::{Config, Fault, Running, Sandbox, Scheme};
use serde_json::Value;

use crate::support::openssl::{CA, LEAF, P256, Workshop};
use crate::support::program::{Ran, command, run};

/// A device, and a sandbox that trusts its CA. The device's cache is the folder `cache`.
struct Scene {
    workshop: Workshop,
    sandbox: Running,
}

impl Scene {
    fn new() -> Self {
        let workshop = Workshop::new();
        for name in ["root", "hub"] {
            workshop.key(name, P256);
        }
        let root = workshop.certificate("root", "root", "-sha256", CA);
        workshop.certificate("hub", "root", "-sha256", LEAF);
        let root = keystead::backend::file::read_certificates(&root)
            .expect("a certificate")
            .swap_remove(0);
        let crl = Some(workshop.path("crl.pem"));
        let config = Config {
            scheme: Scheme::Http,
            ..Config::ready_made(root, crl).expect("policies")
        };
        let sandbox = Sandbox::start(config).expect("it starts");
        Self { workshop, sandbox }
    }

    /// The command without a cache.
    fn bare(&self, more: &[&str]) -> Command {
        let account = &self.sandbox.config().account;
        let arguments = [
            "credential-process".to_owned(),
            "--certificate=hub.pem".to_owned(),
            "--key=hub.key".to_owned(),
            format!("--trust-anchor-arn={}", account.trust_anchors[0].arn),
            format!("--profile-arn={}", account.profiles[0].arn),
            format!("--role-arn={}", account.roles[0].arn),
            format!("--endpoint={}", self.sandbox.url()),
            "--max-attempts=1".to_owned(),
        ];
        let arguments = arguments
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied());
        let arguments: Vec<&str> = arguments.collect();
        command(&self.workshop.path(""), &arguments)
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

/// A process that can be seen at work by what it says under `--debug`.
struct Busy {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Busy {
    fn start(mut command: Command) -> Self {
        command
            .arg("--debug")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Self { child, stderr }
    }

    /// Waits until it says something.
    #[track_caller]
    fn until(&mut self, says: &str) {
        let mut line = String::new();
        while !line.contains(says) {
            line.clear();
            let len = self.stderr.read_line(&mut line).expect("UTF-8");
            assert_ne!(len, 0, "it never said {says}");
        }
    }
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
fn fifty_at_once_begin_one_session() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Slow(Duration::from_millis(300)).always());
    let mut all: Vec<Child> = (0..50)
        .map(|_| {
            let mut command = scene.command(&[]);
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("it starts")
        })
        .collect();
    let mut documents: Vec<String> = Vec::new();
    for child in all.drain(..) {
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{output:?}");
        documents.push(String::from_utf8(output.stdout).expect("UTF-8"));
    }
    documents.dedup();
    assert_eq!(documents.len(), 1);
    assert_eq!(scene.sessions(), 1);
}

#[test]
fn who_is_killed_with_the_lock_stops_nobody() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Slow(Duration::from_secs(60)).times(1));
    let mut first = Busy::start(scene.command(&[]));
    first.until("--- request");
    let mut second = Busy::start(scene.command(&[]));
    second.until("waiting");
    // kill -9.
    first.child.kill().expect("it runs");
    first.child.wait().expect("it ends");
    assert!(second.child.wait().expect("it ends").success());
    assert_eq!(scene.sessions_with(&[]), 0);
}

#[test]
fn who_hangs_with_the_lock_holds_nobody_up_for_ever() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Slow(Duration::from_secs(60)).times(1));
    let mut first = Busy::start(scene.command(&[]));
    first.until("--- request");
    // The time that attempts may take is the time that others wait for them.
    assert_eq!(scene.sessions_with(&["--timeout=2s"]), 1);
    assert_eq!(scene.sessions_with(&[]), 0);
    first.child.kill().expect("it runs");
    first.child.wait().expect("it ends");
}

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
