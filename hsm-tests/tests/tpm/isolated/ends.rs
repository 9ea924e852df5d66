//! Who ends with whom, and what the TPM holds then.

use std::fs;

use hsm_tests::processes::{await_end, children, folder};
use hsm_tests::{Holder, Swtpm, program, run};

use super::{AUTH, HANDLE};

const WAYS: [&str; 2] = ["direct", "launcher"];

/// A daemon that holds a key open.
fn holder(tpm: &Swtpm, way: &str, key: &str, log: Option<&str>) -> Holder {
    let mut command = tpm.command(program::key_holder());
    command
        .arg(way)
        .arg(program::keystead_signer())
        .arg(tpm.tcti())
        .arg(tpm.folder().join("keystead"))
        .args([key, "HOLDERS_SECRET"])
        .env("HOLDERS_SECRET", "do not inherit")
        .env("HOLDERS_OTHER", "inherit")
        .env_remove("TSS2_LOG");
    if let Some(log) = log {
        command.env("TSS2_LOG", log);
    }
    Holder::start(&mut command)
}

fn at_handle() -> String {
    format!("tpm:handle={HANDLE:#x}")
}

/// The process that speaks to the TPM.
fn worker(holder: &Holder, way: &str) -> u32 {
    let started = holder.children();
    let workers = match way {
        "direct" => started,
        _ => children(started[0]),
    };
    assert_eq!(workers.len(), 1);
    workers[0]
}

#[test]
fn a_killed_worker_costs_nothing() {
    let tpm = super::tpm();
    for way in WAYS {
        let mut holder = holder(&tpm, way, &at_handle(), None);
        assert_eq!(holder.sign(), "signed");
        let killed = worker(&holder, way);
        run(program::command("kill").args(["-KILL", &killed.to_string()])).success();
        await_end(killed);
        assert_eq!(holder.sign(), "signed");
        assert_ne!(worker(&holder, way), killed);
        holder.end();
        tpm.assert_nothing_left();
    }
}

#[test]
fn a_killed_daemon_leaves_neither_processes_nor_keys_in_the_tpm() {
    let tpm = super::tpm();
    for way in WAYS {
        for key in [&*at_handle(), "tpm:file=key.tss2"] {
            let mut holder = holder(&tpm, way, key, None);
            assert_eq!(holder.sign(), "signed");
            let mut started = holder.children();
            started.push(worker(&holder, way));
            holder.kill();
            started.into_iter().for_each(await_end);
            tpm.assert_nothing_left();
        }
    }
}

#[test]
fn a_killed_daemon_leaves_no_processes_even_if_the_tpm_hangs() {
    let tpm = super::tpm();
    for way in WAYS {
        let mut holder = holder(&tpm, way, &at_handle(), None);
        assert_eq!(holder.sign(), "signed");
        let mut started = holder.children();
        started.push(worker(&holder, way));
        tpm.hang();
        holder.ask();
        holder.kill();
        started.into_iter().for_each(await_end);
        tpm.go_on();
        let mut next = self::holder(&tpm, way, &at_handle(), None);
        assert_eq!(next.sign(), "signed");
        next.end();
        tpm.assert_nothing_left();
    }
}

#[test]
fn nothing_secret_is_to_be_seen_and_libtss2_is_quiet_unless_told() {
    let tpm = super::tpm();
    for way in WAYS {
        for (set, found) in [(None, "all+none"), (Some("esys+error"), "esys+error")] {
            let holder = holder(&tpm, way, &at_handle(), set);
            let mut started = holder.children();
            started.push(worker(&holder, way));
            for process in started {
                let arguments = fs::read(folder(process).join("cmdline")).unwrap();
                let arguments = String::from_utf8(arguments).unwrap();
                assert!(arguments.starts_with("keystead-signer\0"), "{arguments}");
                for private in ["tpm", "8100", AUTH] {
                    assert!(!arguments.contains(private), "{arguments}");
                }
                // Only root may read it: the process is protected.
                if let Ok(environment) = fs::read(folder(process).join("environ")) {
                    let environment = String::from_utf8(environment).unwrap();
                    let has = |line: &str| environment.split('\0').any(|found| found == line);
                    assert!(has("HOLDERS_OTHER=inherit"), "{environment}");
                    assert!(has(&format!("TSS2_LOG={found}")), "{environment}");
                    for private in ["HOLDERS_SECRET", AUTH] {
                        assert!(!environment.contains(private), "{environment}");
                    }
                }
            }
        }
    }
}
