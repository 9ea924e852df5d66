//! A hub's whole life: its key is made in the TPM, certified, and used for S3 by a real client; the hub is
//! shut down, and loses its power; a program is killed in the middle.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use hsm_tests::alone::{my_part, part};
use hsm_tests::{Swtpm, alone, program, run};
use keystead::backend::isolated::{Environment, IsolatedTpm, Starter};
use keystead::backend::tpm::{Device, KeyPlace, Local, OpenKey};

use crate::rig::{AUTH, HANDLE, file, sign};

/// A hub with its TPM. What it writes down is in one folder.
struct Hub(Swtpm);

impl Hub {
    fn keystead(&self) -> Command {
        let mut command = self.0.command(program::keystead());
        command
            .env("HOME", self.0.folder())
            // Where the machine has a TPM, that is not meant.
            .env("KEYSTEAD_TCTI", self.0.tcti());
        command
    }

    /// Runs keystead, which says nothing but its result.
    #[track_caller]
    fn done(&self, line: &str) -> String {
        let finished = run(self.keystead().args(line.split(' ')));
        assert_eq!(finished.stderr, "", "{line}");
        finished.success().trim_end().to_owned()
    }

    /// Writes an object by AWS's command line, with credentials for the key.
    #[track_caller]
    fn writes(&self, key: &str, object: &str) {
        let reading = format!("{{\"of\": \"{object}\"}}");
        fs::write(self.0.folder().join("reading.json"), &reading).unwrap();
        let mut command = self.keystead();
        command
            .args(["sandbox", "--ca", "ca", "--state", "state", "--certificate"])
            .args(["hub.pem", "--key", key, "--"])
            .arg(program::client("aws"))
            .args(["s3", "cp", "--no-progress", "reading.json"])
            .arg(format!("s3://sensor-logs/sensors/{object}"));
        run(&mut command).success();
        let stored = format!("state/objects/sensor-logs/sensors/{object}");
        let stored = fs::read_to_string(self.0.folder().join(stored)).unwrap();
        assert_eq!(stored, reading);
    }
}

/// What `key generate` makes is used for as long as the hub lives.
#[track_caller]
fn lives(name: &str, storage_root: bool) {
    let mut hub = Hub(Swtpm::new());
    if storage_root {
        hub.0.make_storage_root();
    }
    let key = hub.done(&format!("key generate {name} --new-auth hub.auth"));
    hub.done(&format!(
        "cert request {key} --subject CN=hub-17,O=Acme --out hub.csr"
    ));
    hub.done("ca init");
    hub.done("ca issue --csr hub.csr --cert hub.pem");
    hub.writes(&key, "first.json");
    hub.0.reboot();
    hub.writes(&key, "after-a-reboot.json");
    for cut in 1..=3 {
        hub.0.restart();
        hub.writes(&key, &format!("after-power-cut-{cut}.json"));
    }
    hub.0.assert_nothing_left();
    let lockout = hub.0.lockout();
    assert!(lockout.failures == 0 && !lockout.locked, "{lockout:?}");
    // It is not on the disk: another TPM has no use for what is there.
    hub.0.lose_state();
    hub.0.start();
    let mut lost = hub.keystead();
    run(lost.args(["sign-string", "--key", &key])).failure();
}

#[test]
fn a_key_in_a_file_serves_a_hub_for_its_life() {
    lives("tpm:file=hub.tss2", false);
}

#[test]
fn a_key_at_a_handle_serves_a_hub_for_its_life() {
    lives("tpm:handle=0x81000011", true);
}

/// A program that has a key open, until it is killed.
struct Holder {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Holder {
    /// Starts it, and waits until it has signed.
    #[track_caller]
    fn start(how: &str) -> Self {
        let mut part = part(how);
        let mut child = part
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process can be started");
        let says = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut holder = Self { child, says };
        holder.await_word("signed");
        holder
    }

    #[track_caller]
    fn await_word(&mut self, word: &str) {
        let mut lines = self.says.by_ref().lines().map_while(Result::ok);
        assert!(lines.any(|line| line == word), "it does not say {word}");
    }

    /// SIGKILL: nothing of it runs after that.
    fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }
}

/// Signs with the key file, says so, and waits for its end.
fn hold(device: &mut dyn Device, key: KeyPlace) {
    let mut signer = device
        .open(
            &OpenKey {
                key,
                certificates: Vec::new(),
                salt: None,
            },
            Box::new(hsm_tests::operator::StoredAuth::new(AUTH)),
        )
        .unwrap_or_else(|error| panic!("{error}"))
        .signer;
    sign(&mut signer).unwrap();
    println!("\nsigned");
    io::stdout().flush().unwrap();
    io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
}

#[test]
fn what_was_killed_leaves_nothing_that_stays() {
    alone(
        |_| Vec::new(),
        |folder| match my_part().as_deref() {
            None => {
                let tpm = Swtpm::at(folder);
                tpm.make_storage_root();
                tpm.make_key("ecc256:null:null", "|sign|noda", AUTH, HANDLE);
                file(&tpm);
                // Another program's, which stays.
                tpm.tool("createprimary -Q -C o -c others.ctx");
                let others = tpm.left();
                assert_eq!(others.objects.len(), 1);
                for how in ["local handle", "local file", "isolated file"] {
                    for _ in 0..3 {
                        Holder::start(how).kill();
                        let left = tpm.left();
                        let count = left.objects.len() + left.loaded_sessions.len();
                        assert!(count <= 3, "{how}: {left:?}");
                    }
                    let mut device = Local::new(Swtpm::access_in(folder));
                    let key = key(folder, how);
                    let request = OpenKey {
                        key,
                        certificates: Vec::new(),
                        salt: None,
                    };
                    let operator = hsm_tests::operator::StoredAuth::new(AUTH);
                    let opened = device.open(&request, Box::new(operator)).unwrap();
                    sign(&mut { opened.signer }).unwrap();
                    drop(device);
                    assert_eq!(tpm.left(), others, "{how}");
                }
            }
            Some(how) => {
                let access = Swtpm::access_in(folder);
                let key = key(folder, how);
                if how.starts_with("local") {
                    hold(&mut Local::new(access), key);
                } else {
                    let starter =
                        Starter::direct(program::keystead_signer(), Environment::default());
                    hold(&mut IsolatedTpm::new(starter, access), key);
                }
            }
        },
    );
}

fn key(folder: &std::path::Path, how: &str) -> KeyPlace {
    if how.ends_with("handle") {
        return KeyPlace::Handle(HANDLE);
    }
    KeyPlace::File {
        name: "device.tss2".to_owned(),
        contents: fs::read(folder.join("device.tss2")).unwrap(),
    }
}
