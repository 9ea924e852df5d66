//! A hub whose certificate and key are in a token, and the AWS that it talks to.

use std::path::PathBuf;
use std::process::Command;

use keystead::ca::KeyType;

use crate::lab::{Device, Lab, json};
use crate::program::{self, run};
use crate::softhsm::{MODULE, SoftHsm};

/// The CKA_ID of the hub's key and certificate.
pub const ID: u8 = 0x11;

/// A hub, its token, and a sandbox that trusts its certificate's authority. The token holds the key, its
/// certificate, the intermediate authority's certificate and one that has nothing to do with it.
pub struct Hub {
    pub lab: Lab,
    pub hsm: SoftHsm,
    pub device: Device,
}

impl Hub {
    pub fn new() -> Self {
        let mut lab = Lab::new();
        let hsm = SoftHsm::new("hub");
        let device = lab.device("hub-0001", KeyType::P256);
        hsm.import(&device.key, ID, "hub-0001");
        let hub = Self { lab, hsm, device };
        hub.store(&hub.device.certificate, ID, "hub-0001");
        hub.store(&hub.device.intermediates, 0x20, "devices");
        let stray = hub.hsm.folder().join("stray.der");
        program::self_signed(&hub.device.key, "/CN=stray", &stray);
        hub.hsm.write_certificate(&stray, 0x30, "stray");
        hub
    }

    /// Puts the first certificate of a PEM file into the token.
    pub fn store(&self, pem: &PathBuf, id: u8, label: &str) {
        let der = self.hsm.folder().join(format!("{label}.der"));
        let mut convert = program::command("openssl");
        convert.args(["x509", "-outform", "DER", "-in"]).arg(pem);
        run(convert.arg("-out").arg(&der)).success();
        self.hsm.write_certificate(&der, id, label);
    }

    /// The token's URI with more attributes, and after `?` a query.
    pub fn uri(&self, more: &str) -> String {
        format!("{};{more}", self.hsm.uri())
    }

    /// `credential-process` with all but certificate, key and module.
    pub fn bare_session(&self, arguments: &[&str]) -> Command {
        let account = self.lab.account();
        let mut command = self.lab.keystead(&["credential-process"]);
        command
            .args(["--endpoint", &self.lab.sandbox.url()])
            .args(["--trust-anchor-arn", &account.trust_anchor_arn("devices")])
            .args(["--profile-arn", &account.profile_arn("sensor-hub")])
            .args(["--role-arn", &account.role_arn("SensorWriter")])
            .args(arguments);
        self.hsm.configure(&mut command);
        command
    }

    /// The same with SoftHSM's module.
    pub fn session(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_session(arguments);
        command.args(["--pkcs11-lib", MODULE]);
        command
    }
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

/// Asserts that these are credentials, and nothing beside them.
#[track_caller]
pub fn assert_credentials(stdout: &str) {
    let document = json(stdout);
    assert_eq!(document["Version"], 1, "{stdout}");
    let id = document["AccessKeyId"].as_str().unwrap_or_default();
    assert!(id.starts_with("ASIA"), "{stdout}");
}
