//! What is accepted by `keystead spool add` is delivered by `keystead spool run`, also if that is killed in the middle
//! of an object.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use hsm_tests::processes::await_that;
use hsm_tests::program::run;
use hsm_tests::s3::{BUCKET, Keys, S3s, Seaweed, Server};
use hsm_tests::weather::{FastTime, Forecast, Relay, Sky};

use crate::rig::{Rig, noise};

const MIB: usize = 1 << 20;

/// `keystead spool run`. It is killed with this.
pub struct Running(Child);

impl Running {
    pub fn start(rig: &Rig, url: &str, keys: &Keys, options: &[&str]) -> Self {
        let mut command = rig.keystead(url, keys, &["spool", "run", "--spool", "spool"]);
        command
            .args(["--credentials", "environment", "--part-size", "5MiB"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self(command.spawn().expect("the program starts"))
    }

    /// Ends it as a power cut would, and gives what it has said.
    pub fn kill(mut self) -> String {
        self.0.kill().expect("it is our child");
        let mut said = String::new();
        let stderr = self.0.stderr.as_mut().expect("it is a pipe");
        stderr.read_to_string(&mut said).expect("it speaks UTF-8");
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Adds a file under its own name below a prefix.
pub fn add(rig: &Rig, name: &str, contents: &[u8], prefix: &str) {
    rig.write(name, contents);
    let to = format!("s3://{BUCKET}/{prefix}");
    let arguments = ["spool", "add", "--spool", "spool", name, &to];
    let nobody = Keys::fixed("nobody");
    run(&mut rig.keystead("http://127.0.0.1:1", &nobody, &arguments)).success();
}

/// How many entries there are.
pub fn entries(rig: &Rig) -> usize {
    fs::read_dir(rig.path("spool/entries")).map_or(0, Iterator::count)
}

fn everything_is_delivered(server: &dyn Server) {
    let rig = Rig::new();
    let content = |number: u64| {
        noise(
            number,
            if number == 5 {
                11 * MIB
            } else {
                999 * number as usize
            },
        )
    };
    for number in 0..12 {
        add(&rig, &number.to_string(), &content(number), "spool/");
    }
    let running = Running::start(&rig, &server.url(), server.writer(), &[]);
    await_that("an empty spool", || entries(&rig) == 0);
    let said = running.kill();
    let found = server.aws().objects("spool/");
    assert_eq!(found.len(), 12, "{said}");
    for (name, bytes) in found {
        let number = name.parse().expect("a number");
        assert!(bytes == content(number), "{name}");
    }
}

/// What S3 has confirmed before is not sent again.
fn a_killed_upload_goes_on(server: &dyn Server) {
    let rig = Rig::new();
    let bytes = noise(77, 22 * MIB);
    add(&rig, "large", &bytes, "killed/");
    let address: SocketAddr = server
        .url()
        .replace("http://", "")
        .parse()
        .expect("an address");
    let relay = || {
        let clear = Forecast::one(Sky::Clear, Duration::ZERO);
        Relay::start(address, clear, FastTime::from_now(1))
    };

    let before = relay();
    let slowly = ["--bandwidth", "8MiB/s", "--concurrency", "1"];
    let running = Running::start(&rig, &before.url(), server.writer(), &slowly);
    await_that("two parts", || before.bytes_up() > 12 * MIB as u64);
    running.kill();
    assert_eq!(entries(&rig), 1);
    assert!(server.aws().list("killed/").is_empty());

    let after = relay();
    let running = Running::start(&rig, &after.url(), server.writer(), &[]);
    await_that("an empty spool", || entries(&rig) == 0);
    running.kill();
    let sent = after.bytes_up();
    assert!(
        sent < 13 * MIB as u64,
        "{sent} bytes were sent after the restart"
    );
    assert!(server.aws().object("killed/large").bytes == bytes);
}

#[test]
fn seaweedfs_gets_what_was_accepted() {
    let server = Seaweed::start();
    everything_is_delivered(&server);
    a_killed_upload_goes_on(&server);
}

#[test]
fn s3s_gets_what_was_accepted() {
    let server = S3s::start();
    everything_is_delivered(&server);
    a_killed_upload_goes_on(&server);
}
