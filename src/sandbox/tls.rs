//! The sandbox's own TLS: an authority that lives as long as the sandbox does.

use core::net::SocketAddr;
use core::time::Duration;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec;
use std::vec::Vec;

use base64ct::LineEnding;
use der::pem;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::StartError;
use crate::ca::{AlternativeName, Authority, KeyType, Validity};
use crate::core::time::UnixTime;

/// How long the authority and its certificate are valid.
const LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// What a server needs, and what its clients have to trust.
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    /// The authority's certificate, PEM.
    pub(super) ca_pem: String,
}

impl Tls {
    /// A new authority, and a certificate of it for `address` and `localhost`. Clients judge it by
    /// the system's clock, so the sandbox's does not count here.
    pub(super) fn new(address: SocketAddr, now: UnixTime) -> Result<Self, StartError> {
        let failed = |error: &dyn core::fmt::Display| StartError::Tls(error.to_string());
        let subject = |text: &str| text.parse().map_err(|error| failed(&error));
        let validity = Validity::starting(now, LIFETIME);
        let root = subject("CN=keystead sandbox")?;
        let mut authority = Authority::new_in_memory(root, KeyType::P256, validity)
            .map_err(|error| failed(&error))?;
        let names = vec![
            AlternativeName::ip(address.ip()),
            AlternativeName::dns("localhost").map_err(|error| failed(&error))?,
        ];
        let issued = authority
            .issue_server(subject("CN=localhost")?, names, validity)
            .map_err(|error| failed(&error))?;
        let chain: Vec<CertificateDer<'_>> = issued.chain.into_iter().map(Into::into).collect();
        let key = PrivatePkcs8KeyDer::from(issued.key.as_der().to_vec());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_single_cert(chain, key.into())
            .map_err(|error| failed(&error))?;
        let ca_pem = pem::encode_string("CERTIFICATE", LineEnding::LF, authority.root())
            .map_err(|error| failed(&error))?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            ca_pem,
        })
    }
}
