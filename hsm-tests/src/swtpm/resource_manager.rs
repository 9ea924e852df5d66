//! A resource manager before swtpm: tpm2-abrmd, on a bus of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use keystead::backend::tpm::Access;

use super::Swtpm;
use crate::alone::Surroundings;
use crate::processes::await_that;
use crate::program::{self, run};

/// How libtss2 finds the bus; so a test that has a resource manager runs alone.
const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// The name that tpm2-abrmd has on the bus.
const NAME: &str = "com.intel.tss2.Tabrmd";

/// A resource manager. It has the TPM's one connection.
pub struct ResourceManager {
    folder: PathBuf,
    tpm: String,
    bus: Child,
    broker: Option<Child>,
}

impl ResourceManager {
    /// How libtss2 reaches it.
    pub const TCTI: &str = "tabrmd:bus_type=session";

    /// What is around a test that runs alone with one.
    pub fn surroundings(folder: &Path) -> Surroundings {
        vec![
            (BUS, bus_address(folder).into()),
            ("TSS2_LOG", "all+none".into()),
        ]
        .into()
    }

    /// One in the folder of a test that runs alone, before its TPM.
    pub fn new(folder: &Path, tpm: &Swtpm) -> Self {
        let configuration = folder.join("bus.conf");
        // Everybody may do everything: only the tests' own user gets to it.
        let text = format!(
            "<busconfig><type>session</type><listen>{}</listen><auth>EXTERNAL</auth>\
             <policy context='default'><allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/></policy>\
             </busconfig>",
            bus_address(folder)
        );
        fs::write(&configuration, text).expect("the test's folder can be written to");
        let mut command = program::command("dbus-daemon");
        command.args(["--nofork", "--nopidfile", "--config-file"]);
        command.arg(configuration);
        let bus = started(&mut command);
        await_that("the bus", || bus_socket(folder).exists());
        let mut manager = Self {
            folder: folder.to_owned(),
            tpm: tpm.tcti(),
            bus,
            broker: None,
        };
        manager.start();
        manager
    }

    /// How keystead reaches it, in whichever process of the test.
    pub fn access(folder: &Path) -> Access {
        Access {
            tcti: Self::TCTI.to_owned(),
            state: Some(folder.join("keystead")),
            plain_auth: false,
            timeout: std::time::Duration::from_secs(30),
        }
    }

    /// It ends, as when it is updated or the bus is.
    pub fn stop(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            end(&mut broker);
        }
    }

    /// It runs again.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.broker.is_none(), "it runs");
        let mut command = self.command("tpm2-abrmd");
        command.args(["--allow-root", "--session"]);
        command.arg(format!("--tcti={}", self.tpm));
        let mut broker = started(&mut command);
        await_that("tpm2-abrmd", || {
            let ended = broker.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "tpm2-abrmd does not start");
            let mut ask = self.command("dbus-send");
            ask.args(["--session", "--print-reply=literal"]);
            ask.args(["--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"]);
            ask.arg("org.freedesktop.DBus.NameHasOwner");
            ask.arg(format!("string:{NAME}"));
            run(&mut ask).stdout.contains("true")
        });
        self.broker = Some(broker);
    }

    /// Runs one of tpm2-tools through it: its name without `tpm2_`, and its arguments, in one line.
    #[track_caller]
    pub fn tool(&self, line: &str) -> String {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let mut command = self.command(format!("tpm2_{name}"));
        run(command.args(words)).success()
    }

    /// A program that finds it by the environment, and has nothing else in that but PATH.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = program::command(program);
        command
            .current_dir(&self.folder)
            .env(BUS, bus_address(&self.folder))
            .env("TPM2TOOLS_TCTI", Self::TCTI)
            .env("TPM2OPENSSL_TCTI", Self::TCTI)
            .env("TSS2_LOG", "all+none");
        command
    }
}

impl Drop for ResourceManager {
    fn drop(&mut self) {
        self.stop();
        end(&mut self.bus);
    }
}

fn bus_socket(folder: &Path) -> PathBuf {
    folder.join("bus")
}

fn bus_address(folder: &Path) -> String {
    format!("unix:path={}", bus_socket(folder).display())
}

fn started(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn();
    child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"))
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alone;

    #[test]
    fn several_clients_have_the_tpm_at_once_and_leave_nothing() {
        alone(ResourceManager::surroundings, |folder| {
            let tpm = Swtpm::at(folder);
            let mut manager = ResourceManager::new(folder, &tpm);
            let threads = || {
                std::thread::scope(|scope| {
                    for number in 0..3 {
                        let manager = &manager;
                        let line = format!("createprimary -Q -C o -c {number}.ctx");
                        scope.spawn(move || manager.tool(&line));
                    }
                });
                assert_eq!(manager.tool("getcap handles-transient"), "");
            };
            threads();
            manager.stop();
            tpm.assert_nothing_left();
            manager.start();
            manager.tool("getrandom 1 --hex");
        });
    }
}
