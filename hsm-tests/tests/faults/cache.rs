//! `credential-process`, again and again, and many at once.

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hsm_tests::lab::now;
use keystead::core::time::UnixTime;

use crate::ledger::{Got, Ledger};
use crate::scene::{Scene, await_recovery};

/// The cache gives nothing for the last minute of a session: so there are new ones every other second.
const LIFE: Duration = Duration::from_secs(62);

/// How many ask all the time, and how many at once.
const LOOPS: usize = 2;
const CROWD: usize = 12;

#[test]
fn what_the_cache_hands_out_is_whole_and_alive() {
    let mut scene = Scene::new(LIFE, "cache-dir = \"cache\"\ncache-min-life = \"1s\"");
    let ledger = Ledger::default();
    let is_over = AtomicBool::new(false);
    let start = |scene: &Scene| {
        let mut command = scene.keystead(&["credential-process", "--identity", "hub"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        move || -> Child { start(&mut command) }
    };
    let mut commands: Vec<_> = (0..=LOOPS).map(|_| start(&scene)).collect();
    let mut crowd = commands.pop().expect("a command");
    let account = thread::scope(|scope| {
        for mut one in commands {
            let (ledger, is_over) = (&ledger, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let asked = now();
                    let output = one().wait_with_output().expect("it ends");
                    judge(ledger, &output, asked);
                }
            });
        }
        let (ledger, is_over) = (&ledger, &is_over);
        let crowd = &mut crowd;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let asked = now();
                let all: Vec<Child> = (0..CROWD).map(|_| crowd()).collect();
                for child in all {
                    let output = child.wait_with_output().expect("it ends");
                    judge(ledger, &output, asked);
                }
            }
        });
        let account = scene.play();
        is_over.store(true, Ordering::Relaxed);
        account
    });
    await_recovery(&account, || {
        let asked = now();
        let output = crowd().wait_with_output().expect("it ends");
        judge(&ledger, &output, asked);
        output.status.success()
    });
    scene.verdict(&ledger, &account);
}

fn start(command: &mut Command) -> Child {
    command.spawn().expect("it starts")
}

fn judge(ledger: &Ledger, output: &Output, asked: UnixTime) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        match Got::from_json(&stdout, "SessionToken") {
            Ok(got) => ledger.handed_out(got, asked),
            Err(why) => ledger.wrong(why),
        }
        return;
    }
    ledger.denied();
    // A sentence on what is wrong, and nothing that could be taken for credentials.
    if !stdout.is_empty() || !stderr.contains("keystead: ") || output.status.code().is_none() {
        ledger.wrong(format!("{}: {stdout}\n{stderr}", output.status));
    }
}
