//! A sandbox, an authority, devices, and the folder in which a test's programs live.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use keystead::ca::{Authority, KeyType, Template, Usage, Validity, certificate_pem};
use keystead::core::time::UnixTime;
use keystead::sandbox::account::Account;
use keystead::sandbox::{Config, Running, Sandbox, Scheme};
use serde_json::Value;
use tempfile::TempDir;

use crate::program;

/// Where the sandbox keeps its objects, in the test's folder.
const OBJECTS: &str = "objects";

/// One test's own AWS.
pub struct Lab {
    pub sandbox: Running,
    /// In a lock, so that threads can share the lab.
    intermediate: Mutex<Authority>,
    folder: TempDir,
}

/// The files of a device.
pub struct Device {
    pub certificate: PathBuf,
    /// The authority between the device and the trust anchor.
    pub intermediates: PathBuf,
    pub key: PathBuf,
}

impl Lab {
    /// The ready-made set over HTTPS, with an intermediate authority below the trust anchor.
    pub fn new() -> Self {
        Self::over(Scheme::Https)
    }

    /// The same over HTTPS or HTTP.
    pub fn over(scheme: Scheme) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let validity = Validity::starting(now(), Duration::from_secs(86_400));
        let name = |name: &str| name.parse().expect("a distinguished name");
        let mut root = Authority::new_in_memory(name("CN=Lab root"), KeyType::P256, validity)
            .expect("the root can be made");
        let key = keystead::ca::PrivateKey::generate(KeyType::P256).expect("a key can be made");
        let intermediate = root
            .new_intermediate(name("CN=Lab devices"), &key, validity)
            .expect("the intermediate can be made");
        let mut config =
            Config::ready_made(root.root().to_vec(), None).expect("the ready-made set");
        let storage = folder.path().join(OBJECTS);
        fs::create_dir(&storage).expect("folders can be made");
        config.storage = Some(storage);
        config.scheme = scheme;
        let sandbox = Sandbox::start(config).expect("the sandbox starts");
        let lab = Self {
            sandbox,
            intermediate: Mutex::new(intermediate),
            folder,
        };
        if let Some(ca) = lab.sandbox.ca_pem() {
            lab.write("sandbox-ca.pem", ca);
        }
        lab
    }

    /// The test's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the test's folder.
    pub fn write(&self, name: &str, contents: &str) -> PathBuf {
        let path = self.folder().join(name);
        fs::write(&path, contents).expect("the test's folder can be written to");
        path
    }

    /// The file of the certificate that clients of the sandbox have to trust.
    pub fn ca_bundle(&self) -> PathBuf {
        self.folder().join("sandbox-ca.pem")
    }

    pub fn account(&self) -> &Account {
        &self.sandbox.config().account
    }

    /// A device whose certificate is from the intermediate authority.
    pub fn device(&mut self, name: &str, key: KeyType) -> Device {
        let template = Template {
            usage: Usage::Client,
            subject: format!("CN={name}").parse().expect("a distinguished name"),
            alternative_names: Vec::new(),
            validity: Validity::starting(now(), Duration::from_secs(3600)),
        };
        let intermediate = self.intermediate.get_mut().expect("nobody panicked");
        let issued = intermediate
            .issue(&template, key)
            .expect("the certificate can be issued");
        let pem = |der: &Vec<u8>| certificate_pem(der).expect("a certificate can be written");
        let intermediates: String = issued.chain[1..].iter().map(pem).collect();
        let private_key = issued.key.to_pem().expect("a key can be written");
        let key = self.write(&format!("{name}.key"), &private_key);
        restrict(&key);
        Device {
            certificate: self.write(&format!("{name}.pem"), &pem(&issued.chain[0])),
            intermediates: self.write(&format!("{name}-chain.pem"), &intermediates),
            key,
        }
    }

    /// `keystead.toml` with the identity `hub`, and `~/.aws/config` whose profiles `hub` and
    /// `developer` get their credentials from it.
    pub fn configure(&self, device: &Device) {
        let mut settings = String::new();
        let mut profiles = String::new();
        for (name, profile, role) in [
            ("hub", "sensor-hub", "SensorWriter"),
            ("developer", "developer", "Developer"),
        ] {
            let account = self.account();
            settings += &format!(
                "[identity.{name}]\ncertificate = {:?}\nkey = {:?}\nintermediates = {:?}\n\
                 endpoint = {:?}\ntrust-anchor-arn = {:?}\nprofile-arn = {:?}\nrole-arn = {:?}\n",
                device.certificate,
                device.key,
                device.intermediates,
                self.sandbox.url(),
                account.trust_anchor_arn("devices"),
                account.profile_arn(profile),
                account.role_arn(role),
            );
            profiles += &format!(
                "[profile {name}]\nregion = {}\n\
                 credential_process = keystead credential-process --identity {name}\n",
                account.region
            );
        }
        for (folder, file, text) in [
            (".config/keystead", "keystead.toml", settings),
            (".aws", "config", profiles),
        ] {
            fs::create_dir_all(self.folder().join(folder)).expect("folders can be made");
            self.write(&format!("{folder}/{file}"), &text);
        }
    }

    /// A program at home in the test's folder, with the sandbox for its AWS.
    pub fn at_home(&self, mut command: Command) -> Command {
        command
            .current_dir(self.folder())
            .env("HOME", self.folder())
            .env("AWS_ENDPOINT_URL", self.sandbox.url())
            .env("AWS_CA_BUNDLE", self.ca_bundle())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }

    /// A script of this crate's folder `python`, at home.
    pub fn python(&self, script: &str) -> Command {
        self.at_home(program::python(script))
    }

    /// The AWS command line, at home.
    pub fn aws(&self, profile: &str) -> Command {
        let mut aws = self.at_home(program::command(program::client("aws")));
        aws.args(["--profile", profile, "--output", "json"]);
        aws
    }

    /// The program under test, at home.
    pub fn keystead(&self, arguments: &[&str]) -> Command {
        let mut keystead = self.at_home(program::command(program::keystead()));
        keystead.args(arguments);
        keystead
    }

    /// What is stored under a key of the ready-made bucket.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.folder().join(OBJECTS).join("sensor-logs").join(key)).ok()
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

/// A document that a program printed.
#[track_caller]
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// Lets only its owner read a file.
pub fn restrict(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}

/// The system's time.
pub fn now() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("it is after 1970");
    UnixTime::from_secs(since.as_secs())
}
