//! A machine with another processor: its programs, its home, and the AWS that it talks to.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hsm_tests::hub::assert_credentials;
use hsm_tests::{Device, Lab, program, run};
use keystead::ca::KeyType;

use crate::target::{Target, install};

pub struct Machine {
    pub lab: Lab,
    pub device: Device,
    target: &'static Target,
    programs: PathBuf,
}

impl Machine {
    /// One with `keystead` alone, and a certificate for the key in a file.
    pub fn new(target: &'static Target) -> Self {
        let mut lab = Lab::new();
        let device = lab.device("hub-0001", KeyType::P256);
        let programs = lab.folder().join("bin");
        fs::create_dir(&programs).expect("the test's folder can be written to");
        install(&target.keystead(), &programs.join("keystead"));
        Self {
            lab,
            device,
            target,
            programs,
        }
    }

    /// Puts `keystead-signer` beside it.
    pub fn install_signer(&self) {
        self.target.install_signer(&self.programs);
    }

    /// Its `keystead`, at home.
    pub fn keystead(&self, arguments: &[&str]) -> Command {
        let words = self.target.start(&self.programs.join("keystead"));
        let mut command = program::command(&words[0]);
        command.args(&words[1..]);
        let mut command = self.lab.at_home(command);
        command.args(arguments);
        command
    }

    /// Gets a session with a key (a file or a URI), and uploads a reading with another one.
    #[track_caller]
    pub fn delivers(&self, key: &str, prepare: impl Fn(&mut Command)) {
        let device = Device {
            certificate: self.device.certificate.clone(),
            intermediates: self.device.intermediates.clone(),
            key: key.into(),
        };
        self.lab.configure(&device);
        self.lab.write("reading.json", "{\"celsius\":21.5}\n");
        let finished = |arguments: &[&str]| {
            let mut command = self.keystead(arguments);
            prepare(&mut command);
            let finished = run(&mut command);
            assert_eq!(finished.stderr, "", "{command:?}");
            finished.success()
        };
        assert_credentials(&finished(&["credential-process", "--identity", "hub"]));
        let to = "s3://sensor-logs/sensors/{name}";
        finished(&[
            "push",
            "--identity",
            "hub",
            "--no-cache",
            "reading.json",
            to,
        ]);
        let stored = self.lab.object("sensors/reading.json");
        assert_eq!(stored.as_deref(), Some(&b"{\"celsius\":21.5}\n"[..]));
    }
}
