//! `keystead spool add`: what it says is on disk, under the key that was decided.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use keystead::host::spool::{Head, Options, Spool};
use serde_json::Value;

use crate::support::openssl::{CA, P256, Workshop};
use crate::support::program::{Ran, command, run};

/// A machine that adds to a spool, without network and without a key.
struct Sensor(Workshop);

impl Sensor {
    fn new() -> Self {
        Self(Workshop::new())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let arguments: Vec<&str> = ["spool", "add"].iter().chain(arguments).copied().collect();
        let mut command = command(&self.path(""), &arguments);
        command.env("KEYSTEAD_SPOOL_DIR", self.path("spool"));
        command
    }

    fn add(&self, arguments: &[&str]) -> Ran {
        run(&mut self.command(arguments))
    }

    fn entries(&self) -> Vec<Head> {
        entries(&self.path("spool"))
    }
}

fn entries(folder: &Path) -> Vec<Head> {
    let spool = Spool::open(folder, Options::default()).expect("a spool");
    let entries = spool.entries().expect("entries").into_iter();
    entries.map(|(_, head)| head).collect()
}

const TO: &str = "s3://sensor-logs/sensors/";

#[test]
fn files_and_their_keys() {
    let sensor = Sensor::new();
    sensor.write("in/a.json", b"{}");
    sensor.write("b.csv", b"1\n");
    let ran = sensor.add(&["in/a.json", "b.csv", TO, "--metadata=site=north"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let heads = sensor.entries();
    let keys: Vec<&str> = heads.iter().map(|head| head.key.as_str()).collect();
    // In the order in which they were named.
    assert_eq!(keys, ["sensors/a.json", "sensors/b.csv"]);
    let attributes = &heads[1].attributes;
    assert_eq!(attributes.content_type.as_deref(), Some("text/csv"));
    assert_eq!(attributes.metadata, [("site".into(), "north".into())]);
    assert_eq!(heads[0].digests.length, 2);
    let printed: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(printed.len(), 2);
    assert!(
        printed[0].ends_with("  s3://sensor-logs/sensors/a.json"),
        "{}",
        ran.stdout
    );
    // The same again is the same entry.
    let again = sensor.add(&["in/a.json", TO]);
    assert_eq!(again.code, 0);
    assert_eq!(
        again.stdout.trim_end(),
        format!("{}  (was there)", printed[0])
    );
    assert_eq!(sensor.entries().len(), 2);
}

#[test]
fn standard_input_and_json() {
    let sensor = Sensor::new();
    sensor.write("source", b"readings");
    let stdin = Stdio::from(fs::File::open(sensor.path("source")).expect("a file"));
    let arguments = [
        "-",
        "--name=r.csv",
        "--json",
        "--to=s3://sensor-logs/{hostname}/{date:%Y}/{name}",
    ];
    let ran = run(sensor.command(&arguments).stdin(stdin));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let event: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let head = sensor.entries().remove(0);
    assert_eq!(event["key"], head.key);
    assert_eq!(event["source"], "-");
    assert_eq!(event["bytes"], 8);
    assert_eq!(event["new"], true);
    let name = rustix::system::uname();
    let name = name.nodename().to_str().expect("text");
    let year = head.accepted.to_string();
    assert_eq!(head.key, format!("{name}/{}/r.csv", &year[..4]));
}

#[test]
fn the_certificate_is_read_where_the_key_has_it() {
    let sensor = Sensor::new();
    sensor.0.key("hub", P256);
    sensor.0.certificate("hub", "hub", "-sha256", CA);
    sensor.write("a", b"x");
    sensor.write(
        "keystead.toml",
        b"[identity.hub]\ncertificate = 'hub.pem'\nkey = 'is-not-opened.key'\n\
          [push]\nto = 's3://sensor-logs/{cn}/{serial}/{name}'\n",
    );
    let ran = sensor.add(&["a", "--config=keystead.toml"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let key = sensor.entries().remove(0).key;
    let parts: Vec<&str> = key.split('/').collect();
    assert_eq!((parts[0], parts[2]), ("hub", "a"));
    assert!(
        parts[1].bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{key}"
    );
    sensor
        .add(&["a", "s3://sensor-logs/{cn}"])
        .failed(2, "nobody says which certificate is meant");
    sensor
        .add(&[
            "a",
            "s3://sensor-logs/{cn}",
            "--certificate=pkcs11:token=x;object=y",
        ])
        .failed(2, "the certificate is in a token");
    // Elsewhere it need not even be there.
    sensor.write(
        "keystead.toml",
        b"[identity.hub]\ncertificate = 'no.pem'\n[identity.lab]\n",
    );
    assert_eq!(sensor.add(&["a", TO, "--config=keystead.toml"]).code, 0);
}

#[test]
fn one_that_fails_does_not_stop_the_others() {
    let sensor = Sensor::new();
    sensor.write("a", b"x");
    sensor.write("d/b", b"x");
    let ran = sensor.add(&["missing", "a", "d", TO]);
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.stderr,
        "keystead: missing: No such file or directory (os error 2)\nkeystead: d: this is a folder; name the files \
         in it\n"
    );
    assert_eq!(ran.stdout.lines().count(), 1);
    assert_eq!(sensor.entries().len(), 1);
}

#[test]
fn a_full_spool_says_so() {
    let sensor = Sensor::new();
    sensor.write("a", &[1; 3000]);
    sensor.write("b", &[2; 3000]);
    assert_eq!(sensor.add(&["a", TO, "--max-entries=1"]).code, 0);
    sensor.add(&["b", TO, "--max-entries=1"]).failed(7, "b: ");
    sensor
        .add(&["b", TO, "--max-size=1KiB"])
        .failed(7, "larger than the whole quota");
    let ran = sensor.add(&["b", TO, "--max-entries=1", "--when-full=drop-oldest"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let keys: Vec<String> = sensor.entries().into_iter().map(|head| head.key).collect();
    assert_eq!(keys, ["sensors/b"]);
}

#[test]
fn for_what_can_never_fit_nothing_is_dropped() {
    let sensor = Sensor::new();
    let limits = ["--max-size=4MiB", "--when-full=drop-oldest"];
    for name in ["1", "2", "3", "4"] {
        sensor.write(name, &[b'x'; 900_000]);
        let added = sensor.add(&[name, TO, limits[0], limits[1]]);
        assert_eq!(added.code, 0, "{}", added.stderr);
    }
    sensor.write("big", &[b'x'; 6_000_000]);
    sensor
        .add(&["big", TO, limits[0], limits[1]])
        .failed(7, "larger than the whole quota");
    assert_eq!(sensor.entries().len(), 4);
    // Nobody knows how long this one will be.
    let mut streaming = sensor.command(&["-", "--name=big", TO, limits[0], limits[1]]);
    let big = fs::File::open(sensor.path("big")).expect("the file");
    streaming.stdin(Stdio::from(big));
    run(&mut streaming).failed(7, "up to half of the quota alone");
    assert_eq!(sensor.entries().len(), 2);
}

#[test]
fn where_the_spool_is() {
    let sensor = Sensor::new();
    sensor.write("a", b"x");
    sensor.write(
        "etc/keystead.toml",
        b"[spool]\ndir = 'below'\nmax-size = '2 GiB'\n",
    );
    let mut plain = command(
        &sensor.path(""),
        &["spool", "add", "a", TO, "--config=etc/keystead.toml"],
    );
    assert_eq!(run(&mut plain).code, 0);
    // A path in a file is relative to it.
    assert_eq!(entries(&sensor.path("etc/below")).len(), 1);
    assert_eq!(sensor.add(&["a", TO, "--spool=flag"]).code, 0);
    assert_eq!(entries(&sensor.path("flag")).len(), 1);
    sensor.write("used/file", b"");
    sensor
        .add(&["a", TO, "--spool=used"])
        .failed(2, "there are other files in it");
}

#[test]
fn many_at_once() {
    let sensor = Sensor::new();
    sensor.write("same", b"x");
    let children: Vec<_> = (0..8)
        .map(|index| {
            sensor.write(&format!("own{index}"), &[index]);
            let mut command = sensor.command(&["same", &format!("own{index}"), TO]);
            command.stdout(Stdio::null()).spawn().expect("it starts")
        })
        .collect();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(sensor.entries().len(), 9);
}

#[test]
fn what_cannot_be_meant() {
    let sensor = Sensor::new();
    sensor.write("a", b"x");
    for (arguments, says) in [
        (&["a"][..], "nobody says where to"),
        (
            &["a", "-", "s3://b/key"],
            "all of them would have the same key",
        ),
        (&["a", "s3://b/{hostname"], "a brace has no other half"),
        (
            &["a", TO, "--max-size=much"],
            "--max-size: `much`: a size is a number of bytes",
        ),
        (
            &["a", TO, "--max-entries=0"],
            "the number of entries is 1 or more",
        ),
        (
            &["a", TO, "--when-full=burn"],
            "to reject or to drop-oldest",
        ),
        (
            &["a", TO, "--group=no-such-group"],
            "there is no group of that name",
        ),
        (&["a", TO, "--tag=aws:x=y"], "AWS's own"),
    ] {
        sensor.add(arguments).failed(2, says);
    }
    assert!(!sensor.path("spool").exists());
}
