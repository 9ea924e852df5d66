//! A device, and the sandbox that it belongs to.

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use firmware_bridge::board::{Board, Outcome};
use firmware_bridge::carry;
use firmware_bridge::element::PrivateKey;
use firmware_bridge::sector::{Sector, Tls};
use keystead::backend::file::read_certificates;
use keystead::host::clock::{HostClock, system_time};
use keystead::host::transport::{HttpTransport, TransportOptions};
use keystead::sandbox::{Config, Running, Sandbox, Scheme, device};
use tempfile::TempDir;

use crate::service::{Altered, Answered};

pub struct Scene {
    pub sandbox: Running,
    /// The role that it asks for, by its name.
    pub role: &'static str,
    /// What the keys of its objects begin with.
    pub prefix: &'static str,
    /// How long it waits for answers: a next byte, and all of one.
    pub patience: [Duration; 2],
    pub key: PrivateKey,
    pub chain: Vec<Vec<u8>>,
    pub folder: TempDir,
}

impl Scene {
    pub fn new() -> Self {
        Self::over(Scheme::Http)
    }

    pub fn over(scheme: Scheme) -> Self {
        let folder = TempDir::new().unwrap();
        let (authority, identity) = device::in_state(folder.path(), system_time()).unwrap();
        let config = Config {
            scheme,
            storage: Some(folder.path().join("s3")),
            ..Config::ready_made(authority.certificate, None).unwrap()
        };
        let key = fs::read_to_string(&identity.key).unwrap();
        Self {
            sandbox: Sandbox::start(config).unwrap(),
            role: "SensorWriter",
            prefix: "sensors/firmware/",
            patience: [20, 60].map(Duration::from_secs),
            key: PrivateKey::from_pem(&key).unwrap(),
            chain: read_certificates(&identity.certificate).unwrap(),
            folder,
        }
    }

    /// One whose device soon thinks that nothing comes any more: each answer that does not costs that time.
    pub fn impatient() -> Self {
        Self {
            patience: [1_000, 5_000].map(Duration::from_millis),
            ..Self::new()
        }
    }

    /// Runs an image, with its secure element, and with a bridge of the test's at the other end of the line.
    pub fn run(&self, image: &Path, link: impl FnOnce(&UnixStream) + Send) -> Outcome {
        let element = |line: &UnixStream| drop(self.key.serve(line));
        self.run_with(image, link, element)
    }

    pub fn run_with(
        &self,
        image: &Path,
        link: impl FnOnce(&UnixStream) + Send,
        element: impl FnOnce(&UnixStream) + Send,
    ) -> Outcome {
        let account = &self.sandbox.config().account;
        let url = self.sandbox.url();
        let (_, host) = url.split_once("://").unwrap();
        let root = self.sandbox.ca_pem().map(|pem| {
            let path = self.folder.path().join("root.pem");
            fs::write(&path, pem).unwrap();
            read_certificates(&path).unwrap().swap_remove(0)
        });
        let sector = Sector {
            host,
            region: &account.region,
            trust_anchor_arn: &account.trust_anchor_arn("devices"),
            profile_arn: &account.profile_arn("sensor-hub"),
            role_arn: &account.role_arn(self.role),
            s3_host: host,
            bucket: "sensor-logs",
            prefix: self.prefix,
            private_key: &self.key.to_bytes(),
            patience: self.patience,
            pause: Duration::from_millis(10),
            chain: &self.chain,
            tls: root.as_deref().map(|root| Tls::new(root).unwrap()),
        };
        let board = Board::start(image, &sector.to_bytes()).unwrap();
        board.run(link, element).unwrap()
    }

    /// Runs the whole device; `alter` may change each answer of the sandbox.
    pub fn run_with_service(&self, alter: impl FnMut(&mut Answered) + Send) -> Outcome {
        self.run(&image("secure-element"), |line| self.bridge(line, alter))
    }

    /// The bridge.
    pub fn bridge(&self, line: &UnixStream, alter: impl FnMut(&mut Answered)) {
        let alter = RefCell::new(alter);
        // It ends with the line.
        let altered = |_: &str| Altered::new(self.transport(), &alter);
        drop(carry::serve(line, altered));
    }

    /// To the sandbox, which is each service that the device knows.
    pub fn transport(&self) -> HttpTransport {
        let clock = Arc::new(HostClock::new(None));
        let options = TransportOptions::default();
        HttpTransport::new(self.sandbox.url().as_str(), &options, clock).unwrap()
    }

    /// How many readings are stored.
    pub fn readings(&self) -> usize {
        let folder = self.folder.path().join("s3/sensor-logs").join(self.prefix);
        fs::read_dir(folder).map_or(0, Iterator::count)
    }
}

/// What scripts/firmware has built.
pub fn image(name: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let image = target.join("firmware").join(name).with_extension("elf");
    let what = "is not there: run `scripts/firmware --build`";
    assert!(image.is_file(), "{} {what}", image.display());
    image
}

/// Whether a firmware said these lines in this order, each beginning so, and others between them.
#[track_caller]
pub fn assert_said(outcome: &Outcome, expected: &[&str]) {
    let mut lines = outcome.lines.iter();
    for start in expected {
        assert!(
            lines.any(|line| line.starts_with(start)),
            "not said, or not there: {start}\n{:#?}",
            outcome.lines
        );
    }
    // Nothing steers a terminal.
    let controls = |line: &&String| line.chars().any(char::is_control);
    assert_eq!(outcome.lines.iter().find(controls), None);
}
