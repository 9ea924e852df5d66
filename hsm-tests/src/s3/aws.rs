//! AWS's command line: what is in a bucket, byte by byte and with all that is kept with it.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{BUCKET, Keys};
use crate::program;

/// The command line with one owner's credentials. It starts once for all calls.
pub struct Aws {
    child: Child,
    calls: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: TempDir,
    count: Cell<u32>,
}

/// An object as `get-object` gives it.
#[derive(Debug)]
pub struct Object {
    pub bytes: Vec<u8>,
    /// The answer's fields, as the command line names them.
    pub fields: Value,
}

impl Aws {
    /// For the server at a URL.
    pub fn new(url: &str, keys: &Keys) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut command = program::python("aws_calls.py");
        keys.give(&mut command)
            .env("HOME", folder.path())
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_DEFAULT_OUTPUT", "json")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        Self {
            calls: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("it is a pipe")),
            child,
            folder,
            count: Cell::new(0),
        }
    }

    /// Runs a command, and gives what it printed.
    ///
    /// # Errors
    /// What it printed, if it failed.
    pub fn try_call(&mut self, arguments: &[&str]) -> Result<Value, String> {
        let calls = self.calls.as_mut().expect("it is open until the end");
        writeln!(calls, "{}", json!(arguments)).expect("it reads what it is to do");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        let (code, printed): (i32, String) =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        if code != 0 {
            return Err(printed);
        }
        // Some say nothing, and some nothing but text.
        Ok(serde_json::from_str(&printed).unwrap_or(Value::String(printed)))
    }

    /// The same for a command that succeeds.
    #[track_caller]
    pub fn call(&mut self, arguments: &[&str]) -> Value {
        self.try_call(arguments)
            .unwrap_or_else(|error| panic!("aws {}: {error}", arguments.join(" ")))
    }

    /// The object under a key.
    #[track_caller]
    pub fn object(&mut self, key: &str) -> Object {
        let number = self.count.replace(self.count.get() + 1);
        let file = self.folder.path().join(number.to_string());
        let path = file.to_str().expect("it is ASCII");
        let get = [
            "s3api",
            "get-object",
            "--bucket",
            BUCKET,
            "--checksum-mode",
            "ENABLED",
        ];
        let fields = self.call(&[&get[..], &["--key", key, path]].concat());
        let bytes = fs::read(&file).expect("it has written what it got");
        fs::remove_file(&file).expect("the file is ours");
        Object { bytes, fields }
    }

    /// The keys below a prefix, with the lengths of their objects.
    #[track_caller]
    pub fn list(&mut self, prefix: &str) -> BTreeMap<String, u64> {
        let list = [
            "s3api",
            "list-objects-v2",
            "--bucket",
            BUCKET,
            "--prefix",
            prefix,
        ];
        let answer = self.call(&list);
        let objects = answer["Contents"].as_array();
        let objects = objects.into_iter().flatten().map(|object| {
            let key = object["Key"].as_str().expect("it has a key");
            (
                key.to_owned(),
                object["Size"].as_u64().expect("it has a size"),
            )
        });
        objects.collect()
    }

    /// The tags of an object.
    #[track_caller]
    pub fn tags(&mut self, key: &str) -> BTreeMap<String, String> {
        let get = [
            "s3api",
            "get-object-tagging",
            "--bucket",
            BUCKET,
            "--key",
            key,
        ];
        let answer = self.call(&get);
        let tags = answer["TagSet"].as_array().expect("a list of tags");
        let text = |tag: &Value, name: &str| tag[name].as_str().expect("text").to_owned();
        tags.iter()
            .map(|tag| (text(tag, "Key"), text(tag, "Value")))
            .collect()
    }

    /// All objects below a prefix, by what follows it in their keys, which have to be good for names of files.
    #[track_caller]
    pub fn objects(&mut self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let folder = self.folder.path().join("objects");
        let path = folder.to_str().expect("it is ASCII");
        let from = format!("s3://{BUCKET}/{prefix}");
        self.call(&["s3", "cp", "--recursive", "--quiet", &from, path]);
        let mut found = BTreeMap::new();
        collect(&folder, "", &mut found);
        fs::remove_dir_all(&folder).unwrap_or_default();
        found
    }
}

fn collect(folder: &std::path::Path, prefix: &str, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("a folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = format!("{prefix}{}", name.expect("keys are UTF-8"));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), found);
        } else {
            found.insert(name, fs::read(&path).expect("it was just written"));
        }
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.calls.take());
        let _ = self.child.wait();
    }
}
