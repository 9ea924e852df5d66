//! A hub with a spool, and the S3 that it delivers to.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hsm_tests::Lab;
use keystead::ca::KeyType;
use keystead::sandbox::Scheme;
use rustix::process::{Pid, Signal, kill_process};

use crate::audit::names;
use crate::load;

pub struct Scene {
    pub lab: Lab,
    pub spool: PathBuf,
}

/// A program that ends with this.
pub struct Running(pub Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("the program starts"))
    }

    /// `kill -9`, and nothing of it is left when this returns.
    pub fn kill(mut self) -> bool {
        // One that has ended by itself before is told from one that was killed.
        self.0.kill().expect("it is our child");
        self.0.wait().expect("it is our child").success()
    }

    /// Whether it succeeds.
    pub fn ends(mut self) -> bool {
        self.0.wait().expect("it is our child").success()
    }

    /// As systemd ends it.
    pub fn terminate(mut self) -> bool {
        let process = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(process.expect("it is our child"), Signal::TERM).expect("it runs");
        self.0.wait().expect("it is our child").success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Scene {
    /// With the spool in the test's own folder.
    pub fn new() -> Self {
        let mut lab = Lab::over(Scheme::Http);
        let device = lab.device("hub-0001", KeyType::P256);
        lab.configure(&device);
        fs::create_dir(lab.folder().join("source")).expect("folders can be made");
        let spool = lab.folder().join("spool");
        Self { lab, spool }
    }

    fn keystead(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.keystead(&["spool"]);
        command
            .args(arguments)
            .env("KEYSTEAD_IDENTITY", "hub")
            .env("KEYSTEAD_SPOOL_DIR", &self.spool)
            .env("KEYSTEAD_SPOOL_RESERVE", "0")
            .env("KEYSTEAD_PUSH_S3_ENDPOINT", self.lab.sandbox.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// The program that accepts these keys' contents.
    pub fn add(&self, keys: &[String]) -> Command {
        let mut command = self.keystead(&["add"]);
        for key in keys {
            let (_, name) = key.rsplit_once('/').expect("keys have a folder");
            let path = self.lab.folder().join("source").join(name);
            fs::write(&path, &*load::content(key)).expect("files can be written");
            command.arg(path);
        }
        command.arg(format!("s3://{}/sensors/", load::BUCKET));
        command
    }

    /// The program that delivers, in parts what is larger than 5 MiB.
    pub fn run(&self) -> Command {
        self.keystead(&["run", "--part-size", "5MiB"])
    }

    /// What is in the bucket, or what is wrong with it.
    fn arrived(&self, key: &str) -> Option<bool> {
        let object = self.lab.object(key)?;
        Some(object == *load::content(key))
    }

    /// Delivers all that is there, by a program that nobody kills; then each of `accepted` has arrived, none is set
    /// aside, and nothing but the spool itself is left.
    #[track_caller]
    pub fn settle(&self, accepted: &[String]) {
        let log = self.lab.folder().join("run.log");
        let stderr = fs::File::create(&log).expect("files can be made");
        let running = Running::start(self.run().stderr(stderr));
        let began = Instant::now();
        // Nothing may be left to deliver before it has come to listen to signals.
        let says = || fs::read_to_string(&log).expect("the log can be read");
        while !self.is_empty() || !says().contains("delivering ") {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "not delivered: {:?}, set aside: {:?}\n{}",
                names(&self.spool.join("entries")),
                names(&self.spool.join("aside")),
                says()
            );
            thread::sleep(Duration::from_millis(10));
        }
        assert!(running.terminate(), "it does not end as it should");
        for key in accepted {
            assert_eq!(self.arrived(key), Some(true), "{key} was accepted");
        }
        // What was never promised may have come as well, but not in part.
        let bucket = self.lab.folder().join("objects").join(load::BUCKET);
        for name in names(&bucket.join("sensors")) {
            assert_eq!(
                self.arrived(&format!("sensors/{name}")),
                Some(true),
                "{name}"
            );
        }
        self.is_clean();
    }

    /// Runs a program that is killed at some place, or has delivered everything before it gets there. Whether it was
    /// killed.
    pub fn is_killed_or_idle(&self, run: &mut Command) -> bool {
        let mut running = Running::start(run);
        let began = Instant::now();
        loop {
            if running.0.try_wait().expect("it is our child").is_some() {
                return true;
            }
            if self.is_empty() {
                // It may still be on its way to a place at its end.
                return !running.terminate();
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "it neither ends nor delivers"
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether nothing is to be delivered, and nothing is remembered of uploads.
    fn is_empty(&self) -> bool {
        ["tmp", "entries", "journal"].iter().all(|name| {
            let folder = self.spool.join(name);
            folder.exists() && names(&folder).is_empty()
        })
    }

    /// No temporary file is left, and nothing is remembered of uploads.
    #[track_caller]
    pub fn is_clean(&self) {
        for folder in ["tmp", "journal", "aside", "entries", "records"] {
            assert_eq!(names(&self.spool.join(folder)), [""; 0], "{folder}");
        }
        for name in names(&self.spool) {
            assert!(OWN.contains(&name.as_str()), "{name} is left in the spool");
        }
    }
}

/// What a spool is made of.
const OWN: [&str; 10] = [
    "aside", "entries", "format", "journal", "lock", "oldest", "records", "run", "run.last", "tmp",
];
