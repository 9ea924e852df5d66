//! S3: what a session may do, and what is nobody's.

use keystead::core::time::Clock as _;
use keystead::sandbox::{Policy, Running, SandboxClock};

use super::client::{Credentials, Headers, Response, send};
use super::fixture::{Fixture, NOW, add_role};

fn ask(
    sandbox: &Running,
    credentials: &Credentials,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    credentials
        .send(sandbox, "s3", (method, target), headers, body)
        .unwrap()
}

fn assert_code(answer: &Response, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.element("Code")),
        (status, Some(code)),
        "{answer:?}"
    );
}

#[test]
fn a_hub_writes_below_its_prefix_and_nowhere_else() {
    let mut fixture = Fixture::new();
    let hub = fixture.credentials("sensor-hub");
    let developer = fixture.credentials("developer");
    let sandbox = &fixture.sandbox;
    let object = "/sensor-logs/sensors/2026/a%20b.json";
    assert_eq!(ask(sandbox, &hub, "PUT", object, &[], b"{}").status, 200);
    let read = ask(sandbox, &developer, "GET", object, &[], b"");
    assert_eq!((read.status, read.body.as_str()), (200, "{}"));

    let denied = ask(sandbox, &hub, "PUT", "/sensor-logs/other/a", &[], b"{}");
    assert_code(&denied, 403, "AccessDenied");
    let message = denied.element("Message").unwrap();
    for part in [
        "s3:PutObject",
        "arn:aws:s3:::sensor-logs/other/a",
        "assumed-role/SensorWriter/",
    ] {
        assert!(message.contains(part), "{message}");
    }
    for (method, target) in [
        ("GET", object),
        ("DELETE", object),
        ("GET", "/sensor-logs?list-type=2"),
        ("GET", "/"),
        ("PUT", "/new-bucket"),
    ] {
        assert_code(
            &ask(sandbox, &hub, method, target, &[], b""),
            403,
            "AccessDenied",
        );
    }
    assert_eq!(ask(sandbox, &hub, "HEAD", object, &[], b"").status, 403);
    let tagged = ask(
        sandbox,
        &hub,
        "PUT",
        object,
        &[("x-amz-tagging", "a=b")],
        b"{}",
    );
    assert_code(&tagged, 403, "AccessDenied");
}

#[test]
fn uploads_in_parts() {
    let mut fixture = Fixture::new();
    let hub = fixture.credentials("sensor-hub");
    let renewed = fixture.credentials("sensor-hub");
    let sandbox = &fixture.sandbox;
    let outside = ask(sandbox, &hub, "POST", "/sensor-logs/x?uploads", &[], b"");
    assert_code(&outside, 403, "AccessDenied");
    let started = ask(
        sandbox,
        &hub,
        "POST",
        "/sensor-logs/sensors/x?uploads",
        &[],
        b"",
    );
    let id = started.element("UploadId").unwrap();
    let target = format!("/sensor-logs/sensors/x?partNumber=1&uploadId={id}");
    let part = ask(sandbox, &hub, "PUT", &target, &[], b"part");
    let tag = part.header("etag").unwrap();
    let complete = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let target = format!("/sensor-logs/sensors/x?uploadId={id}");
    // The upload outlives the session that began it.
    let done = ask(sandbox, &renewed, "POST", &target, &[], complete.as_bytes());
    assert_eq!(done.status, 200, "{done:?}");
    let abort = ask(sandbox, &hub, "DELETE", &target, &[], b"");
    assert_code(&abort, 403, "AccessDenied");
}

#[test]
fn copies_and_deletions_are_judged_by_object() {
    let mut fixture = Fixture::with(|config| {
        add_role(&mut config.account, "Narrow", |_, profile| {
            profile.session_policy = Policy::parse(
                r#"{"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::sensor-logs/mine/*"},
                {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::sensor-logs/mine/secret"}]}"#,
            )
            .ok();
        });
    });
    let developer = fixture.credentials("developer");
    let account = fixture.sandbox.config().account.clone();
    let answer = fixture.send(|request| request.assume(&account, "Narrow", "Narrow"));
    let narrow = Credentials::of(&answer, &account.region);
    let sandbox = &fixture.sandbox;
    for key in ["mine/a", "mine/secret", "theirs/a"] {
        let target = format!("/sensor-logs/{key}");
        assert_eq!(
            ask(sandbox, &developer, "PUT", &target, &[], b"x").status,
            200
        );
    }
    let copy = |from: &str, to: &str| {
        let source = [("x-amz-copy-source", from)];
        ask(
            sandbox,
            &narrow,
            "PUT",
            &format!("/sensor-logs/{to}"),
            &source,
            b"",
        )
    };
    assert_eq!(copy("/sensor-logs/mine/a", "mine/b").status, 200);
    assert_code(
        &copy("/sensor-logs/theirs/a", "mine/b"),
        403,
        "AccessDenied",
    );
    assert_code(
        &copy("/sensor-logs/mine/secret", "mine/b"),
        403,
        "AccessDenied",
    );
    assert_code(
        &copy("/sensor-logs/mine/a", "theirs/b"),
        403,
        "AccessDenied",
    );
    let delete = |keys: &[&str]| {
        let keys: String = keys
            .iter()
            .map(|key| format!("<Object><Key>{key}</Key></Object>"))
            .collect();
        let body = format!("<Delete>{keys}</Delete>");
        ask(
            sandbox,
            &narrow,
            "POST",
            "/sensor-logs?delete",
            &[],
            body.as_bytes(),
        )
    };
    assert_code(&delete(&["mine/a", "mine/secret"]), 403, "AccessDenied");
    assert_eq!(
        ask(sandbox, &developer, "HEAD", "/sensor-logs/mine/a", &[], b"").status,
        200
    );
    assert_eq!(delete(&["mine/a", "mine/b"]).status, 200);
    assert_eq!(
        ask(sandbox, &developer, "HEAD", "/sensor-logs/mine/a", &[], b"").status,
        404
    );
}

#[test]
fn only_sessions_that_last_count() {
    let mut fixture = Fixture::new();
    let good = fixture.credentials("developer");
    let sandbox = &fixture.sandbox;
    let put =
        |credentials: &Credentials| ask(sandbox, credentials, "PUT", "/sensor-logs/a", &[], b"x");
    assert_eq!(put(&good).status, 200);
    let other_token = with_token(&good, "x");
    assert_code(&put(&other_token), 400, "InvalidToken");
    let unknown = Credentials {
        access_key_id: "ASIAAAAAAAAAAAAAAAAA".into(),
        ..good.clone()
    };
    assert_code(&put(&unknown), 403, "InvalidAccessKeyId");
    let wrong_secret = Credentials {
        secret_access_key: "x".into(),
        ..good.clone()
    };
    assert_code(&put(&wrong_secret), 403, "SignatureDoesNotMatch");
    let elsewhere = Credentials {
        region: "us-east-1".into(),
        ..good.clone()
    };
    assert_code(&put(&elsewhere), 400, "AuthorizationHeaderMalformed");
    let late = good.send_at(sandbox, NOW.offset_by(-901), "s3", ("GET", "/"), &[], b"");
    assert_code(&late.unwrap(), 403, "RequestTimeTooSkewed");
    sandbox.config().clock.advance(3600);
    assert_code(&put(&good), 400, "ExpiredToken");
}

fn with_token(credentials: &Credentials, token: &str) -> Credentials {
    Credentials {
        session_token: token.into(),
        ..credentials.clone()
    }
}

#[test]
fn what_is_not_signed_is_refused() {
    let mut fixture = Fixture::new();
    let developer = fixture.credentials("developer");
    let host = vec![("Host".to_owned(), "127.0.0.1".to_owned())];
    let anonymous = send(&fixture.sandbox, "GET", "/sensor-logs/a", &host, b"").unwrap();
    assert_code(&anonymous, 403, "AccessDenied");

    // A header that changes what the request does, added by someone else.
    let mut headers = developer.sign(NOW, "s3", ("PUT", "/sensor-logs/b"), &[], b"");
    headers.push(("x-amz-copy-source".into(), "/sensor-logs/a".into()));
    let added = send(&fixture.sandbox, "PUT", "/sensor-logs/b", &headers, b"").unwrap();
    assert_code(&added, 403, "AccessDenied");
}

#[test]
fn keys_that_would_be_other_paths() {
    let mut fixture = Fixture::new();
    let hub = fixture.credentials("sensor-hub");
    for key in [
        "sensors/../other",
        "sensors/..",
        "sensors//x",
        "sensors/%2E%2E/other",
        "sensors/./x",
    ] {
        let target = format!("/sensor-logs/{key}");
        let answer = ask(&fixture.sandbox, &hub, "PUT", &target, &[], b"x");
        assert_code(&answer, 400, "InvalidArgument");
    }
    let developer = fixture.credentials("developer");
    let answer = ask(
        &fixture.sandbox,
        &developer,
        "PUT",
        "/no-such-bucket/x",
        &[],
        b"x",
    );
    assert_code(&answer, 404, "NoSuchBucket");
}

#[test]
fn presigned_urls_end_with_their_session() {
    // s3s judges the end of a presigned URL by the system's clock.
    let mut fixture = Fixture::at(SandboxClock::system(), |_| {});
    let developer = fixture.credentials("developer");
    let sandbox = &fixture.sandbox;
    let put = ask(sandbox, &developer, "PUT", "/sensor-logs/a", &[], b"text");
    assert_eq!(put.status, 200, "{put:?}");
    let host: Headers = vec![("Host".into(), "127.0.0.1".into())];
    let get = |target: &str| send(sandbox, "GET", target, &host, b"").unwrap();
    let now = sandbox.config().clock.now();
    let target = developer.presign("/sensor-logs/a", now, 7200);
    assert_eq!(get(&target).body, "text");
    let hub_token = with_token(&developer, "x").presign("/sensor-logs/a", now, 7200);
    assert_code(&get(&hub_token), 400, "InvalidToken");
    let over = developer.presign("/sensor-logs/a", now.offset_by(-60), 30);
    assert_code(&get(&over), 403, "AccessDenied");
    sandbox.config().clock.advance(3601);
    assert_code(&get(&target), 400, "ExpiredToken");
}
