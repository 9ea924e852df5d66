//! TLS for listeners that other machines reach.

use core::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::vec;

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::backend::Identity;
use crate::host::client_certificate::{ClientCertificate, UnsupportedKey};

/// A server's certificate and key, which can be replaced while it serves.
#[derive(Clone)]
pub struct ServerCertificate(Arc<Current>);

struct Current(RwLock<Arc<CertifiedKey>>);

impl ServerCertificate {
    /// Takes a certificate with its chain and key, as [`backend::file::open`](crate::backend::file::open)
    /// reads them.
    ///
    /// # Errors
    /// [`UnsupportedKey`] if TLS has no use for this kind of key.
    pub fn new(identity: Identity) -> Result<Self, UnsupportedKey> {
        let key = ClientCertificate::new(identity)?.into_certified_key();
        Ok(Self(Arc::new(Current(RwLock::new(key)))))
    }

    /// Presents another one from the next connection on.
    ///
    /// # Errors
    /// [`UnsupportedKey`], with which the old one stays.
    pub fn replace(&self, identity: Identity) -> Result<(), UnsupportedKey> {
        let key = ClientCertificate::new(identity)?.into_certified_key();
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// What a listener needs: TLS 1.2 and 1.3 with this certificate. No client is asked for one.
    ///
    /// # Errors
    /// What `rustls` says of its own provider.
    pub fn config(&self) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_no_client_auth()
            .with_cert_resolver(self.0.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients come every quarter of an hour: no memory is kept for resuming their sessions.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for ServerCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(
            self.0
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCertificate").finish_non_exhaustive()
    }
}
