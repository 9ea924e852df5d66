//! Against endpoints that answer by a rule.

use core::time::Duration;
use std::boxed::Box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::string::{String, ToString as _};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use std::vec::Vec;
use std::{format, fs, thread};

use super::source::OpenedRole;
use super::*;
use crate::core::time::Clock as _;
use crate::host::endpoint::Endpoint;
use crate::host::refresh::{Failure, FailureKind, Fresh, Opened, Source};
use crate::host::transport::TransportOptions;

/// An endpoint on this machine. It ends with the process.
struct Fake {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers each request by its first line: a status line's end, headers, and a body; without an answer
    /// the connection stays open.
    fn new(
        answer: impl Fn(&str) -> Option<(&'static str, &'static str, String)> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let kept = requests.clone();
        thread::spawn(move || {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                let head = head(&stream);
                let line = head.lines().next().unwrap_or_default().to_string();
                kept.lock().unwrap().push(head);
                let Some((status, headers, body)) = answer(&line) else {
                    silent.push(stream);
                    continue;
                };
                let len = body.len();
                let body = if line.starts_with("HEAD") { "" } else { &body };
                let mut stream = stream;
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\n{headers}Content-Length: {len}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { url, requests }
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn head(stream: &TcpStream) -> String {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let lines = lines.by_ref().take_while(|line| !line.is_empty());
    lines.map(|line| line + "\n").collect()
}

fn document() -> String {
    let expiration = HostClock::new(None).now().offset_by(3600);
    format!(
        r#"{{"Code":"Success","AccessKeyId":"ASIA1","SecretAccessKey":"s","Token":"t","Expiration":"{expiration}"}}"#
    )
}

const IDENTITY: &str = r#"{"accountId":"111122223333","region":"eu-west-1"}"#;

const ROLE: &str = "GET /latest/meta-data/iam/security-credentials/Sensor HTTP/1.1";

/// The metadata service of an instance with the role `Sensor`; `other` has the first word.
fn metadata(
    other: impl Fn(&str) -> Option<(&'static str, &'static str, String)> + Send + 'static,
) -> Fake {
    Fake::new(move |line| {
        other(line).or_else(|| {
            let body = match line {
                "PUT /latest/api/token HTTP/1.1" => "t0ken".into(),
                "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1" => "Sensor\n".into(),
                "GET /latest/dynamic/instance-identity/document HTTP/1.1" => IDENTITY.into(),
                ROLE => document(),
                _ => return Some(("404 Not Found", "", String::new())),
            };
            Some(("200 OK", "", body))
        })
    })
}

/// A machine, by what its firmware says.
struct Machine(&'static str);

impl Machine {
    fn look(&self, change: impl FnOnce(&mut Surroundings)) -> Look {
        let mut surroundings = Surroundings {
            sys: Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/fixtures/machines")
                .join(self.0),
            ..Surroundings::default()
        };
        change(&mut surroundings);
        Look {
            surroundings,
            expect_account: None,
            sts: StsOptions {
                region: "eu-west-1".into(),
                endpoint: Endpoint::custom("http://127.0.0.1:9").unwrap(),
                transport: TransportOptions::default(),
            },
            clock: Arc::new(HostClock::new(None)),
        }
    }

    fn with_metadata(&self, fake: &Fake) -> Look {
        self.look(|s| s.metadata_endpoint = Some(fake.url.clone()))
    }
}

fn ec2() -> Machine {
    Machine("ec2")
}

fn container(fake: &Fake) -> Look {
    let uri = format!("{}/v1/credentials?a=b", fake.url);
    Machine("laptop").look(|s| s.full_uri = Some(uri))
}

#[track_caller]
fn role(look: &Look) -> RoleCredentials {
    match look.credentials() {
        Ok(Found::Role(role)) => role,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn none(look: &Look) -> NoRole {
    match look.credentials() {
        Ok(Found::None(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn error(look: &Look) -> RoleError {
    look.credentials().expect_err("an error")
}

#[test]
fn the_role_of_an_instance() {
    let fake = metadata(|_| None);
    // Some programs want the endpoint with a slash at its end.
    let mut look = ec2().look(|s| s.metadata_endpoint = Some(format!("{}/", fake.url)));
    let found = role(&look);
    assert_eq!(found.credentials.access_key_id, "ASIA1");
    assert_eq!(
        found.credentials.role_arn,
        "arn:aws:iam::111122223333:role/Sensor"
    );
    let requests = fake.requests();
    let lower: Vec<_> = requests.iter().map(|r| r.to_ascii_lowercase()).collect();
    assert!(lower[0].contains("x-aws-ec2-metadata-token-ttl-seconds: 21600\n"));
    assert!(
        lower[1..]
            .iter()
            .all(|r| r.contains("x-aws-ec2-metadata-token: t0ken\n"))
    );
    look.expect_account = Some("111122223333".into());
    role(&look);
    look.expect_account = Some("999922223333".into());
    let wrong = error(&look);
    assert_eq!(wrong.kind, RoleErrorKind::WrongAccount);
    assert_eq!(
        wrong.to_string(),
        "this machine's role is of account 111122223333, and 999922223333 is expected"
    );
}

#[test]
fn elsewhere_nothing_is_sent() {
    let fake = metadata(|_| None);
    assert_eq!(
        none(&Machine("laptop").with_metadata(&fake)),
        NoRole::NotOnAws
    );
    let disabled = ec2().look(|s| {
        s.metadata_endpoint = Some(fake.url.clone());
        s.is_metadata_disabled = true;
    });
    assert_eq!(none(&disabled), NoRole::Disabled);
    assert!(fake.requests().is_empty());
}

#[test]
fn who_does_not_answer_costs_a_second() {
    let silent = Fake::new(|_| None);
    let began = Instant::now();
    assert!(matches!(
        none(&ec2().with_metadata(&silent)),
        NoRole::NoMetadata(_)
    ));
    assert!(began.elapsed() < Duration::from_millis(1500));
    // An address that nobody has (RFC 5737): nothing comes back, or an error does.
    let nowhere = ec2().look(|s| s.metadata_endpoint = Some("http://192.0.2.1".into()));
    let began = Instant::now();
    assert!(matches!(none(&nowhere), NoRole::NoMetadata(_)));
    assert!(began.elapsed() < Duration::from_millis(1500));
    // The second is for everything together: what is silent in the end is no longer absent.
    let late = metadata(|line| (line == ROLE).then_some(("503 Busy", "", String::new())));
    assert_eq!(
        error(&ec2().with_metadata(&late)).kind,
        RoleErrorKind::Unanswered
    );
}

#[test]
fn who_has_no_role_and_who_cannot_have_it() {
    let answers = |wanted: &'static str, status, body: &'static str| {
        let fake = metadata(move |line| line.contains(wanted).then(|| (status, "", body.into())));
        ec2().with_metadata(&fake)
    };
    let list = "security-credentials/ HTTP";
    assert_eq!(none(&answers(list, "404 None", "")), NoRole::NoInstanceRole);
    assert_eq!(none(&answers(list, "200 OK", "\n")), NoRole::NoInstanceRole);
    let off = none(&answers("PUT", "403 Off", ""));
    assert_eq!(off, NoRole::NoMetadata("HTTP 403".into()));
    assert!(matches!(
        none(&answers("PUT", "200 OK", "<html> </html>")),
        NoRole::NoMetadata(_)
    ));
    let failed = r#"{"Code":"AssumeRoleUnauthorizedAccess","Message":"no"}"#;
    for (wanted, status, body, says) in [
        ("Sensor", "200 OK", failed, "AssumeRoleUnauthorizedAccess"),
        ("Sensor", "404 Gone", "", "HTTP 404"),
        (list, "200 OK", "../../token", "no role"),
        ("Sensor", "200 OK", "{}", "no Expiration"),
    ] {
        let error = error(&answers(wanted, status, body));
        assert_eq!(error.kind, RoleErrorKind::Refused, "{error}");
        assert!(error.what.contains(says), "{error}");
    }
}

#[test]
fn keysteads_own_endpoints_are_nobodys_role() {
    let own = |_: &str| Some(("200 OK", "Server: keystead\r\n", String::from("t0ken")));
    let fake = Fake::new(own);
    assert_eq!(none(&ec2().with_metadata(&fake)), NoRole::Ourselves);
    assert_eq!(fake.requests().len(), 1);
    // A container's endpoint is not even asked for credentials, for which it may have to wait.
    let fake = Fake::new(|line| {
        line.starts_with("HEAD")
            .then_some(("404 Not Found", "Server: keystead\r\n", String::new()))
    });
    assert_eq!(none(&container(&fake)), NoRole::Ourselves);
    // An instance has its role all the same.
    let behind = metadata(|_| None);
    let mut look = ec2().with_metadata(&behind);
    look.surroundings.full_uri = Some(fake.url.clone());
    assert_eq!(role(&look).credentials.access_key_id, "ASIA1");
}

#[test]
fn the_role_of_a_container() {
    let fake = Fake::new(|_| Some(("200 OK", "", document())));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let mut look = container(&fake);
    assert_eq!(role(&look).credentials.access_key_id, "ASIA1");
    let last = || fake.requests().pop().unwrap();
    assert!(last().starts_with("GET /v1/credentials?a=b HTTP/1.1\n"));
    assert!(!last().to_ascii_lowercase().contains("authorization"));
    look.surroundings.authorization = Some(Zeroizing::new("from-variable".into()));
    role(&look);
    assert!(last().contains("uthorization: from-variable\n"));
    look.surroundings.authorization_file = Some(file.clone());
    for token in ["first", "second\n"] {
        fs::write(&file, token).unwrap();
        role(&look);
        assert!(last().contains(&format!("uthorization: {}\n", token.trim())));
    }
    for token in ["a\nb", "\u{1b}"] {
        fs::write(&file, token).unwrap();
        assert_eq!(error(&look).kind, RoleErrorKind::Misconfigured);
    }
    fs::remove_file(&file).unwrap();
    assert!(
        error(&look)
            .what
            .contains("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: ")
    );
}

#[test]
fn a_containers_endpoint_need_not_know_head() {
    // It leaves the connection open, and says nothing.
    let fake = Fake::new(|line| {
        let is_get = line.starts_with("GET");
        is_get.then(|| ("200 OK", "", document()))
    });
    assert_eq!(role(&container(&fake)).credentials.access_key_id, "ASIA1");
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn variables_of_a_container_that_lead_nowhere_are_an_error() {
    for uri in [
        "http://10.0.0.1/",
        "http://example.com/",
        "nonsense",
        "ftp://127.0.0.1/",
    ] {
        let look = ec2().look(|s| s.full_uri = Some(uri.into()));
        let error = error(&look);
        assert_eq!(error.kind, RoleErrorKind::Misconfigured);
        assert!(error.what.contains("AWS_CONTAINER_CREDENTIALS_FULL_URI"));
    }
    let refused = Fake::new(|_| Some(("401 No", "", String::new())));
    assert_eq!(error(&container(&refused)).kind, RoleErrorKind::Refused);
    let busy = Fake::new(|_| Some(("500 Busy", "", String::new())));
    assert!(error(&container(&busy)).is_retryable());
    let garbage = Fake::new(|_| Some(("200 OK", "", "<html>".into())));
    assert_eq!(error(&container(&garbage)).kind, RoleErrorKind::Refused);
    // Empty is as good as not set.
    let empty = Machine("laptop").look(|s| s.full_uri = Some(String::new()));
    assert_eq!(none(&empty), NoRole::NotOnAws);
}

struct Other;

impl Source for Other {
    fn open(&mut self) -> Result<Box<dyn Opened>, Failure> {
        Err(Failure {
            kind: FailureKind::Lasting,
            what: "the other source".into(),
            remedy: String::new(),
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        [PathBuf::from("/other")].into()
    }
}

#[test]
fn a_role_that_was_there_is_not_given_up_for_another_identity() {
    let is_off = Arc::new(Mutex::new(false));
    let shared = is_off.clone();
    let fake = metadata(move |line| {
        let is_off = *shared.lock().unwrap();
        (is_off && line.starts_with("PUT")).then_some(("403 Off", "", String::new()))
    });
    let mut source = PreferRole::new(ec2().with_metadata(&fake), Box::new(Other));
    assert_eq!(source.files(), [PathBuf::from("/other")]);
    let mut opened = source.open().unwrap();
    let asked = fake.requests().len();
    let fresh = |opened: &mut dyn Opened| -> Result<Fresh, Failure> { opened.create() };
    assert_eq!(
        fresh(&mut *opened).unwrap().credentials.access_key_id,
        "ASIA1"
    );
    // What was found when it was opened is not asked for again.
    assert_eq!(fake.requests().len(), asked);
    assert!(fresh(&mut *opened).is_ok());
    *is_off.lock().unwrap() = true;
    let gone = fresh(&mut *opened).unwrap_err();
    assert_eq!(gone.kind, FailureKind::Temporary);
    assert!(gone.what.contains("not there any more"), "{gone}");
    // Nor for a file that has changed, or a look at the device.
    let gone = source.open().err().unwrap();
    assert_eq!(gone.kind, FailureKind::Temporary);
    assert!(gone.what.contains("not there any more"), "{gone}");
    // Who asks for a reload gets what there is now, once.
    source.reload();
    assert_eq!(source.open().err().unwrap().what, "the other source");
    assert_eq!(source.open().err().unwrap().kind, FailureKind::Temporary);
}

/// Another identity, which is always to be had.
struct Begins;

impl Opened for Begins {
    fn create(&mut self) -> Result<Fresh, Failure> {
        let fake = Fake::new(|_| Some(("200 OK", "", document())));
        let RoleCredentials {
            credentials, date, ..
        } = role(&container(&fake));
        Ok(Fresh { credentials, date })
    }

    fn certificate_expires(&self) -> Option<UnixTime> {
        None
    }
}

#[test]
fn a_role_is_in_use_until_something_else_has_begun_a_session() {
    let fake = metadata(|_| None);
    let look = ec2().with_metadata(&fake);
    let absent = Machine("laptop").with_metadata(&fake);
    let mut used = UsedRole::default();
    assert!(used.open(&absent).unwrap().is_none());
    assert!(used.open(&look).unwrap().is_some());
    assert!(used.is_used());
    assert_eq!(used.open(&absent).err().unwrap().kind, RoleErrorKind::Gone);
    used.may_be_left();
    assert!(used.open(&absent).unwrap().is_none());
    let mut other = used.unless(Box::new(Begins));
    assert!(used.is_used());
    other.create().unwrap();
    assert!(!used.is_used());
    assert!(used.open(&absent).unwrap().is_none());
}

#[test]
fn what_was_found_at_opening_is_used_at_once_or_not_at_all() {
    let fake = metadata(|_| None);
    let look = ec2().with_metadata(&fake);
    let first = (role(&look), Instant::now() - Duration::from_secs(3));
    let before = fake.requests().len();
    let mut opened = OpenedRole {
        look,
        first: Some(first),
    };
    opened.create().unwrap();
    assert!(fake.requests().len() > before);
}
