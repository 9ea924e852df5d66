//! `keystead spool add --records`: what is answered is on disk, whatever happens next.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keystead::host::spool::{Options, Spool};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::program::{Ran, command};

/// A spool, and a folder that is home.
struct Scene {
    home: TempDir,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a folder");
        Self { home }
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("spool")
    }

    /// `spool add --records` with more arguments.
    fn command(&self, more: &[&str]) -> Command {
        let all: Vec<&str> = ["spool", "add", "--records"]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        let mut command = command(self.home.path(), &all);
        command
            .env("KEYSTEAD_SPOOL_DIR", self.folder())
            .env("KEYSTEAD_PUSH_TO", "s3://sensor-logs/sensors/{name}")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    fn add(&self, more: &[&str], input: &[u8]) -> Ran {
        let mut child = self.command(more).spawn().expect("it starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // It may end before it has read everything.
        std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(input)));
            let output = child.wait_with_output().expect("it ends");
            Ran {
                code: output.status.code().expect("it is not killed"),
                stdout: String::from_utf8(output.stdout).expect("UTF-8"),
                stderr: String::from_utf8(output.stderr).expect("UTF-8"),
            }
        })
    }

    /// Keys and contents of all entries, the oldest first.
    fn entries(&self) -> Vec<(String, Vec<u8>)> {
        let spool = Spool::open(self.folder(), Options::default()).expect("a spool");
        let entries = spool.entries().expect("entries").into_iter();
        entries
            .map(|(id, head)| {
                let file = fs::read(self.folder().join(format!("entries/{id}"))).expect("a file");
                let length = usize::try_from(head.digests.length).expect("a length");
                (head.key, file[..length].to_vec())
            })
            .collect()
    }

    /// The records in all of them.
    fn records(&self) -> Vec<String> {
        let contents = self.entries().into_iter().map(|(_, content)| content);
        let text = String::from_utf8(contents.flatten().collect()).expect("UTF-8");
        text.lines().map(String::from).collect()
    }

    fn open_batches(&self) -> usize {
        fs::read_dir(self.folder().join("records"))
            .expect("a folder")
            .count()
    }
}

fn numbers(range: std::ops::Range<usize>) -> String {
    range
        .map(|number| format!("{{\"n\":{number}}}\n"))
        .collect()
}

/// The last answer: lines and records.
fn settled(answers: &str) -> (u64, u64) {
    let last = answers.lines().last().expect("an answer");
    let last: Value = serde_json::from_str(last).expect("JSON");
    let number = |name: &str| last[name].as_u64().expect("a number");
    (number("lines"), number("accepted"))
}

#[test]
fn records_become_batches_of_the_size_that_is_asked_for() {
    let scene = Scene::new();
    let input = numbers(0..1000);
    let ran = scene.add(&["--batch-records=300"], input.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(settled(&ran.stdout), (1000, 1000));
    let entries = scene.entries();
    assert_eq!(entries.len(), 4);
    assert!(
        entries
            .iter()
            .all(|(key, _)| key.starts_with("sensors/20") && key.ends_with(".ndjson"))
    );
    assert!(scene.records().iter().map(String::as_str).eq(input.lines()));
    assert_eq!(scene.open_batches(), 0);
}

#[test]
fn bad_lines_are_refused_one_by_one() {
    let scene = Scene::new();
    let input = b"{\"a\":1}\n{\"a\":\n\n\"\xff\"\n[2]\r\n{\"torn\":";
    let ran = scene.add(&[], input);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for says in [
        "line 2 is refused: it is not JSON: EOF while parsing a value (byte 5)",
        "line 4 is refused: it is not UTF-8 (byte 2)",
        "line 6 is refused: it is not JSON",
        "3 of 6 lines are no records and were refused; 2 records were accepted",
    ] {
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    }
    assert_eq!(settled(&ran.stdout), (6, 2));
    assert_eq!(scene.records(), ["{\"a\":1}", "[2]"]);
}

#[test]
fn compressed_batches_say_so() {
    let scene = Scene::new();
    let input = numbers(0..5000);
    let ran = scene.add(&["--compress", "gzip"], input.as_bytes());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let (key, packed) = scene.entries().swap_remove(0);
    assert!(key.ends_with(".ndjson.gz"), "{key}");
    let mut gunzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("gzip");
    let mut stdin = gunzip.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(&packed));
    let output = gunzip.wait_with_output().expect("it ends");
    writer.join().expect("a thread").expect("it reads all");
    assert!(output.stdout == input.as_bytes());
}

/// `--group-commit` is there for sensors that write a record at a time.
#[test]
fn five_thousand_records_a_second() {
    let scene = Scene::new();
    let input = numbers(0..50_000);
    let began = Instant::now();
    let ran = scene.add(&["--group-commit"], input.as_bytes());
    let took = began.elapsed();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(settled(&ran.stdout), (50_000, 50_000));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(scene.records().len(), 50_000);
}

/// Kills it when some answers have come. How many lines were settled then.
fn kill_in_the_middle(scene: &Scene, after: usize, input: &str) -> u64 {
    let mut child = scene
        .command(&["--batch-records=700"])
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        for piece in input.as_bytes().chunks(1000) {
            if stdin.write_all(piece).is_err() {
                return;
            }
        }
    });
    let answers = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let answers: Vec<String> = answers
        .take(after)
        .map(|line| line.expect("text"))
        .collect();
    kill(&mut child);
    writer.join().expect("a thread");
    settled(&answers.join("\n")).1
}

fn kill(child: &mut Child) {
    // It may have come to its end.
    let _ = child.kill();
    child.wait().expect("it ends");
}

#[test]
fn nothing_that_was_answered_is_lost_by_kill_9() {
    for after in [1, 2, 3, 5, 8, 13, 21] {
        let scene = Scene::new();
        let input = numbers(0..20_000);
        let accepted = kill_in_the_middle(&scene, after, &input);
        assert!(accepted > 0);
        // Whoever comes next finds it.
        let ran = scene.add(&[], b"");
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let found = scene.records();
        assert!(
            found.len() as u64 >= accepted,
            "{} of {accepted}",
            found.len()
        );
        assert!(input.lines().zip(&found).all(|(line, found)| line == found));
        assert_eq!(scene.open_batches(), 0);
        assert_eq!(
            fs::read_dir(scene.folder().join("tmp"))
                .expect("a folder")
                .count(),
            0
        );
    }
}

#[test]
fn a_full_spool_refuses_or_has_them_wait() {
    let scene = Scene::new();
    let record = format!("\"{}\"\n", "x".repeat(20_000));
    let small = ["--max-size=200KiB", "--batch-records=1"];
    let ran = scene.add(&small, record.repeat(20).as_bytes());
    assert!(
        ran.code != 0 && ran.stderr.contains("is full"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("records accepted)"), "{}", ran.stderr);
    let accepted = scene.records().len();
    assert!(
        accepted >= 1 && accepted as u64 >= settled_or_none(&ran.stdout),
        "{}",
        ran.stdout
    );

    // Room is made while somebody waits.
    let waiting = [&small[..], &["--wait"]].concat();
    let spool = Spool::open(scene.folder(), Options::default()).expect("a spool");
    let ran = std::thread::scope(|scope| {
        let adding = scope.spawn(|| scene.add(&waiting, record.repeat(20).as_bytes()));
        let mut delivered = 0;
        while !adding.is_finished() || delivered < accepted + 20 {
            for (id, _) in spool.entries().expect("entries") {
                delivered += usize::from(spool.remove(id).expect("it is removed"));
            }
            assert!(
                !adding.is_finished()
                    || delivered >= accepted + 20
                    || !spool.entries().expect("entries").is_empty()
            );
        }
        adding.join().expect("a thread")
    });
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(settled(&ran.stdout), (20, 20));
}

fn settled_or_none(answers: &str) -> u64 {
    match answers.is_empty() {
        true => 0,
        false => settled(answers).1,
    }
}

#[test]
fn what_cannot_work_is_said_at_once() {
    let scene = Scene::new();
    for (arguments, says) in [
        (
            &["--to", "s3://b/fixed"][..],
            "all of them would have the same key",
        ),
        (
            &["data.json"],
            "`data.json`: records come from standard input",
        ),
        (
            &["--batch-size=1GiB", "--max-size=2GiB"],
            "more than a quarter of the spool's quota",
        ),
        (&["--batch-records=0"], "the number of records is 1 or more"),
        (&["--batch-age=10ms"], "this is less than a second"),
        (&["--compress=lzma"], "a compression is none, gzip or zstd"),
        (&["--record-max-size=1GiB"], "a record has 64 MiB at most"),
    ] {
        scene.add(arguments, b"").failed(2, says);
    }
    assert!(!scene.folder().exists());
}
