//! swtpm: a TPM 2.0 in software, for each test one of its own, and what tpm2-tools put into it.
//!
//! It has three places for keys and three for sessions, and libtss2 takes a connection for each command:
//! who uses it at the same time gets in each other's way, as with `/dev/tpm0`. Where several are wanted at
//! once there is [`ResourceManager`].

mod character_device;
mod commands;
mod interposer;
mod maker;
mod port;
mod resource_manager;
mod tools;

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use keystead::backend::tpm::Access;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use self::character_device::CharacterDevice;
pub use self::commands::Mark;
pub use self::interposer::Interposer;
use self::port::Ports;
pub use self::resource_manager::ResourceManager;
pub use self::tools::{Left, Lockout};
use crate::processes::await_that;
use crate::program;

/// A TPM.
pub struct Swtpm {
    folder: Folder,
    ports: Ports,
    /// None while it has no power.
    child: Option<Child>,
    manager: Option<ResourceManager>,
}

/// What a TPM is told when it has power again (TPM 2.0 Part 1, section 12.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Startup {
    /// The machine was started.
    Clear,
    /// It was woken up: what [`Swtpm::suspend`] had the TPM keep is there.
    State,
}

enum Folder {
    Own(TempDir),
    Tests(PathBuf),
}

impl Swtpm {
    /// A new one, with nothing in it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self::within(Folder::Own(folder))
    }

    /// A new one in the folder of a test that runs alone, whose other processes find it by
    /// [`tcti_in`](Self::tcti_in).
    pub fn at(folder: &Path) -> Self {
        let tpm = Self::within(Folder::Tests(folder.to_owned()));
        tpm.tell();
        tpm
    }

    /// The same behind a resource manager, in [its surroundings](ResourceManager::surroundings): all that
    /// uses the TPM from then on does so through that.
    pub fn managed(folder: &Path) -> Self {
        let mut tpm = Self::at(folder);
        tpm.manager = Some(ResourceManager::start(folder, tpm.tcti()));
        tpm.tell();
        tpm
    }

    /// The resource manager before it.
    #[track_caller]
    pub fn manager(&mut self) -> &mut ResourceManager {
        self.manager.as_mut().expect("it is managed")
    }

    fn tell(&self) {
        let written = fs::write(tcti_file(self.folder()), self.tcti());
        written.expect("the test's folder can be written to");
    }

    /// How libtss2 reaches the one in a test's folder.
    pub fn tcti_in(folder: &Path) -> String {
        fs::read_to_string(tcti_file(folder)).expect("the test has set up a TPM there")
    }

    fn within(folder: Folder) -> Self {
        let mut tpm = Self {
            folder,
            ports: Ports::claim(),
            child: None,
            manager: None,
        };
        tpm.lose_state();
        tpm.start();
        tpm
    }

    /// How libtss2 reaches it.
    pub fn tcti(&self) -> String {
        if self.manager.is_some() {
            return ResourceManager::TCTI.to_owned();
        }
        format!("swtpm:host=127.0.0.1,port={}", self.ports.commands())
    }

    /// How keystead does.
    pub fn access(&self) -> Access {
        access(self.folder(), self.tcti())
    }

    /// How keystead reaches the one in a test's folder.
    pub fn access_in(folder: &Path) -> Access {
        access(folder, Self::tcti_in(folder))
    }

    /// A folder that lasts as long.
    pub fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Own(folder) => folder.path(),
            Folder::Tests(folder) => folder,
        }
    }

    /// A program that finds it by the environment, and has nothing else in that but PATH.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = program::command(program);
        self.configure(&mut command);
        command.current_dir(self.folder());
        command
    }

    /// Has a program find it by the environment.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(manager) = &self.manager {
            manager.configure(command);
        }
        command
            .env("TPM2TOOLS_TCTI", self.tcti())
            .env("TPM2OPENSSL_TCTI", self.tcti())
            .env("TSS2_LOG", "all+none")
    }

    /// Takes its power away, and its resource manager's.
    pub fn kill(&mut self) {
        if let Some(manager) = &mut self.manager {
            manager.stop();
        }
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Has it answer no more, as hardware does that hangs, until [`go_on`](Self::go_on).
    pub fn hang(&self) {
        self.signal(Signal::STOP);
    }

    /// Has it answer again, what it was asked meanwhile as well.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it has power");
        let process = Pid::from_child(child);
        kill_process(process, signal).expect("a child can be sent a signal");
    }

    /// Gives it power again: its state is what it was.
    #[track_caller]
    pub fn start(&mut self) {
        self.start_as(Startup::Clear);
    }

    /// The same after its machine slept.
    #[track_caller]
    pub fn start_as(&mut self, startup: Startup) {
        assert!(self.child.is_none(), "it has power");
        let ports = &self.ports;
        let startup = match startup {
            Startup::Clear => "not-need-init,startup-clear",
            Startup::State => "not-need-init,startup-state",
        };
        let mut command = program::command("swtpm");
        command.args(["socket", "--tpm2", "--flags", startup]);
        command
            .arg("--tpmstate")
            .arg(format!("dir={},mode=0600", self.state().display()));
        for (channel, port) in [("--server", ports.commands()), ("--ctrl", ports.control())] {
            let socket = format!("type=tcp,port={port},bindaddr=127.0.0.1");
            command.arg(channel).arg(socket);
        }
        command
            .arg("--log")
            .arg(format!("level=20,file={}", self.log_file().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("swtpm is installed");
        let control = ("127.0.0.1", ports.control());
        await_that("swtpm", || {
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "swtpm does not start: {}", self.log());
            answers(control).is_ok()
        });
        self.child = Some(child);
        if let Some(manager) = &mut self.manager {
            manager.start_again();
        }
    }

    /// A power cut: it had no time to write down what it does when it is shut down.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    /// Its machine is shut down in order, and started again.
    #[track_caller]
    pub fn reboot(&mut self) {
        self.tool("shutdown --clear");
        self.restart();
    }

    /// Its machine goes to sleep; [`start_as`](Self::start_as) wakes it up.
    #[track_caller]
    pub fn suspend(&mut self) {
        self.tool("shutdown");
        self.kill();
    }

    /// It forgets everything, as if it were another one. It has no power while it does.
    pub fn lose_state(&mut self) {
        self.kill();
        let state = self.state();
        if state.exists() {
            fs::remove_dir_all(&state).expect("the test's folder is ours");
        }
        fs::create_dir(&state).expect("the test's folder can be written to");
    }

    /// Whether it has power.
    pub fn is_on(&self) -> bool {
        self.child.is_some()
    }

    fn state(&self) -> PathBuf {
        self.folder().join("tpm-state")
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("swtpm.log")
    }

    fn log(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
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

/// Whether a control channel answers: it is there before the channel for commands, and answers after it.
fn answers(control: (&str, u16)) -> io::Result<()> {
    /// CMD_GET_CAPABILITY (swtpm, tpm_ioctl.h), which any state of the TPM allows.
    const GET_CAPABILITY: [u8; 4] = 1_u32.to_be_bytes();
    let mut socket = TcpStream::connect(control)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    socket.write_all(&GET_CAPABILITY)?;
    socket.read_exact(&mut [0; 4])
}

fn access(folder: &Path, tcti: String) -> Access {
    Access {
        tcti,
        state: Some(folder.join("keystead")),
        plain_auth: false,
        timeout: Duration::from_secs(30),
    }
}

fn tcti_file(folder: &Path) -> PathBuf {
    folder.join("tcti")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_state_lasts_until_it_is_lost() {
        let mut tpm = Swtpm::new();
        tpm.make_storage_root();
        tpm.assert_nothing_left();
        tpm.restart();
        let persistent = tpm.tool("getcap handles-persistent");
        assert_eq!(persistent.trim(), "- 0x81000001");
        tpm.lose_state();
        assert!(!tpm.is_on());
        tpm.start();
        assert_eq!(tpm.tool("getcap handles-persistent"), "");
    }

    #[test]
    fn what_is_left_is_seen() {
        let mut tpm = Swtpm::new();
        tpm.tool("createprimary -Q -C o -c primary.ctx");
        tpm.tool("startauthsession --policy-session -S session.ctx");
        let left = tpm.left();
        assert_eq!(left.objects, [0x8000_0000]);
        assert_eq!(left.loaded_sessions.len() + left.saved_sessions.len(), 1);
        tpm.reboot();
        tpm.assert_nothing_left();
        tpm.tool("createprimary -Q -C o -c primary.ctx");
        tpm.suspend();
        tpm.start_as(Startup::State);
        tpm.tool("getrandom 1 --hex");
    }

    #[test]
    fn a_power_cut_after_a_key_that_counts_is_a_failure() {
        let mut tpm = Swtpm::new();
        tpm.set_up_lockout(5, 1000);
        tpm.make_storage_root();
        tpm.make_key("ecc256:null:null", "|sign", "right", 0x8100_0011);
        let sign = |tpm: &Swtpm, auth: &str| {
            fs::write(tpm.folder().join("message"), "message").unwrap();
            tpm.try_tool(&format!(
                "sign -Q -c 0x81000011 -p {auth} -g sha256 -o signature message"
            ))
        };
        sign(&tpm, "right").success();
        assert_eq!((tpm.lockout().failures, tpm.lockout().most), (0, 5));
        tpm.restart();
        assert_eq!(tpm.lockout().failures, 1);
        sign(&tpm, "wrong").failure();
        assert_eq!(tpm.lockout().failures, 2);
        tpm.unlock();
        assert_eq!(tpm.lockout().failures, 0);
    }
}
