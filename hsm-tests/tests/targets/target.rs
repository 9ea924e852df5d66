//! The targets of scripts/cross, and the programs that it has built for them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use hsm_tests::program;

/// One of them.
#[derive(Debug)]
pub struct Target {
    pub triple: &'static str,
    /// What runs a static program for it; none where this machine does.
    emulator: Option<&'static str>,
    /// The target whose `keystead-signer` runs on the same machine: its own, unless its programs are static.
    libraries: Option<&'static Target>,
    /// Debian's name for the processor, and its folder of libraries: of those that are not static.
    debian: Option<(&'static str, &'static str)>,
}

pub static ARMV7_GNU: Target = Target {
    triple: "armv7-unknown-linux-gnueabihf",
    emulator: Some("qemu-arm-static"),
    libraries: Some(&ARMV7_GNU),
    debian: Some(("armhf", "arm-linux-gnueabihf")),
};

pub static AARCH64_GNU: Target = Target {
    triple: "aarch64-unknown-linux-gnu",
    emulator: Some("qemu-aarch64-static"),
    libraries: Some(&AARCH64_GNU),
    debian: Some(("arm64", "aarch64-linux-gnu")),
};

pub static ARMV7_MUSL: Target = Target {
    triple: "armv7-unknown-linux-musleabihf",
    emulator: Some("qemu-arm-static"),
    libraries: Some(&ARMV7_GNU),
    debian: None,
};

pub static AARCH64_MUSL: Target = Target {
    triple: "aarch64-unknown-linux-musl",
    emulator: Some("qemu-aarch64-static"),
    libraries: Some(&AARCH64_GNU),
    debian: None,
};

pub static X86_64_MUSL: Target = Target {
    triple: "x86_64-unknown-linux-musl",
    emulator: None,
    libraries: None,
    debian: None,
};

impl Target {
    /// Its `keystead`.
    pub fn keystead(&self) -> PathBuf {
        self.built("keystead")
    }

    /// Whether its programs are linked with libraries of the system, libtss2 among them.
    pub fn has_libraries(&self) -> bool {
        self.debian.is_some()
    }

    /// What starts its `keystead` when it is at `program`.
    pub fn start(&self, program: &Path) -> Vec<String> {
        let mut words = self.emulation();
        words.push(text(program));
        words
    }

    /// Puts the `keystead-signer` of its machine into a folder.
    pub fn install_signer(&self, folder: &Path) {
        let signer = folder.join("keystead-signer");
        let Some(libraries) = self.libraries else {
            install(&program::keystead_signer(), &signer);
            return;
        };
        // The kernel of this machine does not start programs for another processor: what keystead starts is a
        // script that has qemu do so.
        let mut words = libraries.emulation();
        words.push(text(&libraries.built("keystead-signer")));
        let script = format!("#!/bin/sh\nexec '{}' \"$@\"\n", words.join("' '"));
        fs::write(&signer, script).expect("the test's folder can be written to");
        fs::set_permissions(&signer, fs::Permissions::from_mode(0o755)).expect("the file is ours");
    }

    fn built(&self, name: &str) -> PathBuf {
        let folder = program::root().join("target").join(self.triple);
        let program = folder.join("debug").join(name);
        assert!(
            program.exists(),
            "{} is missing: run scripts/test-targets, which builds it",
            program.display()
        );
        program
    }

    fn emulation(&self) -> Vec<String> {
        let mut words: Vec<String> = self.emulator.map(str::to_owned).into_iter().collect();
        if let Some((architecture, folder)) = self.debian {
            let root = program::root().join("target/sysroot").join(architecture);
            let libraries = ["lib", "usr/lib"].map(|lib| text(&root.join(lib).join(folder)));
            let libraries = format!("LD_LIBRARY_PATH={}", libraries.join(":"));
            words.extend(["-L".to_owned(), text(&root), "-E".to_owned(), libraries]);
        }
        words
    }
}

/// Puts a program into another folder of the same disk, or of another one.
pub fn install(program: &Path, to: &Path) {
    if fs::hard_link(program, to).is_err() {
        fs::copy(program, to).expect("a program can be copied");
    }
}

fn text(path: &Path) -> String {
    path.to_str()
        .expect("the test's paths are UTF-8")
        .to_owned()
}
