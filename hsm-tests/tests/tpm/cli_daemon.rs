//! A daemon that gives up starting programs, with keys that it can use itself and with others.

use std::process::Stdio;

use hsm_tests::processes::await_that;
use hsm_tests::program;
use rustix::process::{Pid, Signal, kill_process};

use crate::desk::{AUTH, Desk};

/// Has a daemon write credentials.
fn updates(desk: &Desk, key: &str) {
    let mut daemon = desk.command(&format!(
        "sandbox --ca ca --certificate hub.pem --key {key} -- {} update --identity sensor-hub",
        program::keystead().display()
    ));
    daemon.stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut daemon = daemon.spawn().unwrap();
    await_that("the daemon", || {
        assert!(daemon.try_wait().unwrap().is_none(), "it has ended");
        desk.exists(".aws/credentials")
    });
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    daemon.wait().unwrap();
}

/// The keys in the file `hub.tss2`, with an auth value, under a storage root key of this kind.
fn under(kind: &str) -> Desk {
    let desk = Desk::new();
    desk.tpm.tool(&format!(
        "createprimary -Q -C o -g sha256 -G {kind}:aes128cfb -c srk.ctx -a \
         fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
    ));
    desk.tpm.tool("evictcontrol -Q -C o -c srk.ctx 0x81000001");
    desk.tpm.tool("flushcontext -t");
    desk.write("auth", AUTH);
    desk.keystead("key generate tpm:file=hub.tss2;auth-source=file:auth")
        .success();
    desk
}

/// Sessions with the key are salted to its parent: to one on P-256 by the daemon itself, to an RSA key by
/// `keystead-signer` alone, which it starts before.
#[test]
fn a_daemon_that_has_confined_itself_uses_keys_under_any_parent() {
    for kind in ["ecc256", "rsa2048"] {
        let desk = under(kind);
        let key = "tpm:file=hub.tss2;auth-source=file:auth";
        desk.certify(key, "hub");
        updates(&desk, key);
        desk.tpm.assert_nothing_left();
    }
}
