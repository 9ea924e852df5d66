//! The crates `s3s` and `s3s-fs`, in a process of their own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::{BUCKET, Keys, Server};
use crate::program;

/// The server. It is killed with this.
pub struct S3s {
    child: Child,
    port: u16,
    owner: Keys,
    writer: Keys,
    _folder: TempDir,
}

/// The operations that `s3:PutObject` is for (Service Authorization Reference, Amazon S3).
const PUT_OBJECT: [&str; 4] = [
    "PutObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
];

impl S3s {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let objects = folder.path().join("objects");
        fs::create_dir_all(objects.join(BUCKET)).expect("folders can be made");
        let owner = Keys::fixed("owner");
        let writer = Keys {
            token: Some("dGVtcG9yYXJ5".repeat(80)),
            ..Keys::fixed("writer")
        };
        let keys = folder.path().join("keys.json");
        let document = json!([
            { "access-key": owner.access_key, "secret-key": owner.secret_key },
            {
                "access-key": writer.access_key,
                "secret-key": writer.secret_key,
                "token": writer.token,
                "operations": PUT_OBJECT,
            },
        ]);
        fs::write(&keys, document.to_string()).expect("a file can be written");
        let mut child = program::command(program::s3s_server())
            .args([&objects, &keys])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program s3s-server starts");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("it is a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it says where it listens");
        Self {
            child,
            port: line.trim().parse().expect("it says a port"),
            owner,
            writer,
            _folder: folder,
        }
    }

    /// The port, also of the hosts below `s3.test` whose names begin with a bucket.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Server for S3s {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn owner(&self) -> &Keys {
        &self.owner
    }

    fn writer(&self) -> &Keys {
        &self.writer
    }
}

impl Drop for S3s {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
