//! What scripts/cross builds, run: each program gets a session of the sandbox and uploads to its S3, with a key in
//! a file, in SoftHSM, and in swtpm. What is for another processor runs under qemu, with the libraries of an old
//! Debian for that processor; swtpm is this machine's.
//!
//! scripts/test-targets builds the programs and runs these tests, and scripts/test leaves them out.

mod machine;
mod target;

use hsm_tests::hub::ID;
use hsm_tests::lab::restrict;
use hsm_tests::softhsm::{MODULE, PIN};
use hsm_tests::{SoftHsm, Swtpm};

use crate::machine::Machine;
use crate::target::Target;

/// Where the TPM's key is, and its auth value.
const HANDLE: u32 = 0x8100_0011;
const AUTH: &str = "keypin";

/// SoftHSM for 32-bit processors reads folders by readdir, which qemu-user cannot serve where the kernel gives 64-bit
/// positions in folders, as on ext4: it sees no tokens there.
const MEMORY: &str = "/dev/shm";

fn key_in_a_file(target: &'static Target) {
    let machine = Machine::new(target);
    let key = machine
        .device
        .key
        .to_str()
        .expect("the test's paths are UTF-8");
    machine.delivers(key, |_| {});
}

fn key_in_a_token(target: &'static Target) {
    let machine = Machine::new(target);
    machine.install_signer();
    let folder = tempfile::tempdir_in(MEMORY).expect("a temporary folder can be made");
    let hsm = SoftHsm::at(folder.path(), "hub");
    hsm.import(&machine.device.key, ID, "hub-0001");
    let pin = machine.lab.write("pin", PIN);
    let query = format!("module-path={MODULE}&pin-source={}", pin.display());
    machine.delivers(&format!("{}?{query}", hsm.key_uri(ID)), |command| {
        hsm.configure(command);
    });
}

/// In the TPM's own protocol, without any other program; and through libtss2, where that is.
fn key_in_a_tpm(target: &'static Target) {
    let machine = Machine::new(target);
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    let attributes = "userwithauth|noda|sign";
    tpm.import_key(&machine.device.key, "ecc", attributes, AUTH, HANDLE)
        .expect("the TPM takes the key");
    let auth = machine.lab.write("auth", AUTH);
    restrict(&auth);
    let more = format!("tcti={};auth-source=file:{}", tpm.tcti(), auth.display());
    let key = format!("tpm:handle={HANDLE:#x};{more}");
    machine.delivers(&key, |_| {});
    if target.has_libraries() {
        machine.install_signer();
        machine.delivers(&key, |command| {
            command.env("KEYSTEAD_TPM_TRANSPORT", "tss");
        });
    }
    tpm.assert_nothing_left();
}

macro_rules! targets {
    ($($name:ident: $target:ident),+ $(,)?) => { $(
        mod $name {
            use crate::target::$target;

            #[test]
            fn key_in_a_file() {
                crate::key_in_a_file(&$target);
            }

            #[test]
            fn key_in_a_token() {
                crate::key_in_a_token(&$target);
            }

            #[test]
            fn key_in_a_tpm() {
                crate::key_in_a_tpm(&$target);
            }
        }
    )+ };
}

targets! {
    aarch64_unknown_linux_gnu: AARCH64_GNU,
    aarch64_unknown_linux_musl: AARCH64_MUSL,
    armv7_unknown_linux_gnueabihf: ARMV7_GNU,
    armv7_unknown_linux_musleabihf: ARMV7_MUSL,
    x86_64_unknown_linux_musl: X86_64_MUSL,
}
