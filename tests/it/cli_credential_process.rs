//! `keystead credential-process` from its arguments to its document, against a service that answers
//! by a script.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::support::openssl::{LEAF, P256, Workshop};
use crate::support::program::{Ran, command, run};
use crate::support::service::{Service, answer};

const ARNS: [&str; 6] = [
    "--trust-anchor-arn=arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1",
    "--profile-arn=arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1",
    "--role-arn=arn:aws:iam::111122223333:role/SensorWriter",
    "--certificate=hub.pem",
    "--key=hub.key",
    "--max-attempts=1",
];

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN==";

const DOCUMENT: &str = r#"{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY","SessionToken":"IQoJb3JpZ2luX2VjEXAMPLETOKEN==","Expiration":"2999-01-01T00:00:00Z"}"#;

fn created() -> String {
    created_with("", "")
}

/// A success, in which something is replaced.
fn created_with(from: &str, to: &str) -> String {
    let body = format!(
        r#"{{"credentialSet":[{{"credentials":{{"accessKeyId":"ASIAEXAMPLE","secretAccessKey":"{SECRET}","sessionToken":"{TOKEN}","expiration":"2999-01-01T00:00:00Z"}},"roleArn":"arn:aws:iam::111122223333:role/SensorWriter"}}],"subjectArn":"arn:aws:rolesanywhere:eu-west-1:111122223333:subject/s-1"}}"#
    );
    answer("201 Created", "", &body.replacen(from, to, 1))
}

fn refused(message: &str) -> String {
    let body = format!(r#"{{"message":"{message}"}}"#);
    let code = "x-amzn-ErrorType: AccessDeniedException\r\n";
    answer("403 Forbidden", code, &body)
}

/// A folder with `hub.key` and `hub.pem`.
fn workshop() -> Workshop {
    let workshop = Workshop::new();
    workshop.key("hub", P256);
    workshop.certificate("hub", "hub", "-sha256", LEAF);
    workshop
}

/// The command with everything that is needed, in the workshop.
fn complete(workshop: &Workshop, service: &Service, more: &[&str]) -> Command {
    let endpoint = format!("--endpoint={}", service.url());
    let mut arguments = vec!["credential-process", &endpoint];
    arguments.extend(ARNS);
    arguments.extend(more);
    command(&workshop.path(""), &arguments)
}

fn run_with(workshop: &Workshop, answers: &[String], more: &[&str]) -> Ran {
    let service = Service::start(answers.iter().cloned());
    run(&mut complete(workshop, &service, more))
}

#[track_caller]
fn succeeded(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stdout, DOCUMENT);
}

#[test]
fn the_document_and_nothing_else() {
    let workshop = workshop();
    let service = Service::start([created()]);
    let ran = run(&mut complete(&workshop, &service, &[]));
    succeeded(&ran);
    assert_eq!(ran.stderr, "");
    let [request] = &service.requests()[..] else {
        panic!("one request");
    };
    let (head, body) = request.split_once("\r\n\r\n").expect("head and body");
    assert!(head.starts_with("POST /sessions HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains("AWS4-X509-ECDSA-SHA256 Credential="),
        "{head}"
    );
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["durationSeconds"], 3600);
    assert_eq!(
        body["roleArn"],
        "arn:aws:iam::111122223333:role/SensorWriter"
    );
    assert!(body["roleSessionName"].is_null());
}

#[test]
fn duration_name_and_region_reach_the_service() {
    let workshop = workshop();
    let service = Service::start([created()]);
    let more = [
        "--session-duration",
        "30m",
        "--role-session-name",
        "hub@1",
        "--region=eu-north-1",
    ];
    succeeded(&run(&mut complete(&workshop, &service, &more)));
    let request = &service.requests()[0];
    assert!(
        request.contains("/eu-north-1/rolesanywhere/aws4_request"),
        "{request}"
    );
    assert!(request.contains(r#""durationSeconds":1800"#), "{request}");
    assert!(
        request.contains(r#""roleSessionName":"hub@1""#),
        "{request}"
    );
}

#[test]
fn debug_shows_everything_but_secrets() {
    let workshop = workshop();
    workshop.openssl("pkcs8 -topk8 -v2 aes-256-cbc -passout pass:hunter2 -in hub.key -out hub.enc");
    workshop.openssl("pkey -in hub.key -out hub.plain");
    let ran = run_with(
        &workshop,
        &[created()],
        &["--debug", "--key=hub.enc", "--pkcs8-password=hunter2"],
    );
    succeeded(&ran);
    for shown in [
        "--- canonical request\nPOST\n/sessions\n",
        "--- string to sign\nAWS4-X509-ECDSA-SHA256\n",
        "authorization: AWS4-X509-ECDSA-SHA256 Credential=",
        ", Signature=…",
        r#""durationSeconds":3600"#,
        "HTTP 201",
        "ASIAEXAMPLE",
        "2999-01-01",
    ] {
        assert!(ran.stderr.contains(shown), "{shown}:\n{}", ran.stderr);
    }
    for secret in [SECRET, TOKEN, "hunter2"] {
        assert!(!ran.stderr.contains(secret), "{secret}:\n{}", ran.stderr);
    }
    // Not even where the answer is refused for what it lacks.
    let incomplete = created_with("ASIAEXAMPLE", "");
    let ran = run_with(&workshop, &[incomplete], &["--debug"]);
    ran.failed(5, "accessKeyId");
    assert!(!ran.stderr.contains(SECRET) && !ran.stderr.contains(TOKEN));
}

#[test]
fn what_the_service_refuses_comes_with_what_to_check() {
    let workshop = workshop();
    for (message, says) in [
        (
            "Untrusted certificate. Insufficient certificate",
            "digitalSignature",
        ),
        ("Untrusted signing certificate", "--intermediates"),
        ("Certificate revoked", "new key and certificate"),
        ("Invalid signature", "the clock"),
        (
            "Unable to assume role for arn:aws:iam::1:role/R",
            "trust policy",
        ),
        (
            "Not authorized to set roleSessionName",
            "--accept-role-session-name",
        ),
        ("Specified Trust Anchor wasn't found.", "--trust-anchor-arn"),
    ] {
        let ran = run_with(&workshop, &[refused(message)], &[]);
        ran.failed(6, says);
        ran.failed(6, &format!("AccessDeniedException (HTTP 403): {message}"));
    }
}

#[test]
fn what_may_go_better_later_is_no_refusal() {
    let workshop = workshop();
    for (status, code, says) in [
        ("400 Bad Request", "ThrottlingException", "10 a second"),
        ("500 Internal Server Error", "InternalFailure", "try again"),
        (
            "408 Request Timeout",
            "RequestTimeoutException",
            "try again",
        ),
    ] {
        let body = format!(r#"{{"__type":"{code}","message":"no"}}"#);
        let answers = [answer(status, "", &body)];
        let ran = run_with(&workshop, &answers, &["--max-attempts=1"]);
        ran.failed(5, says);
        ran.failed(5, &format!("could not answer: {code}"));
    }
}

#[test]
fn a_clock_that_is_wrong_is_named() {
    let workshop = workshop();
    let late = refused("Invalid signature").replacen(
        "\r\n",
        "\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
        1,
    );
    let ran = run_with(&workshop, &[late], &[]);
    ran.failed(6, "days ahead of the service's");
    assert!(ran.stderr.contains("--correct-clock"), "{}", ran.stderr);
}

#[test]
fn an_answer_that_is_not_to_be_trusted_gives_nothing() {
    let workshop = workshop();
    for (bad, says) in [
        (
            created_with("role/SensorWriter\"}]", "role/Other\"}]"),
            "another role",
        ),
        (
            created_with("2999-01-01T", "2001-01-01T"),
            "already expired",
        ),
        (answer("200 OK", "", "<html>"), "not a JSON document"),
        (answer("404 Not Found", "", "<html>"), "--endpoint"),
    ] {
        let code = if bad.contains("404") { 6 } else { 5 };
        run_with(&workshop, &[bad], &[]).failed(code, says);
    }
}

#[test]
fn nobody_listens() {
    let workshop = workshop();
    let mut arguments = vec!["credential-process", "--endpoint=http://127.0.0.1:1"];
    arguments.extend(ARNS);
    run(&mut command(&workshop.path(""), &arguments)).failed(5, "http://127.0.0.1:1: ");
}

#[test]
fn passwords_from_every_source() {
    let workshop = workshop();
    workshop.openssl("pkcs8 -topk8 -v2 aes-256-cbc -passout pass:pa§§ -in hub.key -out hub.enc");
    workshop.write("password", "pa§§\n");
    for source in [
        "file:password",
        "env:HUB_PASSWORD",
        "fd:0",
        "cred:password",
        "cmd:/bin/cat password",
    ] {
        let service = Service::start([created()]);
        let mut command = complete(
            &workshop,
            &service,
            &["--key=hub.enc", "--password-source", source],
        );
        command
            .env("HUB_PASSWORD", "pa§§")
            .env("CREDENTIALS_DIRECTORY", workshop.path(""))
            .stdin(fs::File::open(workshop.path("password")).expect("a file"));
        let ran = run(&mut command);
        succeeded(&ran);
        assert_eq!(ran.stderr, "", "{source}");
    }
    for (more, says) in [
        (&["--key=hub.enc"][..], "--password-source"),
        (&["--key=hub.enc", "--password-source=env:NONE"], "NONE"),
        (
            &["--key=hub.enc", "--password-source=file:hub.pem"],
            "hub.enc",
        ),
    ] {
        let ran = run_with(&workshop, &[], more);
        ran.failed(4, says);
        assert!(!ran.stderr.contains("BEGIN CERTIFICATE"), "{}", ran.stderr);
    }
}

#[test]
fn a_key_that_others_can_read() {
    let workshop = workshop();
    fs::set_permissions(workshop.path("hub.key"), fs::Permissions::from_mode(0o644))
        .expect("chmod");
    let ran = run_with(&workshop, &[created()], &[]);
    succeeded(&ran);
    assert!(ran.stderr.contains("chmod 600"), "{}", ran.stderr);
    run_with(&workshop, &[], &["--strict"]).failed(3, "chmod 600");
}

#[test]
fn another_key_than_the_certificates() {
    let workshop = workshop();
    workshop.key("other", P256);
    run_with(&workshop, &[], &["--key=other.key"]).failed(3, "hub.pem");
}

#[test]
fn rules_of_the_certificate_stop_keystead_and_warn_under_the_reference_name() {
    let workshop = workshop();
    workshop.certificate(
        "hub",
        "hub",
        "-sha256",
        "basicConstraints=critical,CA:FALSE\n",
    );
    run_with(&workshop, &[], &[]).failed(3, "--skip-certificate-rules");
    succeeded(&run_with(
        &workshop,
        &[created()],
        &["--skip-certificate-rules"],
    ));

    let link = workshop.path("aws_signing_helper");
    symlink(env!("CARGO_BIN_EXE_keystead"), &link).expect("a link");
    let service = Service::start([created()]);
    let mut command = Command::new(&link);
    command
        .args([
            "credential-process",
            "--debug=false",
            "ignored",
            "--endpoint",
            service.url(),
        ])
        .args(ARNS)
        .env_clear()
        .env("HOME", workshop.path(""))
        .current_dir(workshop.path(""));
    let ran = run(&mut command);
    succeeded(&ran);
    assert!(ran.stderr.contains("warning: hub.pem: "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("an argument belongs to no flag"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_identity_of_the_file() {
    let workshop = workshop();
    let service = Service::start([created()]);
    let text = format!(
        r#"
[identity.hub]
certificate = "hub.pem"
key = "file:hub.key"
trust-anchor-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a-1"
profile-arn = "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p-1"
role-arn = "arn:aws:iam::111122223333:role/SensorWriter"
session-duration = 900
endpoint = "{}"

[identity.lab]
certificate = "none.pem"
"#,
        service.url()
    );
    workshop.write("keystead.toml", text);
    let arguments = ["credential-process", "--identity", "hub"];
    let mut command = command(&workshop.path(""), &arguments);
    let ran = run(command.env("KEYSTEAD_CONFIG", "keystead.toml"));
    succeeded(&ran);
    assert!(service.requests()[0].contains(r#""durationSeconds":900"#));
}

#[test]
fn an_unverified_service_is_warned_of_loudly() {
    let workshop = workshop();
    let ran = run_with(&workshop, &[created()], &["--no-verify-ssl"]);
    succeeded(&ran);
    assert!(
        ran.stderr.starts_with("warning: THE CERTIFICATE OF "),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_clock_that_is_behind_what_has_passed() {
    let workshop = workshop();
    // What a service has confirmed, tomorrow.
    let tomorrow = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
        + 86_400;
    workshop.write("time", tomorrow.to_string());
    workshop.certificate("hub", "hub", "-sha256 -days 0", LEAF);
    let service = Service::start([created()]);
    let mut command = complete(&workshop, &service, &[]);
    // The certificate has expired by then, but nobody knows what time it is.
    let ran = run(command.env("STATE_DIRECTORY", workshop.path("")));
    succeeded(&ran);
    assert!(
        ran.stderr
            .starts_with("warning: this machine's clock is wrong"),
        "{}",
        ran.stderr
    );
}
