//! The requests that AWS's own helper sent, replayed: the sandbox takes every one of them.

use std::sync::Arc;

use keystead::core::time::{Clock as _, UnixTime};
use keystead::sandbox::account::{Account, Profile, Role, TrustAnchor};
use keystead::sandbox::{Config, Policy, Running, Sandbox, SandboxClock, Scheme};
use serde_json::Value;

use super::client::{Headers, Response, send};
use crate::support::vectors::{cases, folder, text};

/// A sandbox at the time of a vector, with the trust anchor that it names.
pub fn sandbox(case: &Value) -> Running {
    let date = header(case, "x-amz-date");
    sandbox_at(
        SandboxClock::fixed(UnixTime::parse_amz(&date).unwrap()),
        case,
    )
}

/// The same by another clock.
pub fn sandbox_at(clock: SandboxClock, case: &Value) -> Running {
    let mut account = Account::new("123456789012", "us-east-1");
    let everything = Policy::parse(
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#,
    );
    let anchor_file = match text(case, "/name") {
        "mldsa44" => "mldsa44-cert.pem",
        _ => "root.pem",
    };
    account.trust_anchors.push(TrustAnchor {
        arn: account.trust_anchor_arn("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
        certificates: vec![pem(anchor_file)],
        crls: Vec::new(),
        enabled: true,
    });
    let profile = Profile {
        accept_role_session_name: true,
        ..Profile::new(&account, "11111111-2222-3333-4444-555555555555", &["R"])
    };
    account.profiles.push(Arc::new(profile));
    let role = Role::new(&account, "R", everything.unwrap());
    account.roles.push(Arc::new(role));
    let config = Config {
        scheme: Scheme::Http,
        clock,
        certificate_rules: text(case, "/name") != "mldsa44",
        buckets: vec!["sensor-logs".into()],
        ..Config::new(account)
    };
    Sandbox::start(config).unwrap()
}

fn pem(name: &str) -> Vec<u8> {
    let path = folder().join("keys").join(name);
    keystead::backend::file::read_certificates(&path)
        .unwrap()
        .swap_remove(0)
}

pub fn headers(case: &Value) -> Headers {
    let pairs = case["headers"].as_array().unwrap().iter();
    pairs
        .map(|pair| (text(pair, "/0").to_owned(), text(pair, "/1").to_owned()))
        .collect()
}

fn header(case: &Value, name: &str) -> String {
    let mut headers = headers(case).into_iter();
    headers
        .find(|(given, _)| given.eq_ignore_ascii_case(name))
        .unwrap()
        .1
}

/// Sends a vector as it was recorded.
pub fn replay(sandbox: &Running, case: &Value) -> Response {
    let body = text(case, "/body").as_bytes();
    let (method, target) = (text(case, "/method"), text(case, "/target"));
    send(sandbox, method, target, &headers(case), body).unwrap()
}

#[test]
fn every_recorded_request_gets_a_session() {
    for case in cases("createsession.json") {
        let sandbox = sandbox(&case);
        let answer = replay(&sandbox, &case);
        let requests = sandbox.requests();
        assert_eq!(answer.status, 201, "{} {requests:?}", text(&case, "/name"));
        let session = &answer.json()["credentialSet"][0];
        assert_eq!(session["roleArn"], "arn:aws:iam::123456789012:role/R");
        let now = sandbox.config().clock.now();
        let asked: Value = serde_json::from_str(text(&case, "/body")).unwrap();
        let seconds = asked["durationSeconds"].as_i64().unwrap();
        let expiration = now.offset_by(seconds).to_string();
        assert_eq!(session["credentials"]["expiration"], expiration);
    }
}
