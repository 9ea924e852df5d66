//! A daemon that gives up starting programs, with keys that it can use itself and with others.

use std::process::Stdio;

use hsm_tests::processes::await_that;
use hsm_tests::program;
use rustix::process::{Pid, Signal, kill_process};

use crate::desk::Desk;

/// Has a daemon write credentials.
fn updates(desk: &Desk, key: &str) {
    let line = "sandbox --ca ca --certificate hub.pem --key KEY -- sh -c";
    let mut daemon = desk.command(&line.replace("KEY", key));
    // The sandbox has a file of its own for what is written.
    daemon.arg(format!(
        "AWS_SHARED_CREDENTIALS_FILE=$HOME/credentials exec {} update --identity sensor-hub",
        program::keystead().display()
    ));
    daemon.stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut daemon = daemon.spawn().unwrap();
    await_that("the daemon", || {
        assert!(daemon.try_wait().unwrap().is_none(), "it has ended");
        desk.exists("credentials")
    });
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    daemon.wait().unwrap();
}

/// The key in the file `hub.tss2`, with an auth value, under a storage root key of this kind.
fn under(kind: &str) -> (Desk, String) {
    let desk = Desk::new();
    desk.tpm.tool(&format!(
        "createprimary -Q -C o -g sha256 -G {kind}:aes128cfb -c srk.ctx -a \
         fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt",
    ));
    desk.tpm.tool("evictcontrol -Q -C o -c srk.ctx 0x81000001");
    desk.tpm.tool("flushcontext -t");
    let key = desk
        .keystead("key generate tpm:file=hub.tss2 --new-auth auth")
        .success();
    (desk, key.trim().to_owned())
}

/// Sessions with the key are salted to its parent: to one on P-256 by the daemon itself, to an RSA key by
/// `keystead-signer` alone, which it starts before.
#[test]
fn a_daemon_that_has_confined_itself_uses_keys_under_any_parent() {
    for kind in ["ecc256", "rsa2048"] {
        let (desk, key) = under(kind);
        desk.certify(&key, "hub");
        updates(&desk, &key);
    }
}
