//! Many processes that want the same credentials, and what becomes of them when one dies or hangs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use keystead::sandbox::Fault;

use super::Scene;

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

/// Starts fifty at once, and gives what they left behind.
fn fifty(scene: &Scene, more: &[&str]) -> Vec<Output> {
    let start = |_| {
        let mut command = scene.command(more);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it starts")
    };
    let all: Vec<Child> = (0..50).map(start).collect();
    let ends = all.into_iter().map(Child::wait_with_output);
    ends.map(|output| output.expect("it ends")).collect()
}

#[test]
fn fifty_at_once_begin_one_session() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Slow(Duration::from_millis(300)).always());
    let all = fifty(&scene, &[]);
    for output in &all {
        assert!(output.status.success(), "{output:?}");
        assert_eq!(output.stdout, all[0].stdout);
    }
    assert_eq!(scene.sessions(), 1);
}

#[test]
fn who_waits_has_the_failure_that_it_waited_for() {
    let scene = Scene::new();
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Slow(Duration::from_secs(60)).times(1));
    let impatient = ["--timeout=2s"];
    let mut first = Busy::start(scene.command(&impatient));
    first.until("--- request");
    let mut second = Busy::start(scene.command(&impatient));
    second.until("waiting");
    // It would get a session, if it asked.
    second.until("another process has just tried, and failed");
    second.until("keystead: http://127.0.0.1");
    for busy in [&mut first, &mut second] {
        assert_eq!(busy.child.wait().expect("it ends").code(), Some(5));
    }
    assert_eq!(scene.sessions_with(&[]), 1);
}

#[test]
fn who_goes_another_way_tries_for_itself() {
    let scene = Scene::new();
    let nowhere = ["--proxy=http://127.0.0.1:9", "--timeout=2s"];
    let faults = &scene.sandbox.config().faults;
    faults.add(Fault::Slow(Duration::from_secs(60)).times(1));
    let mut first = Busy::start(scene.command(&["--timeout=2s"]));
    first.until("--- request");
    let mut others = [&nowhere[..], &["--timeout=30s"]].map(|more| {
        let mut busy = Busy::start(scene.command(more));
        busy.until("waiting");
        busy
    });
    let code = |busy: &mut Busy| busy.child.wait().expect("it ends").code();
    assert_eq!(code(&mut first), Some(5));
    assert_eq!(code(&mut others[1]), Some(0));
    // Whichever of the two was first.
    assert!(matches!(code(&mut others[0]), Some(0 | 5)));
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
