//! libtss2 is linked into `keystead-signer`, and into it alone.

use std::fs;
use std::path::Path;

use hsm_tests::{program, run};

/// The libraries that a program has loaded when it starts.
fn needed(program: &Path) -> Vec<String> {
    let dynamic = run(program::command("readelf").arg("-dW").arg(program)).success();
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    lines
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect()
}

#[test]
fn libtss2_is_linked_into_the_signer_alone() {
    let is_tss2 = |library: &String| library.starts_with("libtss2");
    let keystead = needed(&program::keystead());
    assert!(keystead.iter().any(|library| library.starts_with("libc.")));
    assert!(!keystead.iter().any(is_tss2), "{keystead:?}");
    assert!(needed(&program::keystead_signer()).iter().any(is_tss2));
}

#[test]
fn without_libtss2_keystead_starts_and_says_what_is_missing() {
    // What is found first is no library: a program that wants it does not start.
    let folder = tempfile::tempdir().unwrap();
    for library in needed(&program::keystead_signer()) {
        if library.starts_with("libtss2") {
            fs::write(folder.path().join(library), "").unwrap();
        }
    }
    let without = |program: &Path| {
        let mut command = program::command(program);
        command.env("LD_LIBRARY_PATH", folder.path());
        command
    };
    let refused = run(&mut without(&program::keystead_signer()));
    assert_eq!(refused.code, Some(127), "{}", refused.stderr);
    run(without(&program::keystead()).arg("version")).success();

    // A signer that it starts, which inherits the environment, does not.
    let mut status = without(&program::keystead());
    let status = run(status.args(["tpm", "status", "--tcti", "device:/dev/tpmrm0"]));
    assert_ne!(status.code, Some(0));
    assert_eq!(status.stdout, "");
    for said in ["keystead-signer", "libtss2-esys", "Debian"] {
        assert!(status.stderr.contains(said), "{}", status.stderr);
    }
}
