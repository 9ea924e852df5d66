use std::net::TcpStream;
use std::sync::Arc;

use keystead::ca::{Authority, KeyType, Validity, certificate_pem};
use keystead::core::time::Clock as _;
use keystead::host::clock::HostClock;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::{parts, request};
use super::*;

/// Writes `server.pem` and `server.key` for `localhost`, and gives who trusts them.
fn server_certificate(scene: &Scene) -> Arc<ClientConfig> {
    let now = HostClock::new(None).now();
    let validity = Validity::starting(now, core::time::Duration::from_secs(86_400));
    let name = "CN=root".parse().expect("a name");
    let mut authority =
        Authority::new_in_memory(name, KeyType::P256, validity).expect("an authority");
    let subject = "CN=server".parse().expect("a name");
    let names = vec!["dns:localhost".parse().expect("a name")];
    let issued = authority
        .issue_server(subject, names, validity)
        .expect("a certificate");
    let chain = issued
        .chain
        .iter()
        .map(|der| certificate_pem(der).expect("PEM"));
    scene
        .workshop
        .write("server.pem", chain.collect::<String>());
    scene.workshop.write("server.der", issued.key.as_der());
    scene
        .workshop
        .openssl("pkey -inform DER -in server.der -out server.key");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(authority.root().to_vec()))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn other_machines_come_with_tls_and_the_token() {
    let scene = Scene::new();
    let client = server_certificate(&scene);
    let serving = scene.serve(&[
        "--listen=0.0.0.0:0",
        "--allow-remote",
        "--allow-host=localhost",
        "--tls-cert=server.pem",
        "--tls-key=server.key",
    ]);
    let url = serving.container();
    assert!(url.starts_with("https://localhost:"), "{url}");
    let port = parts(url).0.rsplit(':').next().expect("a port");
    let ask = |url: &str, headers: &[(&str, &str)]| {
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(client.clone(), name).expect("a connection");
        let socket = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
        let mut stream = StreamOwned::new(connection, socket);
        std::io::Write::write_all(&mut stream, &request("GET", url, headers)).expect("a reader");
        Answer::read(&mut stream)
    };
    let token = scene.token();
    let with = [("Authorization", token.as_str())];
    assert!(ask(url, &with).json()["Token"].is_string());
    for path in ["/credentials/default", "/healthz", "/metrics"] {
        let url = url.replace("/credentials/default", path);
        assert_eq!(ask(&url, &[]).status, 401, "{path}");
        assert_eq!(ask(&url, &with).status, 200, "{path}");
    }
    assert_eq!(ask(url, &[("Authorization", "wrong")]).status, 403);
    // Without TLS there is no answer.
    let mut plain = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
    std::io::Write::write_all(&mut plain, &request("GET", url, &with)).expect("a reader");
    let mut bytes = vec![];
    let _ = plain.read_to_end(&mut bytes);
    assert!(
        !String::from_utf8_lossy(&bytes).contains("HTTP/1.1"),
        "{bytes:?}"
    );
}
