//! `keystead update`, against the sandbox.

mod forever;
mod once;
mod signals;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use keystead::sandbox::Running;

use crate::support::hub::{Hub, command_of};
use crate::support::openssl::Workshop;
use crate::support::wait::until;

/// A device, and a sandbox that trusts its CA.
struct Scene {
    workshop: Workshop,
    sandbox: Running,
}

impl Scene {
    fn new() -> Self {
        let Hub { workshop, sandbox } = Hub::new();
        Self { workshop, sandbox }
    }

    /// The command, which writes below its home unless `more` says otherwise.
    fn command(&self, more: &[&str]) -> Command {
        command_of((&self.workshop, &self.sandbox), "update", more)
    }

    /// Where the file is unless something else is said.
    fn usual(&self) -> PathBuf {
        self.workshop.path(".aws/credentials")
    }

    fn sessions(&self) -> usize {
        self.sandbox.session_requests().len()
    }
}

/// The settings of each section, by a reader that knows only plain files.
fn profiles(path: &Path) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut profiles = BTreeMap::<_, BTreeMap<_, _>>::new();
    let mut section = String::new();
    for line in text.lines() {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            section = name.to_owned();
            profiles.entry(section.clone()).or_default();
        } else if let Some((name, value)) = line.split_once(" = ") {
            let profile = profiles.entry(section.clone()).or_default();
            profile.insert(name.to_owned(), value.to_owned());
        }
    }
    profiles
}

/// The access key's id of a profile that has all that credentials are made of.
fn id(path: &Path, profile: &str) -> Option<String> {
    let profile = profiles(path).remove(profile)?;
    let value = |name| profile.get(name).filter(|value| !value.is_empty()).cloned();
    value("aws_secret_access_key")?;
    value("aws_session_token")?;
    value("aws_access_key_id")
}

/// Writes a file that is its owner's alone.
fn write(path: &Path, contents: &str) {
    fs::write(path, contents).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o7777
}

/// A program that updates, until it is dropped.
struct Updating {
    child: Child,
    log: PathBuf,
}

impl Updating {
    fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = fs::File::create(&log).expect("a file");
        let child = command
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("it starts");
        Self { child, log }
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
        let status = until("it ends", || self.child.try_wait().expect("a child"));
        (status, self.log())
    }
}

impl Drop for Updating {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
