//! `--unless-on-aws`, on a machine whose container endpoint is the test's, against the sandbox's STS.

use std::process::Command;

use serde_json::Value;

use crate::support::hub::Hub;
use crate::support::program::run;
use crate::support::service::{Service, answer};

const ACCOUNT: &str = "111122223333";

/// What an SDK does at a container's endpoint.
const ASK: &str = "curl -sS -H \"Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN\" \
                   \"$AWS_CONTAINER_CREDENTIALS_FULL_URI\"";

impl Hub {
    /// A command on a machine that is in no cloud, and of which nothing is kept.
    fn elsewhere(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command
            .env("KEYSTEAD_UNLESS_ON_AWS", "true")
            .env("KEYSTEAD_NO_CACHE", "true")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ENDPOINT_URL_STS", self.sandbox.url());
        command
    }

    /// The same in a container with this endpoint.
    fn container(&self, endpoint: &Service, arguments: &[&str]) -> Command {
        let mut command = self.elsewhere(arguments);
        command
            .env(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("{}/v1", endpoint.url()),
            )
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0ken");
        command
    }

    /// What a container's endpoint says, with the credentials of a real session.
    fn document(&self) -> Value {
        let ran = run(&mut self.command(&["credential-process"]));
        let mut document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        document["Token"] = document["SessionToken"].take();
        document
    }
}

/// An endpoint that gives `document` to the one that asks.
fn endpoint(document: &Value) -> Service {
    Service::start([
        answer("404 Not Found", "", ""),
        answer("200 OK", "", &document.to_string()),
    ])
}

#[test]
fn a_role_of_the_machine_is_used_by_every_command() {
    let hub = Hub::new();
    let document = hub.document();
    let id = document["AccessKeyId"].as_str().expect("an id");
    for arguments in [
        &["credential-process"][..],
        &["env", "--shell=bash"],
        &["env", "--shell=json"],
        &["exec", "--", "env"],
        // The refresher has it like everybody else.
        &["exec", "--serve", "--", "sh", "-c", ASK],
    ] {
        let endpoint = endpoint(&document);
        let ran = run(&mut hub.container(&endpoint, arguments));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.contains(id), "{arguments:?}");
        let requests = endpoint.requests();
        assert!(requests[1].starts_with("GET /v1 HTTP/1.1\r\n"));
        assert!(requests[1].contains("uthorization: t0ken\r\n"));
    }
    assert_eq!(hub.sessions(), 1);
}

#[test]
fn elsewhere_it_is_the_certificate() {
    let hub = Hub::new();
    for arguments in [
        &["credential-process"][..],
        &["env"],
        &["exec", "--", "env"],
    ] {
        let before = hub.sessions();
        let ran = run(&mut hub.elsewhere(arguments));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert_eq!(hub.sessions(), before + 1);
    }
    let ran = run(&mut hub.elsewhere(&["credential-process", "--debug"]));
    assert!(ran.stderr.contains("--- role of this machine: none: "));
    // An endpoint of keystead's own is nobody's role.
    let ours = Service::start([answer("404 Not Found", "Server: keystead\r\n", "")]);
    let before = hub.sessions();
    let ran = run(&mut hub.container(&ours, &["credential-process"]));
    assert_eq!(
        (ran.code, hub.sessions()),
        (0, before + 1),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_account_has_to_be_the_expected_one() {
    let hub = Hub::new();
    let mut document = hub.document();
    let expect = |document: &Value| {
        let endpoint = endpoint(document);
        let mut command = hub.container(&endpoint, &["credential-process"]);
        run(command.env("KEYSTEAD_EXPECT_ACCOUNT", ACCOUNT))
    };
    // Where nobody says it, the sandbox's STS does, to whom the request has to be signed.
    assert_eq!(expect(&document).code, 0, "{}", expect(&document).stderr);
    document["AccountId"] = ACCOUNT.into();
    assert_eq!(expect(&document).code, 0);
    document["AccountId"] = "999922223333".into();
    expect(&document).failed(
        2,
        "this machine's role is of account 999922223333, and 111122223333 is expected",
    );
    // Whose credentials STS does not know is not known.
    document["AccountId"] = Value::Null;
    document["Token"] = "x".into();
    expect(&document).failed(6, "the account of this machine's role is not known");

    let mut command = hub.command(&["credential-process", "--expect-account=999922223333"]);
    run(&mut command).failed(
        2,
        "the role is of account 111122223333, and 999922223333 is expected",
    );
    run(&mut hub.command(&["env", "--expect-account=1"])).failed(2, "an account is twelve digits");
}

#[test]
fn a_role_that_gives_nothing_is_no_reason_to_go_on_as_somebody_else() {
    let hub = Hub::new();
    let none = || answer("404 Not Found", "", "");
    for (answers, code, says) in [
        (vec![none(), answer("500 No", "", "")], 5, "HTTP 500"),
        (vec![none(), answer("403 No", "", "")], 6, "HTTP 403"),
        (
            vec![none(), answer("200 OK", "", "{}")],
            6,
            "has no Expiration",
        ),
    ] {
        let endpoint = Service::start(answers);
        let ran = run(&mut hub.container(&endpoint, &["credential-process"]));
        ran.failed(code, says);
    }
    let mut command = hub.elsewhere(&["credential-process"]);
    let nobody = "http://127.0.0.1:9/";
    run(command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", nobody)).failed(5, "127.0.0.1:9");
    let other = "http://example.com/";
    run(command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", other)).failed(
        2,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://example.com/`",
    );
    assert_eq!(hub.sessions(), 0);
}
