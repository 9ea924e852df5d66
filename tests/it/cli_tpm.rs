//! Keys of TPMs as they are named, and the settings of TPMs, as far as no TPM is needed.

use std::fs;

use tempfile::TempDir;

use crate::support::program::{Ran, command, run};

const FILE: &str = r#"
[identity.hub]
certificate = "hub.pem"
trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1"
profile-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1"
role-arn = "arn:aws:iam::111122223333:role/SensorWriter"
"#;

/// A home with a configuration `conf/k.toml`, to which `more` is added.
fn home(more: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("conf")).expect("a folder");
    fs::write(home.path().join("conf/k.toml"), format!("{FILE}{more}")).expect("a file");
    home
}

fn ran(home: &TempDir, words: &[&str], more: &[&str]) -> Ran {
    let arguments = [words, &["--config=conf/k.toml"], more].concat();
    run(&mut command(home.path(), &arguments))
}

/// `credential-process` with all that it needs but a certificate that is there.
fn session(more: &[&str]) -> Ran {
    ran(&home(""), &["credential-process"], more)
}

/// What `config check` prints.
#[track_caller]
fn check(file: &str, more: &[&str]) -> String {
    let ran = ran(&home(file), &["config", "check"], more);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

#[test]
fn each_wrong_value_is_named_by_its_flag() {
    for (more, says) in [
        (
            "--key=tpm:handle=0x80000001",
            "--key: `tpm:…`: a persistent handle is a number from 0x81000000",
        ),
        (
            "--private-key=handle:x",
            "--key: `handle:…`: a persistent handle",
        ),
        ("--key=tpm:", "it names a key by handle=0x81… or by file=…"),
        (
            "--key=tpm:file=a;auth-source=hunter2",
            "--key: `tpm:file=a;auth-source=…`: auth-source: a secret's source is one of file:PATH",
        ),
        (
            "--key=tpm:file=a;parent-auth-source=hunter2",
            "parent-auth-source: a secret's source is one of",
        ),
        (
            "--key=tpm:file=a;hunter2",
            "each of its attributes is NAME=VALUE",
        ),
        (
            "--owner-auth-source=hunter2",
            "--owner-auth-source: `…`: a secret's source is one of",
        ),
        (
            "--parent-auth-source=hunter2",
            "--parent-auth-source: `…`: a secret's source is one of",
        ),
        ("--tpm-plain-auth=hunter2", "this is neither true nor false"),
    ] {
        let ran = session(&[more]);
        ran.failed(2, says);
        let is_switch = more.starts_with("--tpm-plain-auth");
        assert!(
            is_switch || !ran.stderr.contains("hunter2"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_certificate_is_in_no_tpm() {
    for more in [
        "--certificate=tpm:handle=0x81000011",
        "--certificate=handle:0x81000011",
        "--intermediates=tpm:file=a",
    ] {
        let ran = session(&[more]);
        ran.failed(2, "a TPM keeps keys, and no certificates");
        assert!(ran.stderr.contains("--certificate names"), "{}", ran.stderr);
    }
    let home = home("");
    ran(&home, &["cert", "show", "tpm:handle=0x81000011"], &[]).failed(2, "no certificates");
}

#[test]
fn config_check_shows_how_a_tpm_is_reached() {
    let check = |more: &[&str]| check("", more);
    assert!(!check(&[]).contains("TPM "));
    let shown = check(&["--key=tpm:handle=0x81000011", "--tcti=tabrmd"]);
    assert!(
        shown.contains("TPM                     tabrmd\n"),
        "{shown}"
    );
    assert!(
        shown.contains("auth value              none, or asked for"),
        "{shown}"
    );
    let shown = check(&[
        "--key=tpm:handle=0x81000011;tcti=swtpm;auth-source=cred:hub",
        "--tcti=tabrmd",
        "--password-source=file:other",
    ]);
    assert!(shown.contains("TPM                     swtpm\n"), "{shown}");
    assert!(
        shown.contains("auth value              cred:hub\n"),
        "{shown}"
    );
}

#[test]
fn files_are_relative_to_what_names_them() {
    let key = "key = 'tpm:file=hub.tss2;auth-source=file:hub.auth'\n";
    let shown = check(key, &[]);
    assert!(
        shown.contains("auth value              file:conf/hub.auth\n"),
        "{shown}"
    );
    let request = ["cert", "request", "--subject=CN=a"];
    let missing = ran(&home(key), &request, &["--tcti=tabrmd"]);
    missing.failed(3, "conf/hub.tss2: No such file");
}

#[test]
fn a_file_is_a_tpms_by_its_label() {
    let home = home("key = 'hub.key'\n");
    let tss2 = "-----BEGIN TSS2 PRIVATE KEY-----\nMAA=\n-----END TSS2 PRIVATE KEY-----\n";
    fs::write(home.path().join("conf/hub.key"), tss2).unwrap();
    let shown = ran(&home, &["config", "check"], &["--tcti=tabrmd"]).stdout;
    assert!(
        shown.contains("TPM                     tabrmd\n"),
        "{shown}"
    );
    fs::write(
        home.path().join("conf/hub.key"),
        "-----BEGIN PRIVATE KEY-----",
    )
    .unwrap();
    let shown = ran(&home, &["config", "check"], &["--tcti=tabrmd"]).stdout;
    assert!(!shown.contains("TPM    "), "{shown}");
}

#[test]
fn auth_values_on_the_command_line() {
    let key = "--key=tpm:handle=0x81000011";
    let warned = session(&[key, "--tpm-key-password", "hunter2"]);
    warned.failed(3, "warning: --tpm-key-password shows the password");
    assert!(!warned.stderr.contains("hunter2"));
    let strict = ["--tpm-key-password", "hunter2", "--strict"];
    session(&strict).failed(2, "--tpm-key-password shows the password to every user of this machine, which --strict refuses");
    session(&["--tpm-key-password=x", "--password-source=prompt"]).failed(2, "both given");
    session(&["--tpm-key-password=x", "--no-tpm-key-password"]).failed(2, "both given");
    session(&["--no-tpm-key-password", "--pin-source=prompt"]).failed(2, "both given");
    session(&[key, "--no-tpm-key-password"]).failed(3, "hub.pem: ");
}

#[test]
fn what_is_shown_holds_no_secret() {
    let home = home("");
    let key = "tpm:file=a;auth-source=hunter2";
    let checked = ran(&home, &["config", "check", "--key", key], &[]);
    assert_eq!(checked.code, 2);
    let stray = ran(&home, &["cert", "request", "--subject=CN=a", "x", key], &[]);
    assert_ne!(stray.code, 0);
    let command = ran(&home, &[key], &[]);
    command.failed(2, "there is no command `tpm:file=a;auth-source=…`");
    let mistyped = ran(
        &home,
        &[
            "key",
            "generate",
            "tpn:file=a;auth-source=hunter2",
            "--new-auth=x",
        ],
        &[],
    );
    mistyped.failed(2, "--new-auth goes with a key of a TPM");
    for ran in [checked, stray, command, mistyped] {
        assert!(!(ran.stdout + &ran.stderr).contains("hunter2"));
    }
}

#[test]
fn new_keys_that_cannot_be_are_refused_first() {
    let home = home("");
    fs::write(home.path().join("there"), "").unwrap();
    let generate = |more: &[&str]| {
        ran(
            &home,
            &[&["key", "generate"][..], more].concat(),
            &["--tcti=none"],
        )
    };
    for (more, says) in [
        (&["tpm:file=there"][..], "there is already there"),
        (
            &["tpm:file=new", "--new-auth=there"],
            "there is already there",
        ),
        (
            &["tpm:file=new", "--type=ec-p521"],
            "makes no ec-p521 keys in TPMs",
        ),
        (&["tpm:file=new", "--policy-pcr=24"], "24 is not in 0..=23"),
        (
            &["tpm:file=new", "--parent=0x80000000"],
            "0x81000000 to 0x81ffffff",
        ),
        (
            &["tpm:file=new;auth-source=prompt", "--new-auth=x"],
            "both given",
        ),
        (
            &["new.key", "--policy-pcr=7"],
            "--policy-pcr goes with a key of a TPM",
        ),
    ] {
        generate(more).failed(2, says);
    }
    generate(&["tpm:file=new;auth-source=file:none"])
        .failed(4, "auth value for the new key (new) cannot be read");
    fs::write(home.path().join("empty"), "").unwrap();
    generate(&["tpm:file=new;auth-source=file:empty"])
        .failed(4, "the auth value for the new key is empty");
    let names = fs::read_dir(home.path()).unwrap().count();
    assert_eq!(names, 3, "conf, there, and empty");
}
