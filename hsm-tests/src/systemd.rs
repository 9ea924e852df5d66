//! systemd as process 1, in namespaces of its own: units run in it as they do on a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::{self, Finished, run};

const BOOT: &str = include_str!("systemd/boot.sh");

/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A system that runs, and is gone with this.
pub struct Systemd {
    unshare: Child,
    init: u32,
    group: PathBuf,
    folder: TempDir,
}

/// The files that a system has beside those of this machine.
pub struct Files(TempDir);

impl Files {
    /// None yet but the programs under test.
    pub fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary folder can be made"));
        files.copy(&program::keystead(), "usr/bin/keystead");
        files.copy(&program::keystead_signer(), "usr/bin/keystead-signer");
        files
    }

    /// A copy of a file, at `path` below the root.
    pub fn copy(&self, file: &Path, path: &str) {
        let target = self.place(path);
        // A link would do for programs, but not across file systems.
        fs::copy(file, target).expect("a file can be copied");
    }

    /// A file of that content.
    pub fn write(&self, path: &str, contents: &str) {
        fs::write(self.place(path), contents).expect("a file can be written");
    }

    /// A folder, for whoever fills it.
    pub fn folder(&self, path: &str) -> PathBuf {
        let folder = self.0.path().join("files").join(path);
        fs::create_dir_all(&folder).expect("a folder can be made");
        folder
    }

    fn place(&self, path: &str) -> PathBuf {
        let (folder, name) = path.rsplit_once('/').expect("a file is in a folder");
        self.folder(folder).join(name)
    }

    /// Boots.
    pub fn boot(self) -> Systemd {
        let folder = self.0;
        let script = folder.path().join("boot.sh");
        fs::write(&script, BOOT).expect("a file can be written");
        let name = folder
            .path()
            .file_name()
            .expect("a temporary folder has a name");
        let group = control_groups().join(name);
        fs::create_dir(&group).expect("a control group can be made: the tests run as root");
        let log = fs::File::create(folder.path().join("log")).expect("a file can be made");
        let unshare = program::command("sh")
            .arg(&script)
            .args([folder.path(), &group])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("descriptors are not short"))
            .stderr(log)
            .spawn()
            .expect("sh starts");
        let mut system = Systemd {
            unshare,
            init: 0,
            group,
            folder,
        };
        system.wait_for_init();
        system
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::new()
    }
}

impl Systemd {
    fn wait_for_init(&mut self) {
        let unshare = self.unshare.id();
        let children = format!("/proc/{unshare}/task/{unshare}/children");
        self.until("the system boots", |system| {
            let child = fs::read_to_string(&children).unwrap_or_default();
            system.init = child.trim().parse().unwrap_or_default();
            let socket = format!("/proc/{}/root/run/systemd/private", system.init);
            let is_init = fs::read_to_string(format!("/proc/{}/comm", system.init));
            is_init.is_ok_and(|name| name == "systemd\n") && Path::new(&socket).exists()
        });
    }

    /// Waits until something is so.
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{what}: not yet\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What systemd has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A program that is started inside, as root.
    pub fn command(&self, program: &str) -> Command {
        let mut command = program::command("nsenter");
        command
            .args(["--mount", "--pid", "--ipc", "--cgroup", "--target"])
            .args([&self.init.to_string(), "--", program]);
        command
    }

    /// Runs `systemctl`.
    pub fn systemctl(&self, arguments: &[&str]) -> Finished {
        run(self.command("systemctl").args(arguments))
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> String {
        let arguments = ["show", unit, "--value", "--property", name];
        self.systemctl(&arguments).success().trim().to_owned()
    }

    /// A file inside, from outside.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root/{path}", self.init))
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // With process 1 all others of its namespace end; who waits for it has waited for them.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        let deadline = Instant::now() + PATIENCE;
        while remove_groups(&self.group).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A control group is empty as soon as its processes are gone.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}

/// Where control groups of the second version are (cgroups(7)).
fn control_groups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is there");
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let found = mounts.find_map(|mut fields| {
        let place = fields.nth(1)?;
        (fields.next() == Some("cgroup2")).then_some(place)
    });
    Path::new(found.expect("control groups of version 2 are mounted")).to_owned()
}
