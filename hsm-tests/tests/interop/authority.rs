//! What `keystead ca` makes, judged by Python's `cryptography`: OpenSSL 3.0 does not know ML-DSA.

use hsm_tests::{keystead, program, python, run};
use keystead::ca::KeyType;

#[test]
fn every_kind_of_authority_is_verified_by_others() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let ca = |arguments: &str| {
        let mut command = program::command(keystead());
        command.arg("ca").args(arguments.split(' '));
        run(command.current_dir(&folder)).success()
    };
    for key in KeyType::ALL {
        let in_dir = format!("--dir ca-{key}");
        ca(&format!("init {in_dir} --key-type {key} --intermediate"));
        ca(&format!(
            "issue {in_dir} --key-type {key} --subject CN=hub --out {key}"
        ));
        ca(&format!("revoke {in_dir} {key}/cert.pem"));
        ca(&format!("crl {in_dir}"));
        let mut verifier = python("verify_authority.py");
        for file in [
            "ca-{}/root.pem",
            "ca-{}/intermediate.pem",
            "{}/cert.pem",
            "{}/key.pem",
            "ca-{}/crl.pem",
        ] {
            verifier.arg(file.replace("{}", key.name()));
        }
        let printed = run(verifier.current_dir(&folder)).success();
        assert_eq!(printed, "1\n", "{key}");
    }
}
