//! `keystead spool run`, and what is asked of it, against the sandbox.

mod delivery;
mod questions;
mod records;
mod watch;
mod weather;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use keystead::sandbox::{Config, Recorded, Scheme, Service};
use serde_json::Value;

use crate::support::hub::Hub;
use crate::support::program::{Ran, run};
use crate::support::wait::until;

/// A hub with a spool, and a sandbox that keeps its objects in a folder.
struct Scene {
    hub: Hub,
}

impl Scene {
    fn new() -> Self {
        Self::of(Scheme::Http)
    }

    fn of(scheme: Scheme) -> Self {
        let hub = Hub::with(|root, workshop| Config {
            scheme,
            storage: Some(workshop.path("objects")),
            ..Config::ready_made(root, None).expect("policies")
        });
        if let Some(ca) = hub.sandbox.ca_pem() {
            hub.workshop.write("sandbox.pem", ca);
        }
        Self { hub }
    }

    /// `keystead spool` with these arguments, and everything that it needs to know in the environment.
    fn spool(&self, arguments: &[&str]) -> Command {
        let all: Vec<&str> = ["spool"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let mut command = self.hub.command(&all);
        command
            .env("KEYSTEAD_SPOOL_DIR", self.folder())
            .env("KEYSTEAD_PUSH_S3_ENDPOINT", self.hub.sandbox.url())
            .env("KEYSTEAD_PUSH_TO", "s3://sensor-logs/sensors/{name}");
        if self.hub.sandbox.ca_pem().is_some() {
            command.env("KEYSTEAD_CA_BUNDLE", "sandbox.pem");
        }
        command
    }

    fn folder(&self) -> PathBuf {
        self.hub.workshop.path("spool")
    }

    /// Adds content under that name.
    #[track_caller]
    fn add(&self, name: &str, content: &str) {
        self.add_to("s3://sensor-logs/sensors/{name}", name, content);
    }

    #[track_caller]
    fn add_to(&self, to: &str, name: &str, content: &str) {
        self.hub.workshop.write(name, content);
        let ran = run(&mut self.spool(&["add", name, "--to", to]));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    /// The program that delivers, when it has begun.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Delivering {
        let all: Vec<&str> = ["run"]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        Delivering::start(&mut self.spool(&all), self.hub.workshop.path("run.log"))
    }

    /// What is under that key.
    fn object(&self, key: &str) -> Option<String> {
        fs::read_to_string(self.hub.workshop.path("objects/sensor-logs").join(key)).ok()
    }

    /// Waits until the object is there, and its entry is not any more.
    #[track_caller]
    fn arrives(&self, name: &str, content: &str) {
        let key = format!("sensors/{name}");
        until(name, || self.object(&key).filter(|found| found == content));
        until("the entry is deleted", || {
            self.entries().is_empty().then_some(())
        });
    }

    /// The entries that wait.
    fn entries(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.folder().join("entries")).expect("a spool");
        files.map(|file| file.expect("an entry").path()).collect()
    }

    fn status(&self) -> Value {
        let ran = run(&mut self.spool(&["status", "--json"]));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("JSON")
    }

    fn command(&self, arguments: &[&str]) -> Ran {
        run(&mut self.spool(arguments))
    }

    /// The requests to S3.
    fn uploads(&self) -> Vec<Recorded> {
        let mut all = self.hub.sandbox.requests();
        all.retain(|request| request.service == Service::S3);
        all
    }

    /// What is answered at the socket in the spool.
    fn ask(&self, path: &str) -> String {
        let mut stream = UnixStream::connect(self.folder().join("run.socket")).expect("a socket");
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .expect("a reader");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

/// A program that delivers, until it is dropped.
struct Delivering {
    child: Child,
    log: PathBuf,
}

impl Delivering {
    #[track_caller]
    fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).expect("a file");
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("it starts");
        let mut delivering = Self { child, log };
        until("it delivers", || {
            let ended = delivering.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{}", delivering.log());
            delivering.log().contains("delivering ").then_some(())
        });
        delivering
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).expect("text")
    }

    #[track_caller]
    fn says(&self, what: &str) {
        until(what, || self.log().contains(what).then_some(()));
    }

    #[track_caller]
    fn signal(&mut self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.expect("kill").success());
    }

    #[track_caller]
    fn end(mut self) -> (ExitStatus, String) {
        self.signal("TERM");
        let status = until("it ends", || self.child.try_wait().expect("a child"));
        (status, self.log())
    }
}

impl Drop for Delivering {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
