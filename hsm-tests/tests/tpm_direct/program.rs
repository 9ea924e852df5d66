//! The program, which uses keys without `keystead-signer`.

use std::fs;

use hsm_tests::{Swtpm, program as programs, run};

const AUTH: &str = "the-auth-value";

fn tpm() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256", "|noda|sign", AUTH, 0x8100_0011);
    fs::write(tpm.folder().join("auth"), AUTH).unwrap();
    tpm
}

/// Alone in a folder, without `keystead-signer` beside it.
fn alone(tpm: &Swtpm) -> std::path::PathBuf {
    let folder = tpm.folder().join("bin");
    fs::create_dir(&folder).unwrap();
    let alone = folder.join("keystead");
    fs::copy(programs::keystead(), &alone).unwrap();
    alone
}

#[test]
fn keys_are_used_without_the_signer() {
    let tpm = tpm();
    let keystead = alone(&tpm);
    fs::write(tpm.folder().join("message"), "message").unwrap();
    for transport in [None, Some("auto"), Some("direct")] {
        let mut command = tpm.command(&keystead);
        command.args([
            "sign-string",
            "--key",
            "tpm:handle=0x81000011;auth-source=file:auth",
        ]);
        command.args(transport.map(|transport| format!("--tpm-transport={transport}")));
        command.env("XDG_STATE_HOME", tpm.folder());
        let (done, commands) = tpm.commands_of(|| run(&mut command));
        done.success();
        assert_eq!(
            commands,
            ["ReadPublic", "StartAuthSession", "Sign", "FlushContext"]
        );
    }
    tpm.assert_nothing_left();
}

#[test]
fn what_takes_libtss2_says_that_the_signer_is_missing() {
    let tpm = tpm();
    let keystead = alone(&tpm);
    for (line, says) in [
        ("tpm status", "keystead-signer"),
        (
            "sign-string --key tpm:handle=0x81000011;auth-source=file:auth --tpm-transport tss",
            "keystead-signer",
        ),
        (
            "sign-string --key tpm:handle=0x81000011;auth-source=file:auth --tpm-transport direct --tcti tabrmd",
            "libtss2 alone",
        ),
        (
            "sign-string --key tpm:handle=0x81000011;auth-source=file:auth --tpm-transport quick",
            "auto, direct or tss",
        ),
    ] {
        let mut command = tpm.command(&keystead);
        command
            .args(line.split(' '))
            .env("XDG_STATE_HOME", tpm.folder());
        let told = run(&mut command).failure();
        assert!(told.contains(says), "{line}: {told}");
    }
}
