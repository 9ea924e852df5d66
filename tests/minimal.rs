//! What a program of the profile `minimal` says of what it is without. Nothing is left of it where another
//! feature is on.
#![cfg(not(any(feature = "http-server", feature = "signer")))]

#[path = "it/support/program.rs"]
mod program;

use std::fs;

use tempfile::TempDir;

use program::{Ran, command, run};

const FILE: &str = r#"
[identity.hub]
certificate = "hub.pem"
key = "hub.key"
trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1"
profile-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1"
role-arn = "arn:aws:iam::111122223333:role/SensorWriter"

[serve]
imds = "127.0.0.1:9911"

[push]
to = "s3://bucket/{name}"
"#;

fn home() -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("k.toml"), FILE).expect("a file");
    home
}

fn ran(words: &[&str]) -> Ran {
    run(&mut command(home().path(), words))
}

#[test]
fn keys_that_it_cannot_reach() {
    let tpm = "this program was built without the feature `tpm-direct`";
    for (more, says) in [
        (&["--key=tpm:handle=0x81000011"][..], tpm),
        (&["--private-key", "handle:0x81000011"], tpm),
        (&["--tpm-key-password=hunter2"], tpm),
        (&["--no-tpm-key-password"], tpm),
        (
            &["--key=pkcs11:object=hub"],
            "this program was built without the feature `pkcs11`",
        ),
        // What switches nothing on is harmless.
        (&["--no-tpm-key-password=false"], "hub.pem: "),
    ] {
        let ran = ran(&[&["credential-process", "--config=k.toml"], more].concat());
        ran.failed(if says == "hub.pem: " { 3 } else { 2 }, says);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn commands_that_it_has_not() {
    for (name, feature) in [
        ("serve", "serve"),
        ("exec", "serve"),
        ("update", "serve"),
        ("push", "push"),
        ("spool", "push"),
        ("token", "pkcs11"),
        ("tpm", "tpm-direct"),
        ("ca", "ca"),
        ("sandbox", "sandbox"),
    ] {
        let ran = ran(&[name, "--help"]);
        ran.failed(2, "this program was built without");
        assert!(
            ran.stderr.contains(&format!("the feature `{feature}`")),
            "{}",
            ran.stderr
        );
    }
    let overview = ran(&["--help"]).stdout;
    assert!(overview.contains("\n  credential-process "), "{overview}");
    assert!(!overview.contains("\n  serve "), "{overview}");
}

#[test]
fn the_whole_configuration_file_is_taken() {
    let home = home();
    let mut check = command(home.path(), &["config", "check", "--config=k.toml"]);
    let ran = run(check
        .env("KEYSTEAD_PUSH_TO", "s3://bucket/")
        .env("KEYSTEAD_SERVE_IMDS", "127.0.0.1:9912"));
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("hub.key"), "{}", ran.stdout);
}
