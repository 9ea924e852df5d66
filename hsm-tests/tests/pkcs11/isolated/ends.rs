//! Who ends with whom: a daemon, its launcher, its workers.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use hsm_tests::fault::{Effect, When};
use hsm_tests::processes::{await_end, await_that, children, is_gone};
use hsm_tests::{SoftHsm, program};

use super::{Bench, signer};

/// A daemon that holds the key open.
struct Holder {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Holder {
    fn new(bench: &Bench, way: &str) -> Self {
        let mut command = bench.hsm.command(program::key_holder().to_str().unwrap());
        let mut child = command
            .arg(way)
            .arg(signer())
            .arg(bench.module.path())
            .arg(bench.hsm.folder().join("state"))
            .arg(bench.hsm.key_uri(1))
            .arg("HOLDERS_SECRET")
            .env("HOLDERS_SECRET", "do not inherit")
            .env("HOLDERS_OTHER", "inherit")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut holder = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(holder.says(), "open");
        holder
    }

    fn says(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self) {
        self.input.write_all(b"message\n").unwrap();
    }

    fn sign(&mut self) -> String {
        self.ask();
        self.says()
    }

    /// kill -9.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_behind() {
    for way in ["direct", "launcher"] {
        let bench = Bench::new(SoftHsm::new("killed"));
        let mut holder = Holder::new(&bench, way);
        assert_eq!(holder.sign(), "signed");
        let worker = bench.worker();
        let started = children(holder.child.id());
        assert_eq!(started.len(), 1);
        assert_eq!(started[0] == worker, way == "direct");
        holder.kill();
        await_end(worker);
        await_end(started[0]);
    }
}

#[test]
fn a_killed_daemon_leaves_nothing_behind_even_if_the_module_hangs() {
    for way in ["direct", "launcher"] {
        let mut bench = Bench::new(SoftHsm::new("hanging"));
        let mut holder = Holder::new(&bench, way);
        assert_eq!(holder.sign(), "signed");
        let never = bench.hsm.folder().join("never");
        bench.fail("C_Sign", When::Always, Effect::WaitFor(never));
        let (worker, started) = (bench.worker(), children(holder.child.id()));
        let signed = bench.module.count("C_Sign");
        holder.ask();
        await_that("the call that hangs", || {
            bench.module.count("C_Sign") > signed
        });
        holder.kill();
        await_end(worker);
        await_end(started[0]);
    }
}

#[test]
fn without_a_launcher_there_is_an_error_and_no_worker() {
    let bench = Bench::new(SoftHsm::new("launcher"));
    let mut holder = Holder::new(&bench, "launcher");
    assert_eq!(holder.sign(), "signed");
    let (worker, launcher) = (bench.worker(), children(holder.child.id()));
    super::faults::kill(launcher[0]);
    await_end(worker);
    let ended = "the process that speaks to the token ended";
    assert_eq!(holder.sign(), ended);
    assert_eq!(holder.sign(), ended);
    holder.kill();
}

#[test]
fn a_daemon_that_ends_ends_them_all() {
    let bench = Bench::new(SoftHsm::new("ending"));
    let mut holder = Holder::new(&bench, "launcher");
    assert_eq!(holder.sign(), "signed");
    let (worker, launcher) = (bench.worker(), children(holder.child.id()));
    let Holder { child, input, .. } = &mut holder;
    drop(std::mem::replace(input, no_input()));
    assert!(child.wait().unwrap().success());
    assert!(is_gone(worker) && is_gone(launcher[0]));
    // It logged out, and was not killed.
    assert_eq!(bench.module.count("C_Finalize"), 1);
}

/// Somebody's standard input that is not missed.
fn no_input() -> ChildStdin {
    let mut child = program::command("true")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    child.wait().unwrap();
    input
}

#[test]
fn neither_the_pin_nor_a_secret_variable_is_to_be_seen() {
    for way in ["direct", "launcher"] {
        let bench = Bench::new(SoftHsm::new("secret"));
        let holder = Holder::new(&bench, way);
        let mut started = children(holder.child.id());
        started.push(bench.worker());
        for process in started {
            let folder = hsm_tests::processes::folder(process);
            let arguments = std::fs::read(folder.join("cmdline")).unwrap();
            let arguments = String::from_utf8(arguments).unwrap();
            assert!(arguments.starts_with("keystead-signer\0"), "{arguments}");
            assert!(
                !arguments.contains("pkcs11") && !arguments.contains("1234"),
                "{arguments}"
            );
            // Only root may read it: the process is protected.
            if let Ok(environment) = std::fs::read(folder.join("environ")) {
                let environment = String::from_utf8(environment).unwrap();
                assert!(
                    environment.contains("HOLDERS_OTHER=inherit"),
                    "{environment}"
                );
                assert!(!environment.contains("HOLDERS_SECRET"), "{environment}");
            }
        }
    }
}
