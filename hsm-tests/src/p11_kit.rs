//! p11-kit: with a configuration of the test's own, and a module behind a socket.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};

use crate::program;

/// The module that speaks to a server.
pub fn client() -> PathBuf {
    program::library("pkcs11/p11-kit-client.so")
}

/// The module that shows all modules of the configuration.
pub fn proxy() -> PathBuf {
    program::library("p11-kit-proxy.so")
}

/// The variable that names the server to p11-kit-client.so.
pub const ADDRESS: &str = "P11_KIT_SERVER_ADDRESS";

/// Where Debian's p11-kit looks for the machine's modules.
const MODULES: &str = "/usr/share/p11-kit/modules";

fn socket(folder: &Path) -> PathBuf {
    folder.join("p11-kit.socket")
}

/// The address of the server in a test's folder.
pub fn address(folder: &Path) -> OsString {
    let mut address = OsString::from("unix:path=");
    address.push(socket(folder));
    address
}

/// Serves until its standard input ends. Being the first of its PID namespace, it takes all others with
/// it: also those that p11-kit forked, one for each connection.
const SERVE: &str =
    r#"p11-kit server --foreground --provider "$1" --name "$2" pkcs11: & read -r _"#;

/// A module behind a socket. It ends with this value.
pub struct Server {
    /// `unshare`, which ends after all that are in the namespace.
    namespace: Child,
    /// It may say more.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Serves all tokens that a module shows.
    pub fn start(folder: &Path, module: &str) -> Self {
        let mut server = std::process::Command::new("unshare");
        if !program::is_root() {
            server.arg("--map-root-user");
        }
        server.args(["--pid", "--fork", "--kill-child=KILL"]);
        server
            .args(["sh", "-c", SERVE, "sh", module])
            .arg(socket(folder));
        let mut namespace = server
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let stdout = namespace.stdout.take().expect("standard output is a pipe");
        let mut stdout = BufReader::new(stdout);
        // It prints its address once it listens.
        let mut line = String::new();
        stdout
            .read_line(&mut line)
            .expect("p11-kit prints its address");
        assert!(line.starts_with(ADDRESS), "{line}");
        Self {
            namespace,
            _stdout: stdout,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.namespace.stdin.take());
        let _ = self.namespace.wait();
    }
}

/// The words that start a program whose p11-kit knows one module. It reads a user's own configuration
/// for everyone but root, so that the machine's is hidden instead: in a mount namespace.
pub fn only_module(folder: &Path, module: &Path, reserved: Option<&str>) -> Vec<OsString> {
    let own = folder.join("p11-kit");
    fs::create_dir(&own).expect("the test's folder can be written to");
    let mut text = format!("module: {}\n", module.display());
    if let Some(reserved) = reserved {
        text += &format!("x-init-reserved: {reserved}\n");
    }
    fs::write(own.join("only.module"), text).expect("the test's folder can be written to");
    let mut words: Vec<OsString> = vec!["unshare".into(), "--mount".into()];
    if !program::is_root() {
        words.push("--map-root-user".into());
    }
    let script = format!("mount --bind \"$0\" {MODULES} && exec \"$@\"");
    words.extend(["--propagation", "private", "sh", "-c"].map(OsString::from));
    words.extend([script.into(), own.into()]);
    words
}
