//! The local HTTP server as other machines see it: over TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use keystead::backend::Identity;
use keystead::ca::{Authority, KeyType, Validity};
use keystead::core::time::Clock as _;
use keystead::host::clock::HostClock;
use keystead::output::http::tls::ServerCertificate;
use keystead::output::http::{
    Body, Handler, Limits, Listener, Outcome, Request, Response, Server, Waker,
};
use rustls::pki_types::CertificateDer;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version,
};
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_secs(86_400);
const LONG: usize = 4 << 20;

/// `/long` is long, everything else says where it was asked.
struct Paths;

impl Handler for Paths {
    fn handle(&mut self, request: &Request<'_>) -> Outcome {
        let text = match request.path {
            "/long" => "x".repeat(LONG),
            path => path.to_owned(),
        };
        let body = Body::Text(Zeroizing::new(text));
        Outcome::Done(Response::new(200, "text/plain", body))
    }
}

struct Running {
    authority: Authority,
    certificate: ServerCertificate,
    address: SocketAddr,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(limits: Limits) -> Self {
        let now = HostClock::new(None).now();
        let validity = Validity::starting(now, 10 * DAY);
        let name = "CN=root".parse().unwrap();
        let mut authority = Authority::new_in_memory(name, KeyType::P256, validity).unwrap();
        let certificate = ServerCertificate::new(identity(&mut authority)).unwrap();
        let listener = Listener::bind_tcp(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = listener.with_tls(certificate.config().unwrap());
        let mut server = Server::new(vec![listener], limits).unwrap();
        Self {
            authority,
            certificate,
            address: server.local_addr(0).unwrap(),
            waker: server.waker(),
            thread: Some(std::thread::spawn(move || {
                server.run(&mut Paths).unwrap();
            })),
        }
    }

    fn client(&self, version: &'static SupportedProtocolVersion) -> Client {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.authority.root().to_vec()))
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "hub.example".try_into().unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        Client(StreamOwned::new(connection, self.socket()))
    }

    fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        socket
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.waker.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// A new key and its certificate for `hub.example`.
fn identity(authority: &mut Authority) -> Identity {
    let validity = Validity::starting(HostClock::new(None).now(), DAY);
    let issued = authority
        .issue_server(
            "CN=server".parse().unwrap(),
            vec!["DNS:hub.example".parse().unwrap()],
            validity,
        )
        .unwrap();
    Identity::new(issued.chain, issued.key.signer().unwrap()).unwrap()
}

struct Client(StreamOwned<ClientConnection, TcpStream>);

impl Client {
    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).unwrap();
    }

    fn get(&mut self, path: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: hub.example\r\n\r\n"));
        self.body()
    }

    fn body(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let (_, length) = head.split_once("\r\nContent-Length: ").unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        String::from_utf8(body).unwrap()
    }

    fn certificate(&self) -> CertificateDer<'static> {
        self.0.conn.peer_certificates().unwrap()[0].clone()
    }
}

#[test]
fn requests_are_served_over_tls_1_2_and_1_3() {
    let server = Running::start(Limits::default());
    for version in [&version::TLS12, &version::TLS13] {
        let mut client = server.client(version);
        assert_eq!(client.get("/a"), "/a");
        client.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!([client.body(), client.body()], ["/b", "/c"]);
        // More than the socket takes at a time.
        assert_eq!(client.get("/long").len(), LONG);
        client.send("GET /d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert_eq!(client.body(), "/d");
        // The end is said, so that a client can tell it from an answer that was cut off.
        assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn a_certificate_is_replaced_without_a_pause() {
    let mut server = Running::start(Limits::default());
    let mut before = server.client(&version::TLS13);
    assert_eq!(before.get("/a"), "/a");
    let renewed = identity(&mut server.authority);
    server.certificate.replace(renewed).unwrap();
    let mut after = server.client(&version::TLS13);
    assert_eq!(after.get("/b"), "/b");
    assert_eq!(before.get("/c"), "/c");
    assert_ne!(before.certificate(), after.certificate());
}

#[test]
fn who_does_not_speak_tls_is_closed() {
    let server = Running::start(Limits {
        request: Duration::from_millis(200),
        ..Limits::default()
    });
    for start in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x16\x03\x01",
        b"",
    ] {
        let mut socket = server.socket();
        socket.write_all(start).unwrap();
        let mut answer = Vec::new();
        match socket.read_to_end(&mut answer) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            // An alert at most.
            Ok(read) => assert!(read <= 7, "{answer:?}"),
        }
    }
}

#[test]
fn a_server_that_is_stopped_says_the_end() {
    let server = Running::start(Limits::default());
    let mut client = server.client(&version::TLS13);
    assert_eq!(client.get("/a"), "/a");
    server.waker.stop();
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
}
