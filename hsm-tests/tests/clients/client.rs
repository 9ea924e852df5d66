//! The clients, all in one shape: a program that runs until its standard input ends. For each line, an
//! object's key, it uploads the object, looks for it in a listing, and answers with one line: `ok`, or what
//! is wrong. A client that is a command is called by a shell that does so.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use hsm_tests::program;

use crate::rig::{BUCKET, Rig};

/// A client of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    AwsCli1,
    AwsCli2,
    Boto3,
    JavaScript,
    Rclone,
    Rust,
    S5cmd,
}

impl Client {
    pub const ALL: [Self; 7] = [
        Self::AwsCli1,
        Self::AwsCli2,
        Self::Boto3,
        Self::JavaScript,
        Self::Rclone,
        Self::Rust,
        Self::S5cmd,
    ];

    /// Its name in keys and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsCli1 => "aws-cli-1",
            Self::AwsCli2 => "aws-cli-2",
            Self::Boto3 => "boto3",
            Self::JavaScript => "javascript",
            Self::Rclone => "rclone",
            Self::Rust => "rust",
            Self::S5cmd => "s5cmd",
        }
    }

    /// Whether it is one process that makes many requests, and not a new one for each.
    pub fn stays(self) -> bool {
        matches!(self, Self::Boto3 | Self::JavaScript | Self::Rust)
    }

    /// Whether it reads no `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`: it is older than that variable.
    pub fn wants_token_itself(self) -> bool {
        matches!(self, Self::AwsCli2 | Self::Rclone | Self::S5cmd)
    }

    /// Program and arguments.
    pub fn arguments(self, rig: &Rig) -> Vec<String> {
        let text = |path: PathBuf| path.into_os_string().into_string().expect("UTF-8");
        let installed = |name| text(program::client(name));
        let script = |path| text(program::root().join("hsm-tests").join(path));
        let url = rig.lab.sandbox.url();
        let there = format!("s3://{BUCKET}/$key");
        match self {
            Self::Boto3 => vec![installed("python3"), script("python/s3_client.py")],
            Self::JavaScript => vec![
                text(program::packaged("node")),
                script("javascript/s3_client.cjs"),
            ],
            Self::Rust => vec![text(program::example("rust-client"))],
            Self::AwsCli1 => aws(&installed("aws"), &url),
            Self::AwsCli2 => aws(&text(program::packaged("aws")), &url),
            Self::Rclone => {
                let there = format!("sandbox:{BUCKET}/$key");
                let rclone = text(program::packaged("rclone"));
                let rclone = format!("{rclone} --config= --retries=1");
                shell(
                    &format!("{rclone} copyto reading \"{there}\""),
                    &format!("{rclone} lsf \"{there}\""),
                )
            }
            Self::S5cmd => {
                let s5cmd = format!("{} --endpoint-url={url}", installed("s5cmd"));
                shell(
                    &format!("{s5cmd} cp reading \"{there}\""),
                    &format!("{s5cmd} ls \"{there}\""),
                )
            }
        }
    }

    /// Variables by which it finds the sandbox, whatever its credentials come from.
    pub fn variables(self, rig: &Rig) -> Vec<(&'static str, String)> {
        let modules = program::root().join("target/javascript/node_modules");
        let region = || rig.lab.account().region.clone();
        match self {
            Self::JavaScript => vec![("NODE_PATH", modules.display().to_string())],
            Self::Rclone => vec![
                ("RCLONE_CONFIG_SANDBOX_TYPE", "s3".into()),
                ("RCLONE_CONFIG_SANDBOX_PROVIDER", "Other".into()),
                ("RCLONE_CONFIG_SANDBOX_ENV_AUTH", "true".into()),
                ("RCLONE_CONFIG_SANDBOX_NO_CHECK_BUCKET", "true".into()),
                ("RCLONE_CONFIG_SANDBOX_ENDPOINT", rig.lab.sandbox.url()),
                ("RCLONE_CONFIG_SANDBOX_REGION", region()),
            ],
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn aws(program: &str, url: &str) -> Vec<String> {
    let aws = format!("{program} --endpoint-url={url} s3");
    let there = format!("s3://{BUCKET}/$key");
    shell(
        &format!("{aws} cp reading \"{there}\""),
        &format!("{aws} ls \"{there}\""),
    )
}

/// A shell that uploads and lists for each line that it reads.
fn shell(upload: &str, list: &str) -> Vec<String> {
    let script = format!(
        r#"while read -r key; do
            if ! said=$({upload} 2>&1) || ! said=$({list} 2>&1); then :
            elif [[ $said == *"${{key##*/}}"* ]]; then said=ok
            else said="not listed: $said"
            fi
            printf '%s\n' "${{said//$'\n'/ }}"
        done"#
    );
    vec!["bash".into(), "-c".into(), script]
}

/// A client that runs.
pub struct Running {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    errors: PathBuf,
}

impl Running {
    /// Starts it; what it says beside its answers is kept in a file.
    pub fn start(mut command: Command, client: Client, rig: &Rig) -> Self {
        let errors = rig.lab.folder().join(format!("{client}.stderr"));
        let file = File::create(&errors).expect("the rig's folder can be written to");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{client} does not start: {error}"));
        Self {
            name: client.name().to_owned(),
            stdin: child.stdin.take(),
            stdout: BufReader::new(child.stdout.take().expect("standard output is a pipe")),
            child,
            errors,
        }
    }

    /// Uploads an object and lists it.
    ///
    /// # Errors
    /// What the client says is wrong.
    pub fn round(&mut self, key: &str) -> Result<(), String> {
        let stdin = self.stdin.as_mut().expect("it has not been finished");
        let asked = stdin.write_all(format!("{key}\n").as_bytes());
        let mut answer = String::new();
        let answered = asked.and_then(|()| self.stdout.read_line(&mut answer));
        match answer.trim_end() {
            "ok" => Ok(()),
            answer => {
                let errors = fs::read_to_string(&self.errors).unwrap_or_default();
                Err(format!("{}: {answer} ({answered:?}) {errors}", self.name))
            }
        }
    }

    /// Ends its input, and waits for its own end.
    ///
    /// # Errors
    /// If it does not end with success.
    pub fn finish(mut self) -> Result<(), String> {
        drop(self.stdin.take());
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            ended => Err(format!("{}: {ended:?}", self.name)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
