//! Whom the HTTPS transport trusts: TLS servers with certificates of every sort.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use keystead::ca::{Authority, KeyType, Validity, certificate_pem};
use keystead::core::http::{Answer, Body, Request, TooLong, Transport as _};
use keystead::core::time::{Clock as _, UnixTime};
use keystead::host::clock::HostClock;
use keystead::host::tls::Trust;
use keystead::host::transport::{HttpError, HttpTransport, TransportOptions};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};

const DAY: Duration = Duration::from_secs(86_400);

fn now() -> UnixTime {
    HostClock::new(None).now()
}

fn authority(name: &str) -> Authority {
    let validity = Validity::starting(now(), 10 * DAY);
    Authority::new_in_memory(name.parse().unwrap(), KeyType::P256, validity).unwrap()
}

fn bundle(folder: &Path, name: &str, authority: &Authority) -> Trust {
    let path = folder.join(name);
    std::fs::write(&path, certificate_pem(authority.root()).unwrap()).unwrap();
    Trust::Bundle(path)
}

/// A server for one connection, with a certificate for `name`.
fn serve(
    authority: &mut Authority,
    name: &str,
    validity: Validity,
    versions: &[&'static SupportedProtocolVersion],
) -> (u16, JoinHandle<std::io::Result<()>>) {
    let names = vec![name.parse().unwrap()];
    let issued = authority
        .issue_server("CN=server".parse().unwrap(), names, validity)
        .unwrap();
    let chain = issued.chain.into_iter().map(CertificateDer::from).collect();
    let key = PrivatePkcs8KeyDer::from(issued.key.as_der().to_vec());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (socket, _) = listener.accept()?;
        let connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(connection, socket);
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    });
    (port, server)
}

#[derive(Default)]
struct Status(u16);

impl Answer for Status {
    fn status(&mut self, status: u16) {
        self.0 = status;
    }
    fn header(&mut self, _: &str, _: &[u8]) {}
    fn body(&mut self, _: &[u8]) -> Result<(), TooLong> {
        Ok(())
    }
}

fn get(port: u16, trust: Trust) -> Result<u16, HttpError> {
    let options = TransportOptions {
        trust,
        ..TransportOptions::default()
    };
    let base = format!("https://localhost:{port}");
    let clock = Arc::new(HostClock::new(None));
    let mut transport = HttpTransport::new(base, &options, clock)?;
    let request = Request {
        method: "GET",
        target: "/",
        headers: &[],
        body: Body::Bytes(b""),
    };
    let mut status = Status::default();
    transport.exchange(&request, &mut status)?;
    Ok(status.0)
}

#[test]
fn a_bundle_is_trusted_in_tls_1_2_and_1_3() {
    let folder = tempfile::tempdir().unwrap();
    let mut authority = authority("CN=root");
    for version in [&version::TLS12, &version::TLS13] {
        let validity = Validity::starting(now(), DAY);
        let (port, server) = serve(&mut authority, "dns:localhost", validity, &[version]);
        assert_eq!(
            get(port, bundle(folder.path(), "ca.pem", &authority)).unwrap(),
            200
        );
        server.join().unwrap().unwrap();
    }
}

#[test]
fn what_is_not_trusted_is_refused_for_good_and_sent_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut one = authority("CN=one");
    let other = authority("CN=other");
    let valid = Validity::starting(now(), DAY);
    let past = Validity {
        not_before: now().offset_by(-2000),
        not_after: now().offset_by(-1000),
    };
    let own = bundle(folder.path(), "one.pem", &one);
    for (name, validity, trust, why) in [
        (
            "dns:localhost",
            valid,
            bundle(folder.path(), "other.pem", &other),
            "UnknownIssuer",
        ),
        ("dns:localhost", valid, Trust::System, "UnknownIssuer"),
        ("dns:elsewhere", valid, own.clone(), "not valid for name"),
        ("dns:localhost", past, own, "expired"),
    ] {
        let (port, server) = serve(&mut one, name, validity, rustls::ALL_VERSIONS);
        let error = get(port, trust).unwrap_err();
        assert!(matches!(error, HttpError::Tls(_)), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        assert!(!keystead::core::http::TransportError::is_retryable(&error));
        assert!(
            server.join().unwrap().is_err(),
            "{why}: a request got through"
        );
    }
}

#[test]
fn anyone_is_trusted_only_when_that_is_asked_for_and_it_shows() {
    let mut authority = authority("CN=root");
    let validity = Validity::starting(now(), DAY);
    let (port, server) = serve(
        &mut authority,
        "dns:elsewhere",
        validity,
        rustls::ALL_VERSIONS,
    );
    assert_eq!(get(port, Trust::Anyone).unwrap(), 200);
    server.join().unwrap().unwrap();
    for (base, trust, verifies) in [
        ("https://localhost", Trust::System, true),
        ("https://localhost", Trust::Anyone, false),
        ("http://localhost", Trust::System, false),
    ] {
        let options = TransportOptions {
            trust,
            ..TransportOptions::default()
        };
        let clock = Arc::new(HostClock::new(None));
        let transport = HttpTransport::new(base, &options, clock).unwrap();
        assert_eq!(transport.verifies_server(), verifies);
    }
}

#[test]
fn a_bundle_that_is_none_is_named_and_only_when_https_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let trust = || Trust::Bundle(path.clone());
    for (contents, why) in [
        (None, "No such file"),
        (Some(""), "no certificate"),
        (
            Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "certificate 1",
        ),
    ] {
        if let Some(contents) = contents {
            std::fs::write(&path, contents).unwrap();
        }
        let error = get(port, trust()).unwrap_err().to_string();
        assert!(error.contains("ca.pem") && error.contains(why), "{error}");
    }
    let error = get(port, Trust::Bundle(folder.path().into())).unwrap_err();
    assert!(error.to_string().contains("directory"), "{error}");

    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        // Connections that ended before their first byte were the ones above.
        let mut first = [0; 1];
        while socket.read(&mut first).unwrap_or(0) == 0 {
            socket = listener.accept().unwrap().0;
        }
        socket
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
    });
    let options = TransportOptions {
        trust: trust(),
        ..TransportOptions::default()
    };
    let clock = Arc::new(HostClock::new(None));
    let base = format!("http://127.0.0.1:{port}");
    let mut transport = HttpTransport::new(base, &options, clock).unwrap();
    let request = Request {
        method: "GET",
        target: "/",
        headers: &[],
        body: Body::Bytes(b""),
    };
    transport
        .exchange(&request, &mut Status::default())
        .unwrap();
    server.join().unwrap();
}
