//! AWS's Python session package gets a session from the sandbox.

use hsm_tests::{Lab, run};
use keystead::ca::KeyType;

fn session(key: KeyType) {
    let mut lab = Lab::new();
    let device = lab.device("other-client", key);
    let account = lab.account();
    let mut script = lab.python("session_package.py");
    script
        .arg(lab.sandbox.url())
        .args([&device.certificate, &device.intermediates, &device.key])
        .arg(account.trust_anchor_arn("devices"))
        .arg(account.profile_arn("sensor-hub"))
        .arg(account.role_arn("SensorWriter"));
    run(&mut script).success();
    assert!(lab.object("sensors/other-client/reading").is_some());
}

#[test]
fn with_an_ec_key() {
    session(KeyType::P256);
}

#[test]
fn with_an_rsa_key() {
    session(KeyType::Rsa2048);
}
