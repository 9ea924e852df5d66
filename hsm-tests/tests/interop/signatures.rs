//! `CreateSession` as keystead signs it, before a server that shares no code with it: botocore forms
//! the canonical request, Python's `cryptography` verifies certificates and signature.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use hsm_tests::lab::json;
use hsm_tests::{Device, Finished, Lab, program, run};
use keystead::ca::KeyType;

/// The server; it ends with this value.
struct Verifier {
    process: Child,
    url: String,
}

impl Verifier {
    fn start() -> Self {
        let mut process = program::python("verifying_server.py")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = process.stdout.take().expect("standard output is a pipe");
        let mut url = String::new();
        BufReader::new(stdout)
            .read_line(&mut url)
            .expect("the server prints its URL");
        Self {
            process,
            url: url.trim_end().to_owned(),
        }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        // It ends by itself when its standard input does.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn credential_process(lab: &Lab, device: &Device, endpoint: &str, more: &[&str]) -> Finished {
    let account = lab.account();
    let mut keystead = lab.keystead(&["credential-process"]);
    keystead
        .arg("--certificate")
        .arg(&device.certificate)
        .arg("--private-key")
        .arg(&device.key)
        .arg("--intermediates")
        .arg(&device.intermediates)
        .args(["--trust-anchor-arn", &account.trust_anchor_arn("devices")])
        .args(["--profile-arn", &account.profile_arn("sensor-hub")])
        .args(["--role-arn", &account.role_arn("SensorWriter")])
        .args(["--endpoint", endpoint])
        .args(more);
    run(&mut keystead)
}

#[test]
fn every_kind_of_key_is_verified_by_others() {
    let verifier = Verifier::start();
    let mut lab = Lab::new();
    for key in KeyType::ALL {
        let device = lab.device(key.name(), key);
        let printed = credential_process(&lab, &device, &verifier.url, &[]).success();
        assert_eq!(json(&printed)["AccessKeyId"], "ASIAVERIFIED", "{key}");
    }
}

#[test]
fn the_verifier_does_refuse() {
    let verifier = Verifier::start();
    let mut lab = Lab::new();
    let device = lab.device("other-region", KeyType::P256);
    // The verifier expects the scope to be of the trust anchor's region.
    let refused = credential_process(&lab, &device, &verifier.url, &["--region", "eu-west-2"]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("region"), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
}
