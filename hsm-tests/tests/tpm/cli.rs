//! `keystead` with keys in a TPM: in every way to name them, and from a request to a session.

use std::fs;

use hsm_tests::lab::json;

use crate::desk::{AUTH, Desk, HANDLE};

#[test]
fn every_form_of_naming_signs() {
    let desk = Desk::with_key();
    let auth = desk.tpm.folder().join("auth");
    for line in [
        "sign-string --key tpm:handle=0x81000011;auth-source=file:auth",
        "sign-string --key tpm:handle=0x81000011?auth-source=file:auth",
        "sign-string --private-key handle:0x81000011 --password-source file:auth",
        "sign-string --key tpm:handle=0x81000011 --pin-source file:auth --tpm-plain-auth",
    ] {
        desk.done(line);
    }
    let helpers =
        desk.keystead("sign-string --private-key handle:0x81000011 --tpm-key-password keypin");
    assert!(
        helpers
            .stderr
            .starts_with("warning: --tpm-key-password shows the password"),
        "{}",
        helpers.stderr
    );
    helpers.success();
    let variables = [
        ("KEYSTEAD_KEY", "tpm:handle=0x81000011"),
        ("KEYSTEAD_PASSWORD_SOURCE", "env:HUB_AUTH"),
        ("HUB_AUTH", AUTH),
    ];
    desk.keystead_with("sign-string", &variables).success();
    // The URI decides before the setting, which leads nowhere.
    let tcti = desk.tpm.tcti();
    desk.done(&format!(
        "sign-string --tcti device:/none --key tpm:handle={HANDLE};tcti={tcti};auth-source=file:{}",
        auth.display()
    ));
    fs::create_dir(desk.tpm.folder().join("etc")).unwrap();
    desk.write("etc/auth", AUTH);
    desk.write(
        "etc/keystead.toml",
        "[identity.hub]\nkey = 'tpm:handle=0x81000011;auth-source=file:auth'\n",
    );
    desk.done("sign-string --config etc/keystead.toml");
}

#[test]
fn from_a_request_to_a_session() {
    let desk = Desk::with_key();
    let auth = desk.tpm.folder().join("auth");
    let key = format!(
        "tpm:handle={HANDLE};tcti={};auth-source=file:{}",
        desk.tpm.tcti(),
        auth.display()
    );
    desk.certify(&key, "hub");
    desk.session(&key, "hub");
    let told = desk.done("read-certificate-data --certificate hub.pem");
    assert_eq!(json(&told)["keyType"], "EC");
    // What a TPM holds is hardware.
    desk.done(&format!("sign-string --key {key} --require-hardware"));
    let other = desk.fails(
        2,
        "cert import tpm:handle=0x81000011;auth-source=file:auth hub.pem",
    );
    assert!(other.contains("--out FILE writes it to a file"), "{other}");
    let imported = desk.done(&format!("cert import {key} hub.pem --out cert.pem"));
    assert_eq!(imported, "cert.pem\n");
    assert!(
        desk.done("cert show cert.pem")
            .contains("subject       CN=hub\n")
    );
    // Another key's certificate is refused.
    desk.done("ca issue --subject CN=other --out other");
    let other = desk.fails(
        3,
        &format!("cert import {key} other/cert.pem --out other.pem"),
    );
    assert!(other.starts_with("keystead: other/cert.pem: "), "{other}");
}

#[test]
fn a_wrong_auth_value_is_said_in_the_words_of_tpms() {
    let desk = Desk::with_key();
    desk.write("wrong", "hunter2");
    let error = desk.fails(
        4,
        "sign-string --key tpm:handle=0x81000011;auth-source=file:wrong",
    );
    assert!(
        error.contains("auth value") && error.contains("TPM_RC_BAD_AUTH"),
        "{error}"
    );
    assert!(
        !error.contains("hunter2") && !error.contains("PIN"),
        "{error}"
    );
    let error = desk.fails(
        4,
        "sign-string --key tpm:handle=0x81000011;auth-source=file:none",
    );
    assert!(error.contains("none: No such file"), "{error}");
    desk.done("sign-string --key tpm:handle=0x81000011;auth-source=file:auth");
}

#[test]
fn what_is_not_there_is_named_with_what_to_do() {
    let desk = Desk::new();
    let error = desk.fails(3, "sign-string --key tpm:handle=0x81000012");
    assert!(
        error.contains("tpm:handle=0x81000012: there is no key"),
        "{error}"
    );
    assert!(error.contains("`keystead tpm status` shows"), "{error}");
    let error = desk.fails(
        3,
        "sign-string --key tpm:handle=0x81000012 --tcti device:/none/tpm",
    );
    assert!(
        error.contains("the TPM at device:/none/tpm cannot be reached"),
        "{error}"
    );
    desk.tpm.make_storage_root();
    let error = desk.fails(3, "sign-string --key tpm:handle=0x81000001");
    assert!(error.contains("it is a storage key"), "{error}");
}

#[test]
fn credentials_that_are_kept_cost_the_tpm_nothing() {
    let desk = Desk::with_key();
    let auth = desk.tpm.folder().join("auth");
    let key = format!(
        "tpm:handle={HANDLE};tcti={};auth-source=file:{}",
        desk.tpm.tcti(),
        auth.display()
    );
    desk.certify(&key, "hub");
    let run = "keystead credential-process --identity sensor-hub --cache-dir";
    desk.write("once", &format!("{run} cache-1"));
    desk.write(
        "twice",
        &format!("{run} cache-2 >first && rm auth && {run} cache-2 && cat first"),
    );
    let commands = |script: &str| {
        let session = format!("sandbox --ca ca --certificate hub.pem --key {key} -- sh {script}");
        desk.tpm.commands_of(|| desk.done(&session))
    };
    let (_, once) = commands("once");
    let (printed, twice) = commands("twice");
    assert_eq!(once, twice);
    let (second, first) = printed.split_at(printed.len() / 2);
    assert_eq!(second, first);
}
