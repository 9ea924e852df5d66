//! Servers, and the authorities that their certificates are from.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use keystead::ca::{AlternativeName, Authority, KeyType, PrivateKey, Template, Usage, Validity};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, Stream, SupportedProtocolVersion};

use crate::client::{GREETING, now};

pub const HOST: &str = "hub.example";
pub const DAY: Duration = Duration::from_secs(86_400);

pub fn root(name: &str) -> Authority {
    let validity = Validity::starting(now(), 10 * DAY);
    let subject = name.parse().unwrap();
    Authority::new_in_memory(subject, KeyType::P256, validity).unwrap()
}

/// A server's certificate, or one that only says so, for the server's name.
pub fn template(usage: Usage, name: &str, validity: Validity) -> Template {
    let mut template = Template::new(usage, "CN=server".parse().unwrap(), validity);
    template.alternative_names = vec![AlternativeName::dns(name).unwrap()];
    template
}

pub fn valid() -> Validity {
    Validity::starting(now(), DAY)
}

/// What a server shows, and the key that it signs with.
pub struct Credential {
    pub chain: Vec<Vec<u8>>,
    pub key: PrivateKey,
}

impl Credential {
    /// One that is in order but for what `template` says.
    pub fn issued(authority: &mut Authority, template: &Template, key_type: KeyType) -> Self {
        let issued = authority.issue(template, key_type).unwrap();
        Self {
            chain: issued.chain,
            key: issued.key,
        }
    }

    pub fn of(authority: &mut Authority, name: &str) -> Self {
        Self::issued(
            authority,
            &template(Usage::Server, name, valid()),
            KeyType::P256,
        )
    }
}

/// A server that answers every connection with the greeting once it was asked something. It ends when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(credential: &Credential) -> Self {
        Self::speaking(credential, &rustls::version::TLS13)
    }

    pub fn speaking(credential: &Credential, version: &'static SupportedProtocolVersion) -> Self {
        Self::with(credential, version, Vec::new())
    }

    /// One behind whose greeting `injected` comes, which is not from the server.
    pub fn with(
        credential: &Credential,
        version: &'static SupportedProtocolVersion,
        injected: Vec<u8>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(credential.key.as_der().to_vec());
        let key = provider.key_provider.load_private_key(key.into()).unwrap();
        let chain = credential.chain.iter().cloned().map(CertificateDer::from);
        // rustls would compare them in `with_single_cert`.
        let shown = Shown(Arc::new(CertifiedKey::new(chain.collect(), key)));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown));
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            // One connection: each test asks once.
            let (mut socket, _) = listener.accept().unwrap();
            let mut connection = ServerConnection::new(config).unwrap();
            let mut stream = Stream::new(&mut connection, &mut socket);
            let mut question = [0; 100];
            // A client that refuses hangs up, and hears nothing more.
            if stream.read(&mut question).is_ok_and(|length| length > 0) {
                stream.write_all(GREETING).unwrap();
                stream.flush().unwrap();
                // As anybody could on the way, who has none of the keys.
                socket.write_all(&injected).unwrap();
            }
        });
        Self {
            address,
            thread: Some(thread),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}
