//! botocore signs requests with credentials that keystead got, and keeps them fresh.

use hsm_tests::{Lab, run};
use keystead::ca::KeyType;

fn developer() -> Lab {
    let mut lab = Lab::new();
    let device = lab.device("laptop", KeyType::Rsa2048);
    lab.configure(&device);
    lab
}

#[test]
fn s3_requests_of_every_kind() {
    run(developer().python("s3_requests.py").arg("developer")).success();
}

#[test]
fn requests_that_are_not_what_was_signed() {
    run(developer().python("tampered.py").arg("developer")).success();
}

#[test]
fn one_session_serves_many_requests_of_a_process() {
    let lab = developer();
    run(lab.python("many_requests.py").arg("developer")).success();
    assert_eq!(lab.sandbox.session_requests().len(), 1);
}
