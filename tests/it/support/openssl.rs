//! A folder in which OpenSSL's program makes keys and certificates, and checks signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A temporary folder; names in commands are relative to it.
pub struct Workshop(tempfile::TempDir);

impl Workshop {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Runs `openssl` with words separated by blanks, and gives what it printed.
    #[track_caller]
    pub fn openssl(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "openssl {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same for what must fail; gives the errors that it printed.
    #[track_caller]
    pub fn openssl_fails(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "openssl {arguments} succeeded");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("the program openssl runs")
    }

    /// Makes `NAME.key` (PKCS#8, PEM) from the arguments of `openssl genpkey`.
    pub fn key(&self, name: &str, arguments: &str) -> PathBuf {
        self.openssl(&format!("genpkey {arguments} -out {name}.key"));
        self.path(format!("{name}.key"))
    }

    /// Makes `NAME.pem` for `NAME.key`, signed by `ISSUER.key` with the arguments `sign`; by itself, if
    /// the issuer is itself. `extensions` are lines of an OpenSSL configuration.
    pub fn certificate(&self, name: &str, issuer: &str, sign: &str, extensions: &str) -> PathBuf {
        self.write(&format!("{name}.cnf"), extensions);
        self.openssl(&format!(
            "req -new -key {name}.key -subj /CN={name} -out {name}.csr"
        ));
        let by = if name == issuer {
            format!("-signkey {name}.key")
        } else {
            format!("-CA {issuer}.pem -CAkey {issuer}.key -CAcreateserial")
        };
        self.openssl(&format!(
            "x509 -req -in {name}.csr {by} -days 2 {sign} -extfile {name}.cnf -out {name}.pem"
        ));
        self.path(format!("{name}.pem"))
    }
}

/// What `openssl genpkey` makes a P-256 key from.
pub const P256: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-256";

/// Extensions of a CA.
pub const CA: &str = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n";

/// Extensions of a certificate that Roles Anywhere takes.
pub const LEAF: &str = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n";
