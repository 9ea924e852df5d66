//! `keystead exec`: what the command finds, and what becomes of signals and exit codes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::support::hub::Hub;
use crate::support::program::{Ran, run};

impl Hub {
    fn exec(&self, words: &[&str]) -> Command {
        let mut arguments = vec!["exec", "--"];
        arguments.extend(words);
        self.command(&arguments)
    }
}

#[track_caller]
fn variables(ran: &Ran) -> Vec<(&str, &str)> {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let lines = ran.stdout.lines();
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[test]
fn the_command_has_our_credentials_and_nobody_elses() {
    let hub = Hub::new();
    let openssl = "pkcs8 -topk8 -v2 aes-256-cbc -passout pass:secret -in hub.key -out hub.enc";
    hub.workshop.openssl(openssl);
    let stale = [
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_SECURITY_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_ACCOUNT_ID",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    ];
    let mut command = hub.exec(&["env"]);
    command
        .envs(stale.map(|name| (name, "stale")))
        .env("AWS_REGION", "eu-west-1")
        .env("KEYSTEAD_KEY", hub.workshop.path("hub.enc"))
        .env("KEYSTEAD_PASSWORD_SOURCE", "env:HUB_PASSWORD")
        .env("HUB_PASSWORD", "secret");
    let ran = run(&mut command);
    let found = variables(&ran);
    assert!(!ran.stdout.contains("stale"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("HUB_PASSWORD="), "{}", ran.stdout);
    let of = |name| found.iter().find(|(found, _)| *found == name);
    let is_set = |name| of(name).is_some_and(|(_, value)| !value.is_empty());
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_CREDENTIAL_EXPIRATION",
        "AWS_REGION",
        "HOME",
        "KEYSTEAD_ROLE_ARN",
    ] {
        assert!(is_set(name), "{name}: {}", ran.stdout);
    }
    // The next one is served from the cache, without a password.
    let again = run(hub
        .exec(&["env"])
        .env("KEYSTEAD_KEY", hub.workshop.path("hub.enc")));
    assert_eq!(
        variables(&again)
            .iter()
            .find(|(name, _)| *name == "AWS_ACCESS_KEY_ID"),
        of("AWS_ACCESS_KEY_ID")
    );
    assert_eq!(hub.sessions(), 1);
}

#[test]
fn a_password_in_a_setting_is_not_handed_on() {
    let hub = Hub::new();
    // A session is there, so that no proxy is asked.
    assert_eq!(run(&mut hub.exec(&["true"])).code, 0);
    let mut command = hub.exec(&["env"]);
    let ran = run(command.env("KEYSTEAD_PROXY", "http://user:hunter2@127.0.0.1:9"));
    let names: Vec<_> = variables(&ran).iter().map(|(name, _)| *name).collect();
    assert!(!names.contains(&"KEYSTEAD_PROXY"));
    assert!(names.contains(&"KEYSTEAD_ENDPOINT"));
}

#[test]
fn the_command_takes_the_place_of_keystead() {
    let hub = Hub::new();
    let mut child = hub
        .exec(&["sh", "-c", "echo $$; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let line = lines.next().expect("a line").expect("text");
    assert_eq!(line, child.id().to_string());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).expect("it is there");
    let status = child.wait().expect("it ends");
    assert_eq!(
        status.signal(),
        Some(rustix::process::Signal::USR1.as_raw())
    );

    assert_eq!(run(&mut hub.exec(&["sh", "-c", "exit 43"])).code, 43);
    // Signals are as every program expects them.
    let status = run(&mut hub.exec(&["cat", "/proc/self/status"])).stdout;
    for name in ["SigBlk:", "SigIgn:", "SigCgt:"] {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let mask = u64::from_str_radix(line.expect(name).trim(), 16).expect("a mask");
        // The C library's own, from 32 on, come from whoever runs the tests.
        assert_eq!(mask & 0x7fff_ffff, 0, "{name} {mask:x}");
    }
    // Core dumps and debuggers are the command's own affair.
    let dumpable = "import ctypes; print(ctypes.CDLL(None).prctl(3))";
    assert_eq!(
        run(&mut hub.exec(&["python3", "-c", dumpable])).stdout,
        "1\n"
    );
}

#[test]
fn input_and_output_are_the_commands() {
    let hub = Hub::new();
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let status = hub
        .exec(&["tee", "copy"])
        .stdin(fs::File::open(hub.workshop.path("hub.pem")).expect("a file"))
        .stdout(writer)
        .status()
        .expect("it runs");
    let mut through = Vec::new();
    reader.read_to_end(&mut through).expect("text");
    assert!(status.success());
    assert_eq!(through, hub.workshop.read("hub.pem"));
    assert_eq!(through, hub.workshop.read("copy"));
}

#[test]
fn a_command_that_cannot_be_run_has_the_shells_exit_codes() {
    let hub = Hub::new();
    run(&mut hub.exec(&["no-such-command"]))
        .failed(127, "no-such-command: there is no such command");
    run(&mut hub.exec(&["./none"])).failed(127, "./none: there is no such command");
    run(&mut hub.exec(&[""])).failed(127, "there is no such command");
    assert_eq!(hub.sessions(), 0);
    hub.workshop.write("data", "text");
    run(&mut hub.exec(&["./data"])).failed(126, "./data cannot be run: Permission denied");
    run(&mut hub.exec(&["/"])).failed(126, "/ cannot be run");
    // A script without a first line that says what runs it is one of the shell's.
    let script = hub.workshop.write("script", "exit 5");
    fs::set_permissions(script, fs::Permissions::from_mode(0o700)).expect("a mode");
    assert_eq!(run(&mut hub.exec(&["./script"])).code, 5);
    let mut found = hub.exec(&["script"]);
    assert_eq!(run(found.env("PATH", ":/bin")).code, 5);
}

#[test]
fn without_dashes_there_is_no_command() {
    let hub = Hub::new();
    for arguments in [
        &["exec"][..],
        &["exec", "env"],
        &["exec", "--"],
        &["exec", "a", "--", "env"],
    ] {
        run(&mut hub.command(arguments)).failed(2, "has to come after `--`");
    }
    run(&mut hub.command(&["exec", "--role-session-name=me", "--", "env"]))
        .failed(6, "Not authorized to set roleSessionName");
}
