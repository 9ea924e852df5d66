//! SoftHSM 2: a folder of tokens for each test, and keys and certificates put there by tools that were
//! not written here.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keystead::backend::pkcs11::{Access, KeyAlgorithm};
use tempfile::TempDir;

use crate::alone::alone;
use crate::program::{self, run};

/// SoftHSM's module. It reads its configuration from the environment of the process that loads it.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

/// The variable that names the configuration.
pub const CONFIGURATION: &str = "SOFTHSM2_CONF";

/// The PIN of every token's user, and of its security officer.
pub const PIN: &str = "1234";
pub const SO_PIN: &str = "12345678";

/// A folder of tokens. It stands for its first token, which most tests have alone.
pub struct SoftHsm {
    first: Token,
    folder: PathBuf,
    /// Removes the folder, if it is ours.
    _owned: Option<TempDir>,
}

/// A token in such a folder.
#[derive(Debug, Clone)]
pub struct Token {
    pub label: String,
    /// CK_TOKEN_INFO's, found out: SoftHSM chooses it.
    pub serial: String,
    /// CK_SLOT_ID.
    pub slot: u64,
    configuration: PathBuf,
}

impl SoftHsm {
    /// A folder with one token, for programs that are given its configuration
    /// ([`Token::command`], [`Token::configure`]).
    pub fn new(label: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut hsm = Self::at(folder.path(), label);
        hsm._owned = Some(folder);
        hsm
    }

    /// Runs a test that loads the module itself: in a process of its own, which is born with the
    /// configuration of the tokens. The closure has to be written in the test function.
    #[track_caller]
    pub fn in_process(label: &'static str, test: impl FnOnce(Self)) {
        alone(
            |folder| vec![(CONFIGURATION, configuration(folder).into())],
            |folder| test(Self::at(folder, label)),
        );
    }

    /// A folder with one token, in a folder that is there.
    pub fn at(folder: &Path, label: &str) -> Self {
        fs::create_dir(folder.join("tokens")).expect("the test's folder can be written to");
        let configuration = configuration(folder);
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            folder.join("tokens").display()
        );
        fs::write(&configuration, text).expect("the test's folder can be written to");
        Self {
            first: Token::new(&configuration, label),
            folder: folder.to_owned(),
            _owned: None,
        }
    }

    /// The folder, also for the test's own files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The tokens by way of the module, for a test that loads it itself.
    pub fn access(&self) -> Access {
        Access {
            module: MODULE.into(),
            state: Some(self.folder.join("state")),
            reuse_pin: false,
            timeout: Duration::from_secs(30),
        }
    }

    /// One more token. The label may be taken already.
    pub fn add_token(&self, label: &str) -> Token {
        Token::new(&self.first.configuration, label)
    }
}

impl Deref for SoftHsm {
    type Target = Token;

    fn deref(&self) -> &Token {
        &self.first
    }
}

/// Where a folder's configuration is.
pub fn configuration(folder: &Path) -> PathBuf {
    folder.join("softhsm2.conf")
}

impl Token {
    fn new(configuration: &Path, label: &str) -> Self {
        let mut token = Self {
            label: label.to_owned(),
            serial: String::new(),
            slot: 0,
            configuration: configuration.to_owned(),
        };
        let said = token.initialise(&["--free"]);
        let slot = said.split_once("reassigned to slot").map(|(_, slot)| slot);
        token.slot = slot
            .and_then(|slot| slot.trim().parse().ok())
            .unwrap_or_else(|| panic!("softhsm2-util names no slot: {said}"));
        token.serial = token.serial_of_slot();
        token
    }

    /// Wipes the token and sets it up again under the same label. It keeps its serial and slot.
    #[track_caller]
    pub fn initialise_again(&self) {
        self.initialise(&["--serial", &self.serial]);
    }

    fn initialise(&self, which: &[&str]) -> String {
        let mut initialise = self.command("softhsm2-util");
        initialise
            .args(["--init-token", "--label", &self.label])
            .args(["--so-pin", SO_PIN, "--pin", PIN])
            .args(which);
        run(&mut initialise).success()
    }

    fn serial_of_slot(&self) -> String {
        let slots = run(self.command("softhsm2-util").arg("--show-slots")).success();
        let heading = format!("Slot {}\n", self.slot);
        let (_, ours) = slots
            .split_once(&heading)
            .unwrap_or_else(|| panic!("slot {} is not shown: {slots}", self.slot));
        let serial = ours
            .lines()
            .find_map(|line| line.trim().strip_prefix("Serial number:"))
            .expect("softhsm2-util shows serial numbers");
        serial.trim().to_owned()
    }

    /// The token's URI: the label may be another token's too, the serial is not.
    pub fn uri(&self) -> String {
        format!("pkcs11:token={};serial={}", self.label, self.serial)
    }

    /// The URI of a private key in it.
    pub fn key_uri(&self, id: u8) -> String {
        format!("{};id=%{id:02x};type=private", self.uri())
    }

    /// Tells a program which tokens there are.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env(CONFIGURATION, &self.configuration)
    }

    /// A program that sees the tokens.
    pub fn command(&self, program: &str) -> Command {
        let mut command = program::command(program);
        self.configure(&mut command);
        command
    }

    /// `pkcs11-tool`, logged in to this token. Gives what it prints.
    #[track_caller]
    pub fn tool(&self, arguments: &[&str]) -> String {
        run(self.pkcs11_tool(MODULE).args(arguments)).success()
    }

    /// `pkcs11-tool` with any module that shows this token in the same slot, to be logged in.
    pub fn pkcs11_tool(&self, module: impl AsRef<Path>) -> Command {
        let mut tool = self.command("pkcs11-tool");
        tool.arg("--module").arg(module.as_ref()).args([
            "--slot",
            &self.slot.to_string(),
            "--login",
            "--pin",
            PIN,
        ]);
        tool
    }

    /// GnuTLS's `p11tool`, logged in to this token; arguments after `uri`.
    #[track_caller]
    pub fn p11tool(&self, arguments: &[&str], uri: &str) -> String {
        let mut tool = self.command("p11tool");
        tool.args(["--provider", MODULE, "--login", "--batch"])
            .arg(format!("--set-pin={PIN}"))
            .args(arguments)
            .arg(uri);
        run(&mut tool).success()
    }

    /// Makes a key pair in the token: sensitive, not extractable. More arguments of `pkcs11-tool`
    /// change that: `--extractable`, `--always-auth`.
    #[track_caller]
    pub fn generate(&self, algorithm: KeyAlgorithm, id: u8, label: &str, more: &[&str]) {
        let kind = match algorithm {
            KeyAlgorithm::P256 => "EC:prime256v1".to_owned(),
            KeyAlgorithm::P384 => "EC:secp384r1".to_owned(),
            KeyAlgorithm::P521 => "EC:secp521r1".to_owned(),
            KeyAlgorithm::Rsa(bits) => format!("rsa:{bits}"),
        };
        let id = format!("{id:02x}");
        let mut arguments = vec!["--keypairgen", "--key-type", &kind, "--usage-sign"];
        arguments.extend(["--id", &id, "--label", label]);
        arguments.extend(more);
        self.tool(&arguments);
    }

    /// Puts a key pair into the token: private key as PKCS#8 PEM.
    #[track_caller]
    pub fn import(&self, pem: &Path, id: u8, label: &str) {
        let id = format!("{id:02x}");
        let mut import = self.command("softhsm2-util");
        import
            .args(["--import".as_ref(), pem.as_os_str()])
            .args(["--serial", &self.serial, "--pin", PIN])
            .args(["--id", &id, "--label", label]);
        run(&mut import).success();
    }

    /// Puts a private key alone into the token, which it may leave again; there is no public-key object.
    #[track_caller]
    pub fn import_extractable(&self, pem: &Path, id: u8, label: &str) {
        let der = pem.with_extension("der");
        run(program::command("openssl")
            .args(["pkey", "-outform", "DER", "-in"])
            .arg(pem)
            .arg("-out")
            .arg(&der))
        .success();
        self.write_object(
            &der,
            "privkey",
            id,
            label,
            &["--usage-sign", "--extractable"],
        );
    }

    /// Puts a certificate (DER) into the token.
    #[track_caller]
    pub fn write_certificate(&self, der: &Path, id: u8, label: &str) {
        self.write_object(der, "cert", id, label, &[]);
    }

    fn write_object(&self, file: &Path, class: &str, id: u8, label: &str, more: &[&str]) {
        let file = file.to_str().expect("the test's paths are UTF-8");
        let id = format!("{id:02x}");
        let mut arguments = vec!["--write-object", file, "--type", class];
        arguments.extend(["--id", &id, "--label", label]);
        arguments.extend(more);
        self.tool(&arguments);
    }

    /// Removes an object: `privkey`, `pubkey` or `cert`.
    #[track_caller]
    pub fn delete(&self, class: &str, id: u8) {
        self.tool(&[
            "--delete-object",
            "--type",
            class,
            "--id",
            &format!("{id:02x}"),
        ]);
    }

    /// Removes the token with all that is in it.
    #[track_caller]
    pub fn remove(&self) {
        let mut delete = self.command("softhsm2-util");
        delete.args(["--delete-token", "--serial", &self.serial]);
        run(&mut delete).success();
    }

    /// The public key of a key pair, DER, from the token.
    #[track_caller]
    pub fn public_key(&self, id: u8, to: &Path) {
        let file = to.to_str().expect("the test's paths are UTF-8");
        let id = format!("{id:02x}");
        self.tool(&["--read-object", "--type", "pubkey", "--id", &id, "-o", file]);
    }
}
