//! `keystead serve`, against the sandbox, over sockets.

mod client;
mod config;
mod endpoints;
mod refusals;
mod remote;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keystead::sandbox::Running;

use self::client::{Answer, ask};
use crate::support::hub::{Hub, command_of};
use crate::support::openssl::Workshop;
use crate::support::program::command;

/// A device, and a sandbox that trusts its CA.
struct Scene {
    workshop: Workshop,
    sandbox: Running,
}

impl Scene {
    fn new() -> Self {
        let Hub { workshop, sandbox } = Hub::new();
        fs::create_dir(workshop.path("run")).expect("a folder");
        Self { workshop, sandbox }
    }

    fn role(&self, index: usize) -> String {
        let arn = self.sandbox.config().account.roles[index].arn.to_string();
        arn.rsplit('/').next().expect("a name").to_string()
    }

    /// The command with the flags of an identity.
    fn command(&self, more: &[&str]) -> Command {
        self.at_home(command_of((&self.workshop, &self.sandbox), "serve", more))
    }

    fn bare(&self, arguments: &[&str]) -> Command {
        self.at_home(command(&self.workshop.path(""), arguments))
    }

    fn at_home(&self, mut command: Command) -> Command {
        command.env("XDG_RUNTIME_DIR", self.workshop.path("run"));
        command
    }

    /// Serves at free ports; `more` says what.
    fn serve(&self, more: &[&str]) -> Serving {
        Serving::start(&mut self.command(more))
    }

    fn token_path(&self) -> PathBuf {
        self.workshop.path("run").join("keystead/serve.token")
    }

    fn token(&self) -> String {
        fs::read_to_string(self.token_path()).expect("a token")
    }
}

/// A program that serves, until it is dropped.
struct Serving {
    child: Child,
    /// What it printed.
    exports: Vec<(String, String)>,
}

impl Serving {
    /// Starts it, and waits until it says that everything is open.
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut exports = vec![];
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        // Everything is printed at once: what has come is all there is.
        while exports.is_empty() || !reader.buffer().is_empty() {
            line.clear();
            if reader.read_line(&mut line).expect("text") == 0 {
                let mut errors = String::new();
                let stderr = child.stderr.as_mut().expect("a pipe");
                stderr.read_to_string(&mut errors).expect("text");
                panic!("it has ended: {errors}");
            }
            let export = line.trim_end().strip_prefix("export ");
            if let Some((name, value)) = export.and_then(|export| export.split_once('=')) {
                exports.push((name.into(), value.into()));
            }
        }
        Self { child, exports }
    }

    /// The values of a variable, in their order.
    fn all(&self, name: &str) -> Vec<&str> {
        let named = self.exports.iter().filter(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    #[track_caller]
    fn container(&self) -> &str {
        self.all("AWS_CONTAINER_CREDENTIALS_FULL_URI")[0]
    }

    #[track_caller]
    fn imds(&self) -> &str {
        self.all("AWS_EC2_METADATA_SERVICE_ENDPOINT")[0]
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A session token of IMDS, which is asked for as SDKs do.
#[track_caller]
fn imds_token(endpoint: &str) -> String {
    let header = ("X-aws-ec2-metadata-token-ttl-seconds", "21600");
    let answer = ask("PUT", &format!("{endpoint}latest/api/token"), &[header]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body
}

#[track_caller]
fn get_imds(endpoint: &str, path: &str) -> Answer {
    let token = imds_token(endpoint);
    let header = ("X-aws-ec2-metadata-token", token.as_str());
    ask("GET", &format!("{endpoint}{path}"), &[header])
}

const ROLES: &str = "latest/meta-data/iam/security-credentials/";

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o7777
}
