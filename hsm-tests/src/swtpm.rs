//! swtpm: a TPM 2.0 in software, for each test one of its own, and what tpm2-tools put into it.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keystead::backend::tpm::Access;
use tempfile::TempDir;

use crate::processes::await_that;
use crate::program::run;

/// A TPM.
pub struct Swtpm {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Swtpm {
    /// A new one, with nothing in it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        fs::create_dir(folder.path().join("state")).expect("the test's folder can be written to");
        // Whoever takes one of them meanwhile costs a try.
        for port in (0..50).map(|_| free_ports()) {
            if let Some(child) = start(folder.path(), port) {
                return Self {
                    folder,
                    port,
                    child,
                };
            }
        }
        panic!("swtpm does not start: {}", log(folder.path()));
    }

    /// How libtss2 reaches it.
    pub fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }

    /// How keystead does.
    pub fn access(&self) -> Access {
        Access {
            tcti: self.tcti(),
            state: Some(self.folder.path().join("keystead")),
            plain_auth: false,
            timeout: Duration::from_secs(30),
        }
    }

    /// A folder that lasts as long.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A program that finds it by the environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder())
            .env("TPM2TOOLS_TCTI", self.tcti())
            .env("TPM2OPENSSL_TCTI", self.tcti());
        command
    }

    /// Runs one of tpm2-tools: its name without `tpm2_`, and its arguments, in one line.
    #[track_caller]
    pub fn tool(&self, line: &str) -> String {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let mut command = self.command(format!("tpm2_{name}"));
        run(command.args(words)).stdout
    }

    /// Makes a storage root key by the TCG's template, at 0x81000001.
    #[track_caller]
    pub fn make_storage_root(&self) {
        self.tool(
            "createprimary -Q -C o -g sha256 -G ecc256:aes128cfb -a \
             fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt -c srk.ctx",
        );
        self.tool("evictcontrol -Q -C o -c srk.ctx 0x81000001");
        self.tool("flushcontext -t");
    }

    /// Makes a key under it: its algorithm, its attributes beside the usual ones (or none), its auth
    /// value, and the handle for it.
    #[track_caller]
    pub fn make_key(&self, algorithm: &str, more: &str, auth: &str, handle: u32) {
        let attributes = format!("fixedtpm|fixedparent|sensitivedataorigin|userwithauth{more}");
        self.tool(&format!(
            "create -Q -C 0x81000001 -G {algorithm} -a {attributes} -p {auth} -u k.pub -r k.priv"
        ));
        self.tool("load -Q -C 0x81000001 -u k.pub -r k.priv -c k.ctx");
        self.tool(&format!("evictcontrol -Q -C o -c k.ctx {handle:#x}"));
        self.tool("flushcontext -t");
    }

    /// Takes its power away.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Gives it power again: its state is what it was.
    pub fn start(&mut self) {
        self.child = start(self.folder.path(), self.port)
            .unwrap_or_else(|| panic!("swtpm does not start again: {}", log(self.folder.path())));
    }
}

impl Default for Swtpm {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Two ports in a row, that of the control channel being the second: below those that the system gives
/// to clients.
fn free_ports() -> u16 {
    let seed = fs::read("/proc/sys/kernel/random/uuid").expect("Linux has random numbers");
    let number = seed.iter().fold(0_u32, |sum, &byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    10_000 + u16::try_from(number % 10_000).expect("it is below 10,000") * 2
}

fn start(folder: &Path, port: u16) -> Option<Child> {
    for port in [port, port + 1] {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    }
    let mut child = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
        .arg("--tpmstate")
        .arg(format!("dir={},mode=0600", folder.join("state").display()))
        .arg("--server")
        .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
        .arg("--ctrl")
        .arg(format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1))
        .arg("--log")
        .arg(format!("level=20,file={}", log_file(folder).display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("swtpm is installed");
    let mut ended = false;
    await_that("swtpm", || {
        ended = child
            .try_wait()
            .expect("a child can be waited for")
            .is_some();
        ended || TcpStream::connect((Ipv4Addr::LOCALHOST, port + 1)).is_ok()
    });
    (!ended).then_some(child)
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("swtpm.log")
}

fn log(folder: &Path) -> String {
    fs::read_to_string(log_file(folder)).unwrap_or_default()
}
