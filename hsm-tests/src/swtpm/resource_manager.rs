//! A resource manager before swtpm: tpm2-abrmd, on a bus of its own.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::alone::Surroundings;
use crate::processes::await_that;
use crate::program::{self, run};

/// How libtss2 finds the bus; so a test that has a resource manager runs alone.
const BUS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// The name that tpm2-abrmd has on the bus.
const NAME: &str = "com.intel.tss2.Tabrmd";

/// A resource manager. Nobody else may use its TPM.
pub struct ResourceManager {
    folder: PathBuf,
    /// The TPM's.
    tcti: String,
    bus: Child,
    broker: Option<Child>,
}

impl ResourceManager {
    /// How libtss2 reaches it.
    pub const TCTI: &str = "tabrmd:bus_type=session";

    /// What is around a test that runs alone with one.
    pub fn surroundings(folder: &Path) -> Surroundings {
        let log = ("TSS2_LOG", "all+none".into());
        vec![(BUS, bus_address(folder).into()), log].into()
    }

    /// One in the folder of a test that runs alone, for the TPM at a TCTI.
    pub(super) fn start(folder: &Path, tcti: String) -> Self {
        let configuration = folder.join("bus.conf");
        // Everybody may do everything: only the tests' own user gets to it.
        let text = format!(
            "<busconfig><type>session</type><listen>{}</listen><auth>EXTERNAL</auth>\
             <policy context='default'><allow send_destination='*' eavesdrop='true'/>\
             <allow eavesdrop='true'/><allow own='*'/></policy></busconfig>",
            bus_address(folder)
        );
        fs::write(&configuration, text).expect("the test's folder can be written to");
        let mut command = program::command("dbus-daemon");
        command.args(["--nofork", "--nopidfile", "--config-file"]);
        let bus = started(command.arg(configuration));
        await_that("the bus", || {
            UnixStream::connect(folder.join("bus")).is_ok()
        });
        let mut manager = Self {
            folder: folder.to_owned(),
            tcti,
            bus,
            broker: None,
        };
        manager.start_again();
        manager
    }

    /// Has a program find it by the environment.
    pub(super) fn configure(&self, command: &mut Command) {
        command.env(BUS, bus_address(&self.folder));
    }

    /// It ends, as when it crashes or is updated.
    pub fn stop(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            end(&mut broker);
        }
    }

    /// It runs again.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.broker.is_none(), "it runs");
        let mut command = program::command("tpm2-abrmd");
        self.configure(&mut command);
        // What it had in the TPM when it was killed, nobody knows any more.
        command.args(["--allow-root", "--session", "--flush-all"]);
        let mut broker = started(command.arg(format!("--tcti={}", self.tcti)));
        await_that("tpm2-abrmd", || {
            let ended = broker.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "tpm2-abrmd does not start");
            let mut ask = program::command("dbus-send");
            self.configure(&mut ask);
            ask.args(["--session", "--print-reply=literal"]);
            ask.args(["--dest=org.freedesktop.DBus", "/org/freedesktop/DBus"]);
            ask.arg("org.freedesktop.DBus.NameHasOwner");
            run(ask.arg(format!("string:{NAME}")))
                .stdout
                .contains("true")
        });
        self.broker = Some(broker);
    }
}

impl Drop for ResourceManager {
    fn drop(&mut self) {
        self.stop();
        end(&mut self.bus);
    }
}

fn bus_address(folder: &Path) -> String {
    format!("unix:path={}", folder.join("bus").display())
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
    use crate::{Swtpm, alone};

    #[test]
    fn several_clients_have_the_tpm_at_once_and_leave_nothing() {
        alone(ResourceManager::surroundings, |folder| {
            let mut tpm = Swtpm::managed(folder);
            let in_threads = |tpm: &Swtpm| {
                std::thread::scope(|scope| {
                    for number in 0..3 {
                        let line = format!("createprimary -Q -C o -c {number}.ctx");
                        scope.spawn(move || tpm.tool(&line));
                    }
                });
                assert_eq!(tpm.tool("getcap handles-transient"), "");
            };
            in_threads(&tpm);
            tpm.manager().stop();
            tpm.try_tool("getrandom 1 --hex").failure();
            tpm.manager().start_again();
            in_threads(&tpm);
            tpm.restart();
            in_threads(&tpm);
        });
    }
}
