//! Faults on demand, one test each.

use std::time::{Duration, Instant};

use keystead::sandbox::{Fault, Service};

use super::client::{Response, send};
use super::fixture::{Fixture, NOW, Request};

/// Sends a request that is not answered.
fn assert_closed(fixture: &mut Fixture) {
    let host = vec![("Host".to_owned(), "127.0.0.1".to_owned())];
    let answer = send(&fixture.sandbox, "POST", "/sessions", &host, b"{}");
    assert!(answer.is_none(), "{answer:?}");
    assert_eq!(fixture.sandbox.requests().last().unwrap().status, None);
}

fn ask(fixture: &mut Fixture, fault: &str) -> Response {
    fixture.sandbox.config().faults.add(fault.parse().unwrap());
    let unchanged: fn(&mut Request<'_>) = |_| {};
    fixture.send(unchanged)
}

#[test]
fn throttling_ends_after_its_count() {
    let mut fixture = Fixture::new();
    let answer = ask(&mut fixture, "throttle:2");
    let error_type = answer.header("x-amzn-ErrorType");
    assert_eq!(
        (answer.status, error_type),
        (400, Some("ThrottlingException"))
    );
    assert_eq!(fixture.send(|_| {}).status, 400);
    assert_eq!(fixture.send(|_| {}).status, 201);
    let statuses: Vec<_> = fixture
        .sandbox
        .session_requests()
        .iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(statuses, [Some(400), Some(400), Some(201)]);
}

#[test]
fn throttling_in_the_words_of_each_service() {
    let mut fixture = Fixture::new();
    let hub = fixture.credentials("sensor-hub");
    fixture
        .sandbox
        .config()
        .faults
        .add(Fault::Throttle.times(2));
    let put = ("PUT", "/sensor-logs/sensors/a");
    let answer = hub.send(&fixture.sandbox, "s3", put, &[], b"x").unwrap();
    assert_eq!(
        (answer.status, answer.element("Code")),
        (503, Some("SlowDown"))
    );
    let get = ("GET", "/?Action=GetCallerIdentity");
    let answer = hub.send(&fixture.sandbox, "sts", get, &[], b"").unwrap();
    assert_eq!(
        (answer.status, answer.element("Code")),
        (400, Some("Throttling"))
    );
}

#[test]
fn statuses() {
    let mut fixture = Fixture::new();
    for status in [408, 500, 503] {
        assert_eq!(ask(&mut fixture, &format!("{status}:1")).status, status);
    }
    let hub = fixture.credentials("sensor-hub");
    fixture
        .sandbox
        .config()
        .faults
        .add("s3/500:1".parse().unwrap());
    assert_eq!(fixture.send(|_| {}).status, 201, "only S3 fails");
    let put = ("PUT", "/sensor-logs/sensors/a");
    let answer = hub.send(&fixture.sandbox, "s3", put, &[], b"x").unwrap();
    assert_eq!(
        (answer.status, answer.element("Code")),
        (500, Some("InternalError"))
    );
}

#[test]
fn slow_answers_come_late() {
    let mut fixture = Fixture::new();
    let start = Instant::now();
    assert_eq!(ask(&mut fixture, "slow=50ms:1").status, 201);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[test]
fn dropped_connections() {
    let mut fixture = Fixture::new();
    fixture.sandbox.config().faults.add(Fault::Drop.times(1));
    assert_closed(&mut fixture);
    assert_eq!(fixture.send(|_| {}).status, 201);
}

#[test]
fn a_lost_answer_leaves_its_effect() {
    let mut fixture = Fixture::new();
    let developer = fixture.credentials("developer");
    fixture.sandbox.config().faults.add(Fault::Lose.times(1));
    let put = ("PUT", "/sensor-logs/a");
    let answer = developer.send(&fixture.sandbox, "s3", put, &[], b"x");
    assert!(answer.is_none(), "{answer:?}");
    let head = developer.send(&fixture.sandbox, "s3", ("HEAD", put.1), &[], b"");
    assert_eq!(head.unwrap().status, 200);
}

#[test]
fn a_skewed_clock_shows_in_its_date() {
    let mut fixture = Fixture::new();
    let answer = ask(&mut fixture, "skew=-40m:1");
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["message"], "Invalid signature");
    let early = NOW.offset_by(-2400);
    assert_eq!(
        answer.header("date"),
        Some(early.http().to_string().as_str())
    );
    let answer = fixture.send(|_| {});
    assert_eq!(answer.header("date"), Some(NOW.http().to_string().as_str()));
}

#[test]
fn sessions_that_end_at_once() {
    let mut fixture = Fixture::new();
    let answer = ask(&mut fixture, "expire=10s:1");
    let session = &answer.json()["credentialSet"][0];
    let end = NOW.offset_by(10).to_string();
    assert_eq!(session["credentials"]["expiration"], end);
}

#[test]
fn answers_that_are_none() {
    let mut fixture = Fixture::new();
    let answer = ask(&mut fixture, "garbage:1");
    assert_eq!(answer.status, 201);
    assert!(answer.body.starts_with("<html>"));

    let answer = ask(&mut fixture, "missing-field=sessionToken:1");
    let credentials = &answer.json()["credentialSet"][0]["credentials"];
    assert!(credentials["accessKeyId"].is_string());
    assert!(credentials["sessionToken"].is_null());
}

#[test]
fn requests_are_recorded() {
    let mut fixture = Fixture::new();
    let hub = fixture.credentials("sensor-hub");
    hub.send(&fixture.sandbox, "s3", ("GET", "/sensor-logs/a"), &[], b"");
    let requests = fixture.sandbox.requests();
    let [session, object] = &requests[..] else {
        panic!("{requests:?}");
    };
    assert_eq!(
        (session.service, object.service),
        (Service::RolesAnywhere, Service::S3)
    );
    assert_eq!(session.header("host"), Some("127.0.0.1"));
    assert!(session.body.starts_with(b"{"));
    assert_eq!(
        object.to_string(),
        "s3 GET /sensor-logs/a 403: AccessDenied"
    );
}
