//! Over TLS: whom a client trusts, whose clock it learns from, and through which proxy it goes.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use keystead::core::time::{Clock as _, UnixTime};
use keystead::host::endpoint::Endpoint;
use keystead::host::s3::{
    Attributes, Body, Bucket, Checksum, Client, FaultKind, ObjectStore as _, Place, S3Clock,
};
use keystead::host::session::Credentials;
use keystead::host::tls::Trust;
use keystead::host::transport::TransportOptions;
use keystead::sandbox::{Config, Fault, ScheduledFault, Service};
use serde_json::Value;

use super::support::{clock, put};
use crate::support::hub::{Hub, command_of};
use crate::support::program::run;

/// A sandbox over HTTPS, and a hub's session in it.
struct Scene {
    hub: Hub,
    session: Credentials,
}

impl Scene {
    fn new() -> Self {
        let hub = Hub::with(|root, _| Config::ready_made(root, None).expect("policies"));
        hub.workshop
            .write("sandbox.pem", hub.sandbox.ca_pem().expect("HTTPS"));
        let more = ["--ca-bundle=sandbox.pem"];
        let scene = (&hub.workshop, &hub.sandbox);
        let ran = run(&mut command_of(scene, "credential-process", &more));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let document: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let text = |name: &str| document[name].as_str().expect("a text").to_owned();
        let session = Credentials {
            access_key_id: text("AccessKeyId"),
            secret_access_key: text("SecretAccessKey").into(),
            session_token: text("SessionToken").into(),
            expiration: UnixTime::MAX,
            role_arn: String::new(),
        };
        Self { hub, session }
    }

    fn options(&self) -> TransportOptions {
        TransportOptions {
            trust: Trust::Bundle(self.hub.workshop.path("sandbox.pem")),
            ..TransportOptions::default()
        }
    }

    fn client_with(&self, options: &TransportOptions, clock: Arc<S3Clock>) -> Client {
        let place = Place {
            region: self.hub.sandbox.config().account.region.clone(),
            endpoint: Some(Endpoint::custom(&self.hub.sandbox.url()).unwrap()),
            ..Place::default()
        };
        let bucket = Bucket::new("sensor-logs", &place).unwrap();
        Client::new(bucket, options, clock).unwrap()
    }

    fn client(&self, options: &TransportOptions) -> Client {
        self.client_with(options, clock())
    }
}

#[test]
fn objects_go_over_tls() {
    let scene = Scene::new();
    let mut client = scene.client(&scene.options());
    for content in [&b""[..], b"{}", &vec![5; 3 << 20], b"again"] {
        let stored = put(&mut client, &scene.session, "sensors/a", content).unwrap();
        assert!(stored.date.is_some());
        assert!(stored.checksum.is_some());
    }
    // One connection for all of it, and the question before the large one was answered.
    struct Untouched;
    impl Read for Untouched {
        fn read(&mut self, _out: &mut [u8]) -> io::Result<usize> {
            panic!("the body is not wanted")
        }
    }
    let body = Body {
        reader: &mut Untouched,
        length: 1 << 30,
        sha256: None,
        checksum: Checksum::Crc64Nvme(1),
    };
    let attributes = Attributes::default();
    let refused = client.put(&scene.session, "elsewhere/a", &attributes, body);
    assert_eq!(refused.unwrap_err().kind, FaultKind::Refused);
}

#[test]
fn nobody_else_is_trusted() {
    let scene = Scene::new();
    let root = TransportOptions {
        trust: Trust::Bundle(scene.hub.workshop.path("root.pem")),
        ..TransportOptions::default()
    };
    let error = put(&mut scene.client(&root), &scene.session, "sensors/a", b"").unwrap_err();
    assert_eq!(error.kind, FaultKind::Network);
    assert!(error.what.contains("TLS"), "{error:?}");
    let none = TransportOptions {
        trust: Trust::Bundle(scene.hub.workshop.path("none.pem")),
        ..TransportOptions::default()
    };
    let error = put(&mut scene.client(&none), &scene.session, "sensors/a", b"").unwrap_err();
    assert!(error.what.contains("none.pem"), "{error:?}");
}

#[test]
fn a_wrong_clock_costs_one_attempt() {
    let scene = Scene::new();
    let skew = ScheduledFault {
        service: Some(Service::S3),
        ..Fault::Skew(1200).always()
    };
    scene.hub.sandbox.config().faults.add(skew);
    let clock = clock();
    let mut client = scene.client_with(&scene.options(), clock.clone());
    let error = put(&mut client, &scene.session, "sensors/a", b"").unwrap_err();
    assert_eq!(error.kind, FaultKind::Clock);
    let date = error.date.unwrap();
    put(&mut client, &scene.session, "sensors/a", b"").unwrap();
    assert!(clock.offset().abs_diff(1200) < 60, "{}", clock.offset());
    assert!(date.since(clock.host().now()) > 1100);
    // Who is trusted without a proof is not believed.
    let anyone = TransportOptions {
        trust: Trust::Anyone,
        ..TransportOptions::default()
    };
    let mut client = scene.client(&anyone);
    for _ in 0..2 {
        let error = put(&mut client, &scene.session, "sensors/a", b"").unwrap_err();
        assert_eq!((error.kind, error.date), (FaultKind::Clock, None));
    }
}

/// Takes one tunnel, or refuses it; gives what it was asked.
fn proxy(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        (&stream).write_all(answer.as_bytes()).unwrap();
        if answer.starts_with("HTTP/1.1 2") {
            let target = head.split(' ').nth(1).unwrap();
            let target = TcpStream::connect(target).unwrap();
            let (mut from, mut to) = (target.try_clone().unwrap(), stream.try_clone().unwrap());
            let back = std::thread::spawn(move || io::copy(&mut from, &mut to));
            let _ = io::copy(&mut reader, &mut &target);
            let _ = target.shutdown(std::net::Shutdown::Both);
            let _ = back.join();
        }
        head
    });
    (format!("http://user:p%40ss@{address}"), thread)
}

#[test]
fn a_proxy_is_asked_for_a_tunnel() {
    let scene = Scene::new();
    let (url, asked) = proxy("HTTP/1.1 200 Connected\r\nX: y\r\n\r\n");
    let options = TransportOptions {
        proxy: Some(url),
        ..scene.options()
    };
    let mut client = scene.client(&options);
    put(&mut client, &scene.session, "sensors/a", b"{}").unwrap();
    put(&mut client, &scene.session, "sensors/a", &vec![1; 2 << 20]).unwrap();
    drop(client);
    let asked = asked.join().unwrap();
    let authority = &Endpoint::custom(&scene.hub.sandbox.url())
        .unwrap()
        .authority;
    assert!(asked.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")));
    // user:p@ss
    assert!(
        asked.contains("\r\nproxy-authorization: Basic dXNlcjpwQHNz\r\n"),
        "{asked}"
    );

    for (answer, says) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "status 407",
        ),
        ("SSH-2.0-x\r\n\r\n", "not HTTP"),
    ] {
        let (url, asked) = proxy(answer);
        let options = TransportOptions {
            proxy: Some(url),
            ..scene.options()
        };
        let mut client = scene.client(&options);
        let error = put(&mut client, &scene.session, "sensors/a", b"").unwrap_err();
        assert_eq!(error.kind, FaultKind::Network);
        assert!(
            error.what.contains(says) && !error.what.contains("p@ss"),
            "{error:?}"
        );
        asked.join().unwrap();
    }
}

#[test]
fn who_cannot_be_reached() {
    let place = |url: &str| Place {
        region: "us-east-1".into(),
        endpoint: Some(Endpoint::custom(url).unwrap()),
        ..Place::default()
    };
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    for (url, says) in [
        (format!("http://{address}"), "refused"),
        ("https://nowhere.invalid".into(), "no address"),
    ] {
        let bucket = Bucket::new("logs", &place(&url)).unwrap();
        let mut client = super::support::client(bucket, &TransportOptions::default());
        let error = put(&mut client, &super::support::anybody(), "a", b"").unwrap_err();
        assert_eq!(error.kind, FaultKind::Network);
        assert!(error.what.contains(says), "{error:?}");
    }
}
