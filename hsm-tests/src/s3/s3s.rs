//! The crates `s3s` and `s3s-fs`, in a process of their own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::process::{Child, Stdio};
use std::sync::Mutex;

use serde_json::json;
use tempfile::TempDir;

use super::{BUCKET, Keys, Server};
use crate::program;

/// The file with all credentials.
const KEYS: &str = "keys.json";

/// The server. It is killed with this.
pub struct S3s {
    child: Child,
    port: u16,
    owner: Keys,
    writer: Keys,
    /// How often the writer's session was followed by another one.
    renewals: Mutex<u32>,
    folder: TempDir,
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
        Self::start_within(&[], Ipv4Addr::LOCALHOST)
    }

    /// Started by a program that becomes it (`unshare` with arguments), listening at an address.
    pub fn start_within(words: &[&str], address: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let objects = folder.path().join("objects");
        fs::create_dir_all(objects.join(BUCKET)).expect("folders can be made");
        let owner = Keys::fixed("owner");
        write_keys(&folder, &owner, 0);
        let program = program::s3s_server();
        let mut line: Vec<_> = words.iter().map(OsStr::new).collect();
        line.push(program.as_os_str());
        let mut child = program::command(line[0])
            .args(&line[1..])
            .args([objects, folder.path().join(KEYS)])
            .arg(address.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program s3s-server starts");
        let mut said = String::new();
        let stdout = child.stdout.as_mut().expect("it is a pipe");
        BufReader::new(stdout)
            .read_line(&mut said)
            .expect("it says where it listens");
        Self {
            child,
            port: said.trim().parse().expect("it says a port"),
            owner,
            writer: writer(0),
            renewals: Mutex::new(0),
            folder,
        }
    }

    /// Ends the writer's session, and begins another one.
    pub fn renew(&self) -> Keys {
        let mut renewals = self.renewals.lock().expect("nobody panicked");
        *renewals += 1;
        write_keys(&self.folder, &self.owner, *renewals);
        writer(*renewals)
    }

    /// The names of the objects in a folder of the bucket, for tests that cannot reach it.
    pub fn stored(&self, folder: &str) -> Vec<String> {
        let place = self.folder.path().join("objects").join(BUCKET).join(folder);
        let files = fs::read_dir(place).into_iter().flatten();
        let names = files.map(|file| file.expect("a file").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The port, also for the host `BUCKET.s3.test`.
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

/// The writer's temporary credentials after so many renewals.
fn writer(renewals: u32) -> Keys {
    Keys {
        token: Some(format!("dGVtcG9yYXJ5{renewals:08}").repeat(50)),
        ..Keys::fixed(&format!("writer{renewals}"))
    }
}

fn write_keys(folder: &TempDir, owner: &Keys, renewals: u32) {
    let mut keys = vec![json!({
        "access-key": owner.access_key,
        "secret-key": owner.secret_key,
        "has-ended": false,
    })];
    for number in 0..=renewals {
        let writer = writer(number);
        keys.push(json!({
            "access-key": writer.access_key,
            "secret-key": writer.secret_key,
            "token": writer.token,
            "operations": PUT_OBJECT,
            "has-ended": number < renewals,
        }));
    }
    // The server reads it whole, whenever that is.
    let new = folder.path().join("keys.new");
    fs::write(&new, json!(keys).to_string()).expect("a file can be written");
    fs::rename(&new, folder.path().join(KEYS)).expect("it is ours");
}

impl Drop for S3s {
    fn drop(&mut self) {
        // It has nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
