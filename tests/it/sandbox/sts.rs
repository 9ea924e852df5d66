//! STS `GetCallerIdentity`.

use keystead::core::time::UnixTime;

use super::client::{Credentials, Response, send};
use super::fixture::{Fixture, NOW};

const FORM: &[u8] = b"Action=GetCallerIdentity&Version=2011-06-15";

fn ask(fixture: &Fixture, credentials: &Credentials, time: UnixTime) -> Response {
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    credentials
        .send_at(&fixture.sandbox, time, "sts", ("POST", "/"), &form, FORM)
        .unwrap()
}

#[test]
fn the_caller_is_the_session() {
    let mut fixture = Fixture::new();
    let credentials = fixture.credentials("sensor-hub");
    let answer = ask(&fixture, &credentials, NOW);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.element("Account"), Some("111122223333"));
    let arn = answer.element("Arn").unwrap();
    assert!(arn.starts_with("arn:aws:sts::111122223333:assumed-role/SensorWriter/"));
    assert!(answer.element("UserId").unwrap().starts_with("AROA"));

    let target = ("GET", "/?Action=GetCallerIdentity&Version=2011-06-15");
    let answer = credentials.send(&fixture.sandbox, "sts", target, &[], b"");
    assert_eq!(answer.unwrap().element("Arn"), Some(arn));
}

#[test]
fn refusals() {
    let mut fixture = Fixture::new();
    let good = fixture.credentials("sensor-hub");
    let refuse = |credentials: &Credentials, time, status: u16, code: &str| {
        let answer = ask(&fixture, credentials, time);
        assert_eq!(
            (answer.status, answer.element("Code")),
            (status, Some(code)),
            "{answer:?}"
        );
    };
    let wrong_secret = Credentials {
        secret_access_key: "x".repeat(40),
        ..good.clone()
    };
    refuse(&wrong_secret, NOW, 403, "SignatureDoesNotMatch");
    let wrong_region = Credentials {
        region: "us-east-1".into(),
        ..good.clone()
    };
    refuse(&wrong_region, NOW, 403, "SignatureDoesNotMatch");
    refuse(&good, NOW.offset_by(301), 403, "SignatureDoesNotMatch");
    let form = ("POST", "/");
    let other_service = good.send_at(&fixture.sandbox, NOW, "iam", form, &[], FORM);
    let code = "SignatureDoesNotMatch";
    assert_eq!(other_service.unwrap().element("Code"), Some(code));
    let wrong_token = Credentials {
        session_token: "x".into(),
        ..good.clone()
    };
    refuse(&wrong_token, NOW, 403, "InvalidClientTokenId");
    let unknown = Credentials {
        access_key_id: "ASIAAAAAAAAAAAAAAAAA".into(),
        ..good.clone()
    };
    refuse(&unknown, NOW, 403, "InvalidClientTokenId");
    fixture.sandbox.config().clock.advance(1800);
    refuse(&good, NOW.offset_by(1800), 403, "ExpiredToken");
}

#[test]
fn what_is_no_request() {
    let mut fixture = Fixture::new();
    let host = vec![("Host".to_owned(), "127.0.0.1".to_owned())];
    let answer = send(&fixture.sandbox, "POST", "/", &host, FORM).unwrap();
    assert_eq!(
        (answer.status, answer.element("Code")),
        (403, Some("MissingAuthenticationToken"))
    );

    let credentials = fixture.credentials("sensor-hub");
    let target = ("GET", "/?Action=AssumeRole");
    let answer = credentials.send(&fixture.sandbox, "sts", target, &[], b"");
    let answer = answer.unwrap();
    assert_eq!(
        (answer.status, answer.element("Code")),
        (400, Some("InvalidAction"))
    );
}
