//! A folder with something to upload, and the program that does so.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hsm_tests::program;
use hsm_tests::s3::{BUCKET, Keys, Server};
use tempfile::TempDir;

/// The folder. It is the program's home as well.
pub struct Rig(TempDir);

impl Rig {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder can be made"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file, in a folder that is made if it has to be.
    pub fn write(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
        fs::write(&path, contents).expect("a file can be written");
        path
    }

    /// The program with these credentials in its environment, for a server at a URL.
    pub fn keystead(&self, url: &str, keys: &Keys, arguments: &[&str]) -> Command {
        let mut command = program::command(program::keystead());
        keys.give(&mut command)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("AWS_ENDPOINT_URL_S3", url)
            .args(arguments);
        command
    }

    /// `keystead push`, to a key.
    pub fn push(&self, server: &dyn Server, keys: &Keys, arguments: &[&str], key: &str) -> Command {
        let mut command = self.keystead(&server.url(), keys, &["push"]);
        command.args(arguments).arg(format!("s3://{BUCKET}/{key}"));
        command
    }
}

/// Bytes that no two seeds share, and that do not compress.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // SplitMix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bytes.extend_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
