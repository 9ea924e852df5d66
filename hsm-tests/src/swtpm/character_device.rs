//! A character device in front of swtpm: what stands in for the kernel's `/dev/tpm0`, which a test cannot make.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use keystead::backend::tpm::Access;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::Swtpm;
use super::interposer::{connected, frame};

/// A terminal that a TPM answers at.
pub struct CharacterDevice {
    path: PathBuf,
    is_silent: Arc<AtomicBool>,
    /// While nobody has it open, the other end reads errors.
    _terminal: File,
}

impl CharacterDevice {
    /// One that leads to a TPM.
    pub fn new(tpm: &Swtpm) -> Self {
        let mut kernel =
            File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty"));
        grantpt(&kernel).expect("it is ours");
        unlockpt(&kernel).expect("it is ours");
        let name = ptsname(&kernel, Vec::new()).expect("it has a name");
        let path = PathBuf::from(name.into_string().expect("its name is a path"));
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits() as i32)
            .open(&path)
            .expect("it can be opened");
        let mut modes = tcgetattr(&terminal).expect("it is a terminal");
        modes.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &modes).expect("it is a terminal");
        let is_silent = Arc::new(AtomicBool::new(false));
        let (silent, port) = (Arc::clone(&is_silent), tpm.ports.commands());
        // It ends when the terminal is closed.
        thread::spawn(move || -> io::Result<()> {
            loop {
                let command = frame(&mut kernel)?;
                let mut tpm = connected(port)?;
                tpm.write_all(&command)?;
                let answer = frame(&mut tpm)?;
                if !silent.load(Ordering::SeqCst) {
                    kernel.write_all(&answer)?;
                }
            }
        });
        Self {
            path,
            is_silent,
            _terminal: terminal,
        }
    }

    /// From now on commands are carried out, and not answered.
    pub fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::SeqCst);
    }

    /// The way to the TPM through it.
    pub fn access(&self, tpm: &Swtpm) -> Access {
        Access {
            tcti: self.tcti(),
            ..tpm.access()
        }
    }

    /// How libtss2 names it.
    pub fn tcti(&self) -> String {
        format!("device:{}", self.path.display())
    }
}
