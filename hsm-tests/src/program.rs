//! Starting programs: with an environment of their own, and with their end checked.

use std::env;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in the workspace")
}

/// The folder of the programs that were built with this test.
pub fn programs() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own file");
    let folder = test.ancestors().nth(2).expect("tests lie in a folder deps");
    folder.to_owned()
}

/// The folder of the programs that scripts/test installs.
pub fn installed() -> PathBuf {
    root().join("target/venv/bin")
}

/// The program under test.
pub fn keystead() -> PathBuf {
    existing(programs().join("keystead"))
}

/// The virtual PIV card.
pub fn card() -> PathBuf {
    existing(programs().join("piv-card"))
}

/// The program beside it, which loads PKCS#11 modules.
pub fn keystead_signer() -> PathBuf {
    existing(programs().join("keystead-signer"))
}

/// A daemon that holds a key open.
pub fn key_holder() -> PathBuf {
    existing(programs().join("key-holder"))
}

/// The S3 server of the crates `s3s` and `s3s-fs`.
pub fn s3s_server() -> PathBuf {
    existing(programs().join("s3s-server"))
}

/// A library of a Debian package.
pub fn library(name: &str) -> PathBuf {
    let folder = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    existing(Path::new(&folder).join(name))
}

/// An example of this crate, which is built with the tests.
pub fn example(name: &str) -> PathBuf {
    existing(programs().join("examples").join(name))
}

/// A program that scripts/test installs.
pub fn client(name: &str) -> PathBuf {
    existing(installed().join(name))
}

/// A program of a Debian package, also where others of that name come before it in PATH.
pub fn packaged(name: &str) -> PathBuf {
    existing(Path::new("/usr/bin").join(name))
}

fn existing(program: PathBuf) -> PathBuf {
    assert!(
        program.exists(),
        "{} is missing: run scripts/test, which builds and installs what the tests need",
        program.display()
    );
    program
}

/// A program whose environment holds nothing but what the test puts there, and PATH.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear();
    let inherited = env::var_os("PATH").unwrap_or_default();
    let path = [programs(), installed()]
        .into_iter()
        .chain(env::split_paths(&inherited));
    command.env(
        "PATH",
        env::join_paths(path).expect("PATH's parts came from PATH"),
    );
    command.stdin(Stdio::null());
    command
}

/// A script of this crate's folder `python`.
pub fn python(script: &str) -> Command {
    let mut command = command(client("python3"));
    command.arg(root().join("hsm-tests/python").join(script));
    command
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Makes a private key with OpenSSL: PKCS#8 PEM, readable by its owner. `algorithm` as `genpkey` has it:
/// `EC:P-256`, `RSA:2048`.
pub fn private_key(algorithm: &str, file: &Path) {
    let (kind, option) = match algorithm.split_once(':') {
        Some(("EC", curve)) => ("EC", format!("ec_paramgen_curve:{curve}")),
        Some(("RSA", bits)) => ("RSA", format!("rsa_keygen_bits:{bits}")),
        _ => panic!("{algorithm} is neither EC:CURVE nor RSA:BITS"),
    };
    let mut genpkey = command("openssl");
    genpkey.args(["genpkey", "-algorithm", kind, "-pkeyopt", &option]);
    run(genpkey.arg("-out").arg(file)).success();
}

/// Makes a certificate for a private key with OpenSSL, signed by that key, DER.
pub fn self_signed(key: &Path, subject: &str, file: &Path) {
    let mut req = command("openssl");
    req.args(["req", "-new", "-x509", "-days", "2", "-outform", "DER"])
        .args(["-subj", subject, "-key"])
        .arg(key)
        .arg("-out")
        .arg(file);
    run(&mut req).success();
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The standard output of a program that succeeded.
    #[track_caller]
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// The standard error of a program that failed.
    #[track_caller]
    pub fn failure(self) -> String {
        assert_ne!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self.stderr
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Finished {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a program to its end, with `input` on its standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> Finished {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    stdin
        .write_all(input.as_bytes())
        .expect("the program reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
