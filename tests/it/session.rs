//! Retries and the clock around `CreateSession`, with a transport that answers by a script; and the
//! host's transport against servers that answer by a script.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use keystead::backend::{BoxedSigner, Identity};
use keystead::core::create_session::CreateSession;
use keystead::core::http::{Answer, Body, Header, Request, TooLong, Transport};
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};
use keystead::core::time::{Clock as _, UnixTime};
use keystead::host::clock::{BUILD_TIME, HostClock};
use keystead::host::session::{
    CreateError, CreateErrorKind, Created, Environment, HostTransport, Retry, create,
};
use keystead::host::transport::{HttpError, HttpTransport, TransportOptions};

const ROLE: &str = "arn:aws:iam::111122223333:role/SensorWriter";

fn request() -> CreateSession<'static> {
    CreateSession {
        host: "localhost",
        region: "eu-west-1",
        trust_anchor_arn: "arn:aws:rolesanywhere:eu-west-1:111122223333:trust-anchor/a",
        profile_arn: "arn:aws:rolesanywhere:eu-west-1:111122223333:profile/p",
        role_arn: ROLE,
        duration_seconds: None,
        role_session_name: None,
        user_agent: "test",
    }
}

/// A P-256 key that signs nothing real: the scripted services do not look.
struct NoKey(Vec<u8>);

impl Signer for NoKey {
    fn key(&self) -> KeyKind {
        KeyKind::P256
    }
    fn public_key(&self) -> &[u8] {
        &self.0
    }
    fn sign(&mut self, _: Scheme, _: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        out[..2].copy_from_slice(b"ok");
        Ok(2)
    }
}

fn identity() -> Identity {
    let certificate = crate::support::certificate::SELF_SIGNED.to_vec();
    let parsed = keystead::core::x509::Certificate::from_der(&certificate).unwrap();
    let key: BoxedSigner = Box::new(NoKey(parsed.public_key.to_vec()));
    Identity::new(vec![certificate.clone()], key).unwrap()
}

fn success(expiration: UnixTime) -> String {
    format!(
        r#"{{"credentialSet":[{{"credentials":{{"accessKeyId":"AK","secretAccessKey":"SK","sessionToken":"ST","expiration":"{expiration}"}},"roleArn":"{ROLE}"}}]}}"#
    )
}

enum Step {
    Fail(HttpError),
    Say(u16, &'static str, String),
}

fn refuse(status: u16, code: &str, message: &str) -> Step {
    let body = format!(r#"{{"__type":"x#{code}","message":"{message}"}}"#);
    Step::Say(status, "", body)
}

/// Answers by a script, with the date that `clock` shows.
struct Script {
    steps: VecDeque<Step>,
    clock: UnixTime,
    verified: bool,
    dates: Vec<String>,
}

impl Transport for Script {
    type Error = HttpError;

    fn exchange(
        &mut self,
        request: &Request<'_>,
        answer: &mut dyn Answer,
    ) -> Result<(), HttpError> {
        let date = request
            .all_headers()
            .find(|header| header.name == "x-amz-date");
        self.dates.push(date.unwrap().value.to_string());
        match self.steps.pop_front().expect("a further attempt was made") {
            Step::Fail(error) => Err(error),
            Step::Say(status, error_type, body) => {
                answer.status(status);
                answer.header("Date", self.clock.http().to_string().as_bytes());
                if !error_type.is_empty() {
                    answer.header("x-amzn-ErrorType", error_type.as_bytes());
                }
                answer.body(body.as_bytes()).unwrap();
                Ok(())
            }
        }
    }
}

impl HostTransport for Script {
    fn verifies_server(&self) -> bool {
        self.verified
    }

    fn limit(&mut self, remaining: Duration) {
        assert!(remaining <= Retry::default().within);
    }
}

fn now() -> UnixTime {
    BUILD_TIME.offset_by(1000)
}

struct Run {
    outcome: Result<Created, CreateError>,
    delays: Vec<Duration>,
    dates: Vec<String>,
    left: usize,
    clock: HostClock,
}

fn run(steps: Vec<Step>, service: UnixTime, verified: bool, correct_clock: bool) -> Run {
    let mut transport = Script {
        steps: steps.into(),
        clock: service,
        verified,
        dates: Vec::new(),
    };
    let clock = HostClock::with_system(now, None);
    let mut delays = Vec::new();
    let outcome = create(
        &request(),
        &mut identity(),
        &mut transport,
        &mut Environment {
            clock: &clock,
            correct_clock,
            retry: Retry::default(),
            sleep: &mut |delay| delays.push(delay),
            watcher: &mut (),
        },
    );
    Run {
        outcome,
        delays,
        dates: transport.dates,
        left: transport.steps.len(),
        clock,
    }
}

#[test]
fn what_is_worth_another_try() {
    let good = || Step::Say(201, "", success(now().offset_by(1800)));
    for passing in [
        refuse(400, "ThrottlingException", "Rate exceeded"),
        refuse(429, "", ""),
        refuse(408, "RequestTimeoutException", ""),
        refuse(500, "InternalFailure", ""),
        refuse(503, "ServiceUnavailableException", ""),
        Step::Say(400, "ThrottlingException:http://internal/", String::new()),
        Step::Say(502, "", "<html>Bad Gateway</html>".into()),
        Step::Fail(HttpError::HostNotFound),
        Step::Fail(HttpError::Timeout("to connect")),
        Step::Fail(HttpError::Connection(
            std::io::ErrorKind::ConnectionReset.into(),
        )),
    ] {
        let run = run(vec![passing, good()], now(), false, false);
        assert_eq!(run.outcome.unwrap().credentials.access_key_id, "AK");
        assert_eq!(run.delays.len(), 1);
    }
    for lasting in [
        refuse(403, "AccessDeniedException", "Certificate revoked"),
        refuse(400, "ValidationException", "durationSeconds"),
        refuse(404, "ResourceNotFoundException", ""),
        Step::Say(201, "", "{}".into()),
        Step::Say(200, "", "<html>captive portal</html>".into()),
        Step::Fail(HttpError::Tls("unknown issuer".into())),
    ] {
        let run = run(vec![lasting, good()], now(), false, false);
        assert!(run.outcome.is_err());
        assert_eq!((run.left, run.delays.len()), (1, 0));
    }
}

#[test]
fn attempts_and_delays_are_bounded() {
    let steps = (0..9).map(|_| refuse(500, "InternalFailure", "")).collect();
    let run = run(steps, now(), false, false);
    assert!(matches!(
        run.outcome.unwrap_err().kind,
        CreateErrorKind::Refused(_)
    ));
    assert_eq!(run.left, 9 - 3);
    assert!(
        run.delays[0] <= Duration::from_millis(250),
        "{:?}",
        run.delays
    );
    assert!(
        run.delays[1] <= Duration::from_millis(500),
        "{:?}",
        run.delays
    );
}

#[test]
fn a_refusal_is_told_in_its_own_words() {
    let run = run(
        vec![refuse(
            403,
            "AccessDeniedException",
            "Certificate \\u001b[31mrevoked",
        )],
        now(),
        false,
        false,
    );
    assert_eq!(
        run.outcome.unwrap_err().to_string(),
        "AccessDeniedException (HTTP 403): Certificate \\u{1b}[31mrevoked"
    );
}

#[test]
fn a_wrong_clock_is_noticed_and_corrected_only_when_asked_and_verified() {
    let late = now().offset_by(7200);
    let steps = || {
        vec![
            refuse(403, "AccessDeniedException", "Invalid signature"),
            Step::Say(201, "", success(late.offset_by(1800))),
        ]
    };
    for (verified, correct_clock) in [(true, false), (false, true), (false, false)] {
        let run = run(steps(), late, verified, correct_clock);
        assert_eq!(run.outcome.unwrap_err().skew, Some(7200));
        assert_eq!(run.clock.now(), now());
    }
    let run = run(steps(), late, true, true);
    let created = run.outcome.unwrap();
    assert_eq!(created.confirmed, Some(late));
    assert_eq!(run.clock.now(), late);
    assert_eq!(run.dates, [now().amz().to_string(), late.amz().to_string()]);
    assert!(run.delays.is_empty());
}

#[test]
fn a_service_that_takes_our_time_and_says_another_confirms_none() {
    let late = now().offset_by(7200);
    let steps = || vec![Step::Say(201, "", success(late.offset_by(1800)))];
    let created = run(steps(), late, true, true).outcome.unwrap();
    assert_eq!(created.confirmed, None);
    let created = run(steps(), now(), true, true).outcome.unwrap();
    assert_eq!(created.confirmed, Some(now()));
}

#[test]
fn a_clock_that_cannot_be_is_not_taken_over() {
    let steps = vec![refuse(403, "AccessDeniedException", "Invalid signature")];
    let run = run(steps, UnixTime::MAX, true, true);
    assert!(run.outcome.is_err());
    assert_eq!(run.clock.now(), now());
}

/// Accepts one connection, reads the head of a request, says `answer`. Gives the head back.
fn serve_once(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head = read_head(&mut stream);
        stream.write_all(answer.as_bytes()).unwrap();
        head
    });
    (base, server)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[derive(Default)]
struct Kept {
    status: u16,
    body: Vec<u8>,
}

impl Answer for Kept {
    fn status(&mut self, status: u16) {
        self.status = status;
    }
    fn header(&mut self, _: &str, _: &[u8]) {}
    fn body(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if self.body.len() + piece.len() > 1000 {
            return Err(TooLong);
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }
}

fn transport(base: &str, options: &TransportOptions) -> HttpTransport {
    HttpTransport::new(base, options, Arc::new(HostClock::new(None))).unwrap()
}

fn get(base: &str, options: &TransportOptions, headers: &[Header<'_>]) -> Result<Kept, HttpError> {
    let mut kept = Kept::default();
    let request = Request {
        method: "POST",
        target: "/x",
        headers: &[headers],
        body: Body::Bytes(b"body"),
    };
    transport(base, options).exchange(&request, &mut kept)?;
    Ok(kept)
}

#[test]
fn a_head_of_70_kilobytes_goes_out_whole_and_nothing_is_added_to_it() {
    let (base, server) = serve_once("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    let host = base.trim_start_matches("http://").to_owned();
    let chain = "A".repeat(70_000);
    let headers = [
        Header {
            name: "host",
            value: &host,
        },
        Header {
            name: "x-amz-x509-chain",
            value: &chain,
        },
    ];
    let kept = get(&base, &TransportOptions::default(), &headers).unwrap();
    assert_eq!((kept.status, kept.body.as_slice()), (403, &b"no"[..]));
    let head = server.join().unwrap();
    let mut lines: Vec<&str> = head.trim_end().split("\r\n").collect();
    let sent_chain = lines.pop().unwrap().strip_prefix("x-amz-x509-chain: ");
    assert!(sent_chain == Some(&chain), "the chain arrived changed");
    let host = format!("host: {host}");
    assert_eq!(lines, ["POST /x HTTP/1.1", "content-length: 4", &host]);
}

#[test]
fn answers_that_the_transport_refuses() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n";
    let long: &'static str = format!("{head}{}", "x".repeat(5000)).leak();
    type Check = fn(&HttpError) -> bool;
    let cases: [(&str, Check); 3] = [
        (long, |error| matches!(error, HttpError::TooLong)),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", |error| {
            matches!(error, HttpError::NotHttp(_))
        }),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", |error| {
            matches!(error, HttpError::Connection(_) | HttpError::NotHttp(_))
        }),
    ];
    for (answer, is_expected) in cases {
        let (base, server) = serve_once(answer);
        let error = get(&base, &TransportOptions::default(), &[]).map(|kept| kept.status);
        let error = error.unwrap_err();
        assert!(is_expected(&error), "{answer:.40}: {error:?}");
        server.join().unwrap();
    }
}

#[test]
fn redirects_are_not_followed() {
    let (base, server) =
        serve_once("HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        get(&base, &TransportOptions::default(), &[])
            .unwrap()
            .status,
        307
    );
    server.join().unwrap();
}

#[test]
fn a_server_that_says_nothing_costs_the_timeout_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let options = TransportOptions {
        timeout: Duration::from_millis(100),
        ..TransportOptions::default()
    };
    let error = get(&base, &options, &[])
        .map(|kept| kept.status)
        .unwrap_err();
    assert!(
        matches!(error, HttpError::Timeout("to answer")),
        "{error:?}"
    );
}

#[test]
fn all_attempts_together_take_no_longer_than_they_may() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut transport = transport(&base, &TransportOptions::default());
    let started = Instant::now();
    let outcome = create(
        &request(),
        &mut identity(),
        &mut transport,
        &mut Environment {
            clock: &HostClock::new(None),
            correct_clock: false,
            retry: Retry {
                within: Duration::from_millis(200),
                ..Retry::default()
            },
            sleep: &mut std::thread::sleep,
            watcher: &mut (),
        },
    );
    let error = outcome.map(|created| created.confirmed).unwrap_err();
    assert!(
        matches!(
            error.kind,
            CreateErrorKind::Transport(HttpError::Timeout(_))
        ),
        "{error:?}"
    );
    // The transport alone would wait for half a minute.
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[test]
fn a_proxy_is_used_when_named_and_only_then() {
    let (proxy, server) = serve_once("HTTP/1.1 200 Connected\r\n\r\n");
    let options = TransportOptions {
        proxy: Some(proxy),
        ..TransportOptions::default()
    };
    // The scripted proxy hangs up after its answer: what counts is what it was asked for.
    let _ = get("http://service.invalid:8080", &options, &[]);
    assert!(
        server
            .join()
            .unwrap()
            .starts_with("CONNECT service.invalid:8080 HTTP/1.1\r\n")
    );
    let bad = TransportOptions {
        proxy: Some("http://user:secret@ /".into()),
        ..TransportOptions::default()
    };
    let error = HttpTransport::new("http://h", &bad, Arc::new(HostClock::new(None))).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn a_port_where_nobody_listens_is_a_connection_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = get(&base, &TransportOptions::default(), &[])
        .map(|kept| kept.status)
        .unwrap_err();
    assert!(matches!(error, HttpError::Connection(_)), "{error:?}");
}
