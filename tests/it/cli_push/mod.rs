//! `keystead push` against the sandbox's S3, whose files are looked at.

mod outcomes;
mod progress;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use keystead::sandbox::{Config, Recorded, Scheme};

use crate::support::hub::Hub;
use crate::support::program::{Ran, run};

/// A hub, and what is in the bucket.
struct Bench {
    hub: Hub,
}

impl Bench {
    fn new() -> Self {
        let hub = Hub::with(|root, workshop| Config {
            scheme: Scheme::Http,
            storage: Some(workshop.path("s3")),
            ..Config::ready_made(root, Some(workshop.path("crl.pem"))).expect("policies")
        });
        Self { hub }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.hub.workshop.path(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let arguments: Vec<&str> = ["push"].iter().chain(arguments).copied().collect();
        let mut command = self.hub.command(&arguments);
        command.env("AWS_ENDPOINT_URL_S3", self.hub.sandbox.url());
        command
    }

    fn push(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    /// What is in the bucket.
    fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let mut objects = BTreeMap::new();
        let root = self.path("s3/sensor-logs");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&root).expect("below");
                    let key = key.to_str().expect("text").to_owned();
                    objects.insert(key, fs::read(path).expect("a file"));
                }
            }
        }
        objects
    }

    /// The uploads that S3 has seen.
    fn puts(&self) -> Vec<Recorded> {
        let all = self.hub.sandbox.requests();
        let is_put = |request: &Recorded| request.method == "PUT";
        all.into_iter().filter(is_put).collect()
    }
}

#[track_caller]
fn succeeded(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stderr, "");
}

#[test]
fn files_go_where_the_destination_says() {
    let bench = Bench::new();
    bench.write("in/a.json", b"{}");
    bench.write("b.csv", b"1,2\n");
    succeeded(&bench.push(&["in/a.json", "s3://sensor-logs/sensors/fixed.json"]));
    let ran = bench.push(&["in/a.json", "b.csv", "s3://sensor-logs/sensors/many/"]);
    succeeded(&ran);
    assert_eq!(
        lines(&ran),
        [
            "b.csv -> s3://sensor-logs/sensors/many/b.csv (4 B)",
            "in/a.json -> s3://sensor-logs/sensors/many/a.json (2 B)",
        ]
    );
    // The settings say it, too.
    let to = "s3://sensor-logs/sensors/{cn}/{path}";
    succeeded(&run(bench
        .command(&["in/a.json"])
        .env("KEYSTEAD_PUSH_TO", to)));
    let objects = bench.objects();
    let keys: Vec<&str> = objects.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "sensors/fixed.json",
            "sensors/hub/in/a.json",
            "sensors/many/a.json",
            "sensors/many/b.csv",
        ]
    );
    assert_eq!(objects["sensors/many/b.csv"], b"1,2\n");
    // One session does for all of them.
    assert_eq!(bench.hub.sessions(), 1);
}

fn lines(ran: &Ran) -> Vec<&str> {
    let mut lines: Vec<&str> = ran.stdout.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn folders_go_as_a_whole() {
    let bench = Bench::new();
    for name in [
        "d/a.json",
        "d/2026/b.json",
        "d/2026/\u{fc} +.json",
        "other/c.json",
    ] {
        bench.write(name, name.as_bytes());
    }
    std::os::unix::fs::symlink("../other", bench.path("d/link")).unwrap();
    std::os::unix::fs::symlink("..", bench.path("d/2026/up")).unwrap();
    bench
        .push(&["d", "s3://sensor-logs/sensors/x"])
        .failed(2, "--recursive uploads what is in it");
    // Without a slash as well, as with `aws s3 cp`.
    let ran = bench.push(&["--recursive", "d", "s3://sensor-logs/sensors/x"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(
        ran.stderr
            .matches("is a symbolic link, and is left out")
            .count(),
        2
    );
    let keys = |bench: &Bench| bench.objects().into_keys().collect::<Vec<_>>();
    assert_eq!(
        keys(&bench),
        [
            "sensors/x/2026/b.json",
            "sensors/x/2026/\u{fc} +.json",
            "sensors/x/a.json",
        ]
    );
    let ran = bench.push(&[
        "--recursive",
        "--follow-symlinks",
        "d",
        "s3://sensor-logs/sensors/x",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("d/2026/up is a link to a folder above it"),
        "{}",
        ran.stderr
    );
    let objects = bench.objects();
    assert_eq!(objects["sensors/x/link/c.json"], b"other/c.json");
    assert_eq!(objects.len(), 4);
}

#[test]
fn standard_input_has_the_name_that_it_is_given() {
    let bench = Bench::new();
    let content = vec![7u8; 300_000];
    bench.write("source", &content);
    let stdin = || fs::File::open(bench.path("source")).unwrap();
    let named = |arguments: &[&str]| run(bench.command(arguments).stdin(stdin()));
    succeeded(&named(&["-", "s3://sensor-logs/sensors/piped.bin"]));
    succeeded(&named(&[
        "-",
        "--name",
        "b.bin",
        "s3://sensor-logs/sensors/",
    ]));
    named(&["-", "s3://sensor-logs/sensors/"])
        .failed(2, "standard input: it has no name for its key");
    let objects = bench.objects();
    assert_eq!(objects["sensors/piped.bin"], content);
    assert_eq!(objects["sensors/b.bin"], content);
}

#[test]
fn what_is_kept_with_an_object() {
    let bench = Bench::new();
    bench.write("a.json", b"{}");
    let ran = bench.push(&[
        "a.json",
        "s3://sensor-logs/sensors/",
        "--metadata",
        "Site=north",
        "--metadata=unit=7",
        "--tag",
        "kind=raw data",
        "--storage-class=standard_ia",
        "--sse=s3",
        "--content-encoding=gzip",
        "--checksum=sha256",
        "--expected-bucket-owner=111122223333",
        "--path-style",
    ]);
    assert_eq!(bench.puts().len(), 1, "{}", ran.stderr);
    let put = bench.puts().remove(0);
    for (name, value) in [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
        ("x-amz-meta-site", "north"),
        ("x-amz-meta-unit", "7"),
        ("x-amz-tagging", "kind=raw%20data"),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-server-side-encryption", "AES256"),
        ("x-amz-expected-bucket-owner", "111122223333"),
    ] {
        assert_eq!(put.header(name), Some(value), "{name}");
    }
    assert!(put.header("x-amz-checksum-sha256").is_some());
    assert_eq!(put.target, "/sensor-logs/sensors/a.json");
    for (content_type, sent) in [("none", None), ("text/x-log", Some("text/x-log"))] {
        bench.push(&[
            "a.json",
            "s3://sensor-logs/sensors/",
            "--content-type",
            content_type,
        ]);
        let put = bench.puts().pop().expect("a request");
        assert_eq!(put.header("content-type"), sent);
    }
}

#[test]
fn credentials_of_the_environment() {
    let bench = Bench::new();
    bench.write("a.json", b"{}");
    let session = run(&mut bench.hub.command(&["env", "--shell", "json"]));
    let variables: BTreeMap<String, String> = serde_json::from_str(&session.stdout).expect("JSON");
    let asked = bench.hub.sessions();
    let push = |more: &[&str]| {
        let arguments = ["push", "a.json", "s3://sensor-logs/sensors/"];
        let arguments: Vec<&str> = arguments.iter().chain(more).copied().collect();
        let mut command = crate::support::program::command(Path::new(&bench.path("")), &arguments);
        command.env("AWS_ENDPOINT_URL", bench.hub.sandbox.url());
        command.env("AWS_REGION", &bench.hub.sandbox.config().account.region);
        command
    };
    // Without an identity they are taken, with one they have to be asked for.
    succeeded(&run(push(&[]).envs(&variables)));
    succeeded(&run(push(&["--credentials=environment"])
        .envs(&variables)
        .envs(bench.hub.settings())));
    assert_eq!(bench.hub.sessions(), asked);
    run(&mut push(&[])).failed(2, "not given: certificate");
    run(&mut push(&["--credentials=environment"])).failed(2, "AWS_ACCESS_KEY_ID is not set");
    let wrong = run(push(&[])
        .envs(&variables)
        .env("AWS_SECRET_ACCESS_KEY", "wrong"));
    wrong.failed(6, "SignatureDoesNotMatch");
    assert!(!wrong.stderr.contains("wrong\""));
}
