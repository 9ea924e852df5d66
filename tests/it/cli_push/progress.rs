//! What is seen of an upload: on a terminal, in a log, by a program; and how it is stopped.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use super::Bench;

/// Ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command with its standard error on a terminal of so many columns: its exit code, and what was on the
/// terminal.
fn on_terminal(command: &mut Command, columns: u16) -> (Option<i32>, String) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&screen).expect("granted");
    unlockpt(&screen).expect("unlocked");
    let name = ptsname(&screen, Vec::new()).expect("a name");
    let end = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("text"))
        .expect("it opens");
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&end, size).expect("a size");
    let mut child = Running(
        command
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(OwnedFd::from(end)))
            .spawn()
            .expect("it starts"),
    );
    // The command has a copy of the end; with ours, reading would never end.
    command.stderr(Stdio::null());
    let mut text = Vec::new();
    // Linux says EIO when the other end is gone.
    let _ = File::from(screen).read_to_end(&mut text);
    let code = child.0.wait().expect("it ends").code();
    (code, String::from_utf8(text).expect("UTF-8"))
}

#[test]
fn a_bar_on_a_terminal() {
    let bench = Bench::new();
    bench.write("a.bin", &vec![1; 200_000]);
    bench.write("b.bin", &vec![2; 100_000]);
    let mut command = bench.command(&[
        "a.bin",
        "b.bin",
        "s3://sensor-logs/sensors/",
        "--bandwidth=300000",
    ]);
    let (code, text) = on_terminal(&mut command, 70);
    assert_eq!(code, Some(0), "{text}");
    let drawn: Vec<&str> = text
        .split("\r\x1b[K")
        .filter(|line| line.contains("] ") && !line.ends_with('\n'))
        .collect();
    assert!(drawn.len() >= 3, "{text:?}");
    assert!(drawn.iter().all(|line| line.len() < 70), "{drawn:?}");
    assert!(
        drawn.iter().any(|line| line.contains(" of 292.9 KiB")),
        "{drawn:?}"
    );
    assert!(drawn.iter().any(|line| line.contains("KiB/s")), "{drawn:?}");
    // What stays is one line.
    let last = text.rsplit("\r\x1b[K").next().expect("a line");
    assert!(last.starts_with("2 files, 292.9 KiB in "), "{text:?}");
}

#[test]
fn no_bar_where_nobody_looks() {
    let bench = Bench::new();
    bench.write("a.bin", &vec![1; 100_000]);
    for more in [&["--no-progress"][..], &["--json"]] {
        let mut arguments = vec!["a.bin", "s3://sensor-logs/sensors/"];
        arguments.extend(more);
        let (code, text) = on_terminal(&mut bench.command(&arguments), 80);
        assert_eq!((code, text.as_str()), (Some(0), ""));
    }
    let ran = bench.push(&["a.bin", "s3://sensor-logs/sensors/"]);
    assert_eq!(ran.stderr, "");
}

#[test]
fn events_for_programs() {
    let bench = Bench::new();
    bench.write("a.bin", &vec![1; 200_000]);
    let ran = bench.push(&[
        "a.bin",
        "missing",
        "s3://sensor-logs/sensors/",
        "--json",
        "--bandwidth=130000",
    ]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.stderr, "");
    let events: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let of = |name: &str| {
        let found: Vec<&Value> = events
            .iter()
            .filter(|event| event["event"] == name)
            .collect();
        assert!(!found.is_empty(), "{name}: {}", ran.stdout);
        found[0].clone()
    };
    assert_eq!(of("begin")["bytes"], 200_000);
    assert_eq!(of("progress")["total"], 200_000);
    assert!(
        of("failed")["message"]
            .as_str()
            .unwrap()
            .starts_with("missing: ")
    );
    let uploaded = of("uploaded");
    assert_eq!(uploaded["key"], "sensors/a.bin");
    assert_eq!(uploaded["bucket"], "sensor-logs");
    assert_eq!(uploaded["source"], "a.bin");
    assert_eq!(uploaded["etag"].as_str().map(str::len), Some(32));
    assert_eq!(of("end")["uploaded"], 1);
}

#[test]
fn stopped_by_a_person() {
    let bench = Bench::new();
    bench.write("a.bin", &vec![1; 100_000]);
    bench.write("b.bin", &vec![1; 100_000]);
    let mut command = bench.command(&[
        "a.bin",
        "b.bin",
        "s3://sensor-logs/sensors/",
        "--json",
        "--bandwidth=20000",
    ]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = Running(command.spawn().expect("it starts"));
    // It has begun when it shows progress.
    let mut stdout = child.0.stdout.take().expect("a pipe");
    let mut seen = String::new();
    while !seen.contains("\"event\":\"progress\"") {
        let mut piece = [0; 1000];
        let read = stdout.read(&mut piece).expect("it is read");
        assert!(read > 0, "{seen}");
        seen += core::str::from_utf8(&piece[..read]).expect("UTF-8");
    }
    let pid = Pid::from_child(&child.0);
    kill_process(pid, Signal::INT).expect("it is there");
    stdout.read_to_string(&mut seen).expect("the rest");
    assert_eq!(child.0.wait().expect("it ends").code(), Some(130), "{seen}");
    assert!(seen.contains("stopped: 0 of 2 files are there"), "{seen}");
    assert!(bench.objects().is_empty());
}
