//! The program with a TPM, as a person has it: a home, and files in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use hsm_tests::lab::{json, restrict};
use hsm_tests::{Finished, Swtpm, program, run};

/// Where the key is.
pub const HANDLE: &str = "0x81000011";
/// Its auth value.
pub const AUTH: &str = "keypin";

/// A TPM, and a home with files of its own beside it.
pub struct Desk {
    pub tpm: Swtpm,
}

impl Desk {
    pub fn new() -> Self {
        Self { tpm: Swtpm::new() }
    }

    /// One with a key at [`HANDLE`] that has [`AUTH`] for its auth value, in the file `auth`.
    pub fn with_key() -> Self {
        let desk = Self::new();
        desk.tpm.make_storage_root();
        desk.tpm
            .make_key("ecc256:null:null", "|sign|noda", AUTH, 0x8100_0011);
        desk.write("auth", AUTH);
        desk
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.tpm.folder().join(name);
        fs::write(&path, text).unwrap();
        restrict(&path);
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.tpm.folder().join(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.tpm.folder().join(name).exists()
    }

    pub fn mode(&self, name: &str) -> u32 {
        let metadata = fs::metadata(self.tpm.folder().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    }

    /// Runs the program with words that are separated by blanks.
    pub fn keystead(&self, line: &str) -> Finished {
        self.keystead_with(line, &[])
    }

    pub fn keystead_with(&self, line: &str, variables: &[(&str, &str)]) -> Finished {
        run(self.command(line).envs(variables.iter().copied()))
    }

    /// The program, ready to run with words that are separated by blanks.
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.tpm.command(program::keystead());
        command
            .env("HOME", self.tpm.folder())
            // A machine's own TPM is not meant.
            .env("KEYSTEAD_TCTI", self.tpm.tcti())
            .args(line.split(' ').filter(|word| !word.is_empty()));
        command
    }

    /// The same for what succeeds without a warning; gives its standard output.
    #[track_caller]
    pub fn done(&self, line: &str) -> String {
        let finished = self.keystead(line);
        assert_eq!(finished.stderr, "", "{line}");
        finished.success()
    }

    /// The same for what fails with this exit code; gives its standard error.
    #[track_caller]
    pub fn fails(&self, code: i32, line: &str) -> String {
        let finished = self.keystead(line);
        assert_eq!(finished.code, Some(code), "{line}: {}", finished.stderr);
        assert_eq!(finished.stdout, "", "{line}");
        finished.stderr
    }

    /// Requests a certificate with a key, which OpenSSL verifies, and has it issued as NAME.pem.
    #[track_caller]
    pub fn certify(&self, key: &str, name: &str) {
        if !self.tpm.folder().join("ca").exists() {
            self.done("ca init");
        }
        self.done(&format!(
            "cert request {key} --subject CN={name} --out {name}.csr"
        ));
        let mut verify = self.tpm.command("openssl");
        let request = format!("{name}.csr");
        run(verify.args(["req", "-verify", "-noout", "-in", &request])).success();
        self.done(&format!("ca issue --csr {request} --cert {name}.pem"));
    }

    /// Gets a session of the sandbox with NAME.pem and a key.
    #[track_caller]
    pub fn session(&self, key: &str, name: &str) {
        let printed = self.done(&format!(
            "sandbox --ca ca --certificate {name}.pem --key {key} -- {} credential-process --identity \
             sensor-hub",
            program::keystead().display()
        ));
        assert_eq!(json(&printed)["Version"], 1, "{printed}");
    }
}
