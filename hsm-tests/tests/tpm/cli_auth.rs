//! Where `keystead` gets the auth values of a TPM's keys from, and what it says of those that are wrong.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;

use hsm_tests::terminal::{in_session, on_a_terminal};
use hsm_tests::{program, run};

use crate::desk::{AUTH, Desk};

const KEY: &str = "sign-string --key tpm:handle=0x81000011";

#[test]
fn every_source_of_an_auth_value() {
    let desk = Desk::with_key();
    let folder = desk.tpm.folder().to_str().unwrap().to_owned();
    let variables = [("HUB_AUTH", AUTH), ("CREDENTIALS_DIRECTORY", &*folder)];
    for source in ["file:auth", "env:HUB_AUTH", "cred:auth"] {
        for line in [
            format!("{KEY};auth-source={source}"),
            format!("{KEY} --password-source {source}"),
        ] {
            desk.keystead_with(&line, &variables).success();
        }
    }
    let mut command = desk.command("sign-string --key");
    run(command.arg("tpm:handle=0x81000011;auth-source=cmd:/bin/cat auth")).success();
    let mut piped = desk.command(&format!("{KEY};auth-source=fd:0"));
    let auth = File::open(desk.tpm.folder().join("auth")).unwrap();
    run(piped.stdin(auth)).success();
    // What the URI says counts before what is said for all.
    desk.done(&format!(
        "{KEY};auth-source=file:auth --password-source file:none"
    ));
}

#[test]
fn a_person_is_asked_where_an_empty_one_does_not_do() {
    let desk = Desk::with_key();
    let auth = format!("{AUTH}\r");
    let (screen, finished) = on_a_terminal(
        &desk.command(KEY),
        &[
            ("auth value of the key (tpm:handle=0x81000011)", "hunter2\r"),
            ("That auth value was refused", &auth),
        ],
    );
    assert!(
        !screen.contains(AUTH) && !screen.contains("hunter2"),
        "{screen}"
    );
    assert_eq!(finished.stderr, "");
    finished.success();
    let (_, cancelled) = on_a_terminal(&desk.command(KEY), &[("auth value of", "12\u{3}")]);
    assert_eq!(cancelled.code, Some(4), "{}", cancelled.stderr);
    // AWS's helper's switch says that there is none: nobody is asked.
    let (screen, refused) =
        on_a_terminal(&desk.command(&format!("{KEY} --no-tpm-key-password")), &[]);
    assert_eq!(
        (refused.code, screen.as_str()),
        (Some(4), ""),
        "{}",
        refused.stderr
    );
    // Without a terminal it is said what is missing.
    let refused = run(&mut in_session(&desk.command(KEY), &["--wait"]));
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("the auth value of the key"),
        "{}",
        refused.stderr
    );
}

#[test]
fn nobody_is_asked_for_what_a_key_has_not() {
    let desk = Desk::new();
    desk.tpm.make_storage_root();
    desk.done("key generate tpm:handle=0x81000011");
    let (screen, finished) = on_a_terminal(&desk.command(KEY), &[]);
    assert_eq!((screen.as_str(), finished.stderr.as_str()), ("", ""));
    finished.success();
}

#[test]
fn a_wrong_value_is_told_from_a_locked_tpm() {
    let desk = Desk::new();
    desk.tpm.make_storage_root();
    desk.tpm.set_up_lockout(3, 1000);
    desk.tpm
        .make_key("ecc256:null:null", "|sign", AUTH, 0x8100_0011);
    desk.write("auth", AUTH);
    for wrong in ["one", "two", "three"] {
        desk.write("wrong", wrong);
        let error = desk.fails(4, &format!("{KEY};auth-source=file:wrong"));
        assert!(error.contains("TPM_RC_AUTH_FAIL"), "{error}");
        assert!(
            error.contains("counts towards the TPM's lockout"),
            "{error}"
        );
    }
    let again = desk.fails(4, &format!("{KEY};auth-source=file:wrong"));
    assert!(
        again.contains("was refused before, and is not tried again"),
        "{again}"
    );
    let locked = desk.fails(4, &format!("{KEY};auth-source=file:auth"));
    assert!(locked.contains("TPM_RC_LOCKOUT"), "{locked}");
    assert!(
        locked.contains("`keystead tpm status` says when it unlocks"),
        "{locked}"
    );
    let status = desk.done("tpm status");
    assert!(
        status.contains("lockout      LOCKED: 3 of 3 failures"),
        "{status}"
    );
    assert!(status.contains("within 17 min"), "{status}");
    desk.tpm.tool("dictionarylockout -c");
    assert!(
        desk.done("tpm status")
            .contains("lockout      0 of 3 failures")
    );
    let signed = desk.keystead(&format!("{KEY};auth-source=file:auth"));
    assert!(
        signed.stderr.contains("the key has no noDA"),
        "{}",
        signed.stderr
    );
    signed.success();
}

#[test]
fn no_program_inherits_an_auth_value() {
    let desk = Desk::with_key();
    // The one that is asked for a secret, ...
    let mut command = desk.command("sign-string --owner-auth-source env:OWNER_AUTH --key");
    command.arg("tpm:handle=0x81000011;auth-source=cmd:/usr/bin/printenv OWNER_AUTH");
    let finished = run(command.env("OWNER_AUTH", AUTH));
    assert_eq!(finished.code, Some(4), "{}", finished.stderr);
    // ... and the one that speaks to the TPM.
    let programs = desk.tpm.folder().join("bin");
    fs::create_dir(&programs).unwrap();
    let keystead = programs.join("keystead");
    fs::copy(program::keystead(), &keystead).unwrap();
    let signer = programs.join("keystead-signer");
    fs::write(&signer, "#!/bin/sh\nenv >inherited\n").unwrap();
    fs::set_permissions(&signer, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = desk.tpm.command(keystead);
    command.env_remove("TSS2_LOG");
    command.args([
        "sign-string",
        "--key",
        "handle:0x81000011",
        "--pin-source",
        "env:HUB_AUTH",
        "--tpm-transport",
        "tss",
    ]);
    let finished = run(command.env("HUB_AUTH", AUTH).env("HOME", desk.tpm.folder()));
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let inherited = desk.read("inherited");
    assert!(inherited.contains("TSS2_LOG=all+none"), "{inherited}");
    assert!(!inherited.contains("HUB_AUTH"), "{inherited}");
}
