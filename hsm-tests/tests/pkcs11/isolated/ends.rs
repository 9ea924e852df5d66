//! Who ends with whom: a daemon, its launcher, its workers.

use hsm_tests::fault::{Effect, When};
use hsm_tests::processes::{await_end, await_that, is_gone};
use hsm_tests::{Holder, SoftHsm, program};

use super::{Bench, signer};

/// A daemon that holds the key open.
fn holder(bench: &Bench, way: &str) -> Holder {
    let mut command = bench.hsm.command(program::key_holder().to_str().unwrap());
    command
        .arg(way)
        .arg(signer())
        .arg(bench.module.path())
        .arg(bench.hsm.folder().join("state"))
        .arg(bench.hsm.key_uri(1))
        .arg("HOLDERS_SECRET")
        .env("HOLDERS_SECRET", "do not inherit")
        .env("HOLDERS_OTHER", "inherit");
    Holder::start(&mut command)
}

#[test]
fn a_killed_daemon_leaves_nothing_behind() {
    for way in ["direct", "launcher"] {
        let bench = Bench::new(SoftHsm::new("killed"));
        let mut holder = holder(&bench, way);
        assert_eq!(holder.sign(), "signed");
        let worker = bench.worker();
        let started = holder.children();
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
        let mut holder = holder(&bench, way);
        assert_eq!(holder.sign(), "signed");
        let never = bench.hsm.folder().join("never");
        bench.fail("C_Sign", When::Always, Effect::WaitFor(never));
        let (worker, started) = (bench.worker(), holder.children());
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
    let mut holder = holder(&bench, "launcher");
    assert_eq!(holder.sign(), "signed");
    let (worker, launcher) = (bench.worker(), holder.children());
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
    let mut holder = holder(&bench, "launcher");
    assert_eq!(holder.sign(), "signed");
    let (worker, launcher) = (bench.worker(), holder.children());
    holder.end();
    assert!(is_gone(worker) && is_gone(launcher[0]));
    // It logged out, and was not killed.
    assert_eq!(bench.module.count("C_Finalize"), 1);
}

#[test]
fn neither_the_pin_nor_a_secret_variable_is_to_be_seen() {
    for way in ["direct", "launcher"] {
        let bench = Bench::new(SoftHsm::new("secret"));
        let holder = holder(&bench, way);
        let mut started = holder.children();
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
