//! `pkcs11:` URIs and the settings of tokens, as far as no token is needed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::program::{Ran, command, run};

const FILE: &str = r#"
[identity.hub]
certificate = "hub.pem"
trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1"
profile-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1"
role-arn = "arn:aws:iam::111122223333:role/SensorWriter"
"#;

/// A home with this as its `conf/k.toml`.
fn home(file: &str) -> TempDir {
    let home = tempfile::tempdir().expect("a folder");
    fs::create_dir(home.path().join("conf")).expect("a folder");
    fs::write(home.path().join("conf/k.toml"), file).expect("a file");
    home
}

fn with_file(home: &Path, words: &[&str], more: &[&str]) -> Ran {
    let arguments = [words, &["--config=conf/k.toml"], more].concat();
    run(&mut command(home, &arguments))
}

/// What `config check` prints.
#[track_caller]
fn check(file: &str, more: &[&str]) -> String {
    let home = home(file);
    let ran = with_file(home.path(), &["config", "check"], more);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

/// `credential-process` with everything but a key that is there.
fn session(more: &[&str]) -> Ran {
    let home = home(FILE);
    with_file(home.path(), &["credential-process"], more)
}

#[test]
fn config_check_shows_how_a_token_is_reached() {
    let check = |more: &[&str]| check(FILE, more);
    assert!(!check(&[]).contains("PKCS#11"));
    let shown = check(&["--key=pkcs11:token=hub"]);
    assert!(
        shown.contains("PKCS#11 module          p11-kit-proxy.so\n"),
        "{shown}"
    );
    assert!(
        shown.contains("PIN                     asked for on the terminal"),
        "{shown}"
    );
    let shown = check(&[
        "--certificate=pkcs11:token=hub",
        "--pkcs11-lib=lib/hsm.so",
        "--pin-source=cred:hub",
    ]);
    assert!(
        shown.contains("PKCS#11 module          lib/hsm.so\n"),
        "{shown}"
    );
    assert!(
        shown.contains("PIN                     cred:hub\n"),
        "{shown}"
    );
    let shown = check(&[
        "--certificate=pkcs11:token=hub?module-path=/m.so&pin-source=%7Cpass%20-k%20hunter2",
        "--pin-source=cred:hub",
    ]);
    assert!(shown.contains("PKCS#11 module          /m.so\n"), "{shown}");
    assert!(
        shown.contains("PIN                     cmd:pass …\n"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn paths_of_tokens_are_relative_to_the_file_that_names_them() {
    let key = r#"key = "pkcs11:token=hub?module-path=lib/hsm.so&pin-source=./pin""#;
    let file = format!("{FILE}{key}\n");
    let shown = check(&file, &[]);
    assert!(
        shown.contains("PKCS#11 module          conf/lib/hsm.so\n"),
        "{shown}"
    );
    assert!(
        shown.contains("PIN                     file:conf/./pin\n"),
        "{shown}"
    );
    // The dynamic linker's own name stays what it is.
    let shown = check(&file.replace("lib/hsm.so", "hsm.so"), &[]);
    assert!(
        shown.contains("PKCS#11 module          hsm.so\n"),
        "{shown}"
    );
}

#[test]
fn pins_in_uris() {
    let warned =
        session(&["--certificate=pkcs11:token=none?pin-value=hunter2&module-path=/none.so"]);
    warned.failed(
        3,
        "warning: --certificate: pin-value shows the PIN to every user",
    );
    warned.failed(3, "the PKCS#11 module /none.so cannot be loaded");
    let strict = session(&["--key=pkcs11:token=none?pin-value=hunter2", "--strict"]);
    strict.failed(2, "which --strict refuses");
    let wrong = session(&["--key=pkcs11:token=none;pin-value=hunter2"]);
    wrong.failed(2, "`pin-value` is no attribute");
    for ran in [warned, strict, wrong] {
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}

#[test]
fn a_key_in_a_file_is_no_hardware() {
    session(&["--key=none.key", "--require-hardware"])
        .failed(3, "none.key: --require-hardware takes no key from a file");
}

#[test]
fn a_pin_in_the_wrong_place_is_not_repeated() {
    let home = home(FILE);
    let uri = "pkcs11:token=a b?pin-value=hunter2";
    let quoted = "pkcs11:token=it's?pin-value=hunter2";
    for arguments in [
        &[uri][..],
        &["token", uri],
        &["key", quoted],
        &["key", "generate", uri, uri],
        &["cert", uri],
        &["config", uri],
        &["config", "check", uri],
        &["credential-process", uri],
        &["sign-string", "--format", uri],
        &["sign-string", "--session-duration", uri],
        &["help", uri],
    ] {
        let ran = run(&mut command(home.path(), arguments));
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    }
}
