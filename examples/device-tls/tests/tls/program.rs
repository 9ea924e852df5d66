//! The program, as a device with a sandbox for AWS.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use keystead::sandbox::{Config, Running, Sandbox, device};
use tempfile::TempDir;

use crate::client::now;

struct Scene {
    folder: TempDir,
    sandbox: Running,
    identity: device::ClientIdentity,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (authority, identity) = device::in_state(folder.path(), now()).unwrap();
        let config = Config {
            storage: Some(folder.path().join("s3")),
            ..Config::ready_made(authority.certificate, None).unwrap()
        };
        let sandbox = Sandbox::start(config).unwrap();
        std::fs::write(folder.path().join("ca.pem"), sandbox.ca_pem().unwrap()).unwrap();
        Self {
            folder,
            sandbox,
            identity,
        }
    }

    /// Runs the program, trusting what is in the file `roots`.
    fn run(&self, roots: &str, endpoint: &str, to: &str) -> Output {
        let account = &self.sandbox.config().account;
        let mut child = Command::new(env!("CARGO_BIN_EXE_device-tls"))
            .current_dir(self.folder.path())
            .env_clear()
            .env("AWS_CA_BUNDLE", roots)
            .env("KEYSTEAD_ENDPOINT", endpoint)
            .args([&self.identity.certificate, Path::new(&self.identity.key)])
            .args([&account.trust_anchors[0].arn, &account.profiles[0].arn])
            .args([&account.roles[0].arn, to])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that has refused does not read any more.
        let _ = child.stdin.take().unwrap().write_all(READING);
        child.wait_with_output().unwrap()
    }
}

const READING: &[u8] = br#"{"celsius": 21.5}"#;
const KEY: &str = "s3://sensor-logs/sensors/device-1/reading.json";

#[test]
fn a_session_and_an_object_over_tls() {
    let scene = Scene::new();
    let ran = scene.run("ca.pem", &scene.sandbox.url(), KEY);
    let (stdout, stderr) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{stderr}");
    assert!(stdout.starts_with("a session until 2"), "{stdout}");
    assert!(
        stdout.ends_with(&format!("{} bytes in {KEY}\n", READING.len())),
        "{stdout}"
    );
    let stored = scene
        .folder
        .path()
        .join("s3/sensor-logs/sensors/device-1/reading.json");
    assert_eq!(std::fs::read(stored).unwrap(), READING);
    assert_eq!(scene.sandbox.session_requests().len(), 1);
}

#[test]
fn who_is_not_trusted_hears_of_nothing() {
    let scene = Scene::new();
    let other = scene.folder.path().join("ca/root.pem");
    let url = scene.sandbox.url();
    for (roots, endpoint, says) in [
        (other.to_str().unwrap(), &url, "lead to no trusted root"),
        ("none.pem", &url, "none.pem"),
        ("ca.pem", &url.replace("https", "http"), "https://"),
    ] {
        let ran = scene.run(roots, endpoint, KEY);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && stderr.contains(says), "{stderr}");
    }
    assert!(scene.sandbox.requests().is_empty());
}

#[test]
fn what_s3_and_the_service_refuse_is_said() {
    let scene = Scene::new();
    let ran = scene.run("ca.pem", &scene.sandbox.url(), "s3://sensor-logs/elsewhere");
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(stderr.contains("403, AccessDenied"), "{stderr}");
}
