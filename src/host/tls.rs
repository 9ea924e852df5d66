//! TLS 1.2 and 1.3 for the HTTPS transport: roots are loaded when the first connection needs them.

use core::time::Duration;
use std::boxed::Box;
use std::format;
use std::io::Read as _;
use std::path::PathBuf;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use super::clock::HostClock;
use super::roots;
use crate::core::time::Clock as _;

/// Whom to trust at the other end of a TLS connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Trust {
    /// The roots of the operating system.
    #[default]
    System,
    /// The certificates of a PEM file, and no others.
    Bundle(PathBuf),
    /// Anyone. Never without a warning to the user.
    Anyone,
}

/// Makes TLS connections for `ureq`, once TCP (and a proxy) are connected.
pub(super) struct TlsConnector {
    trust: Trust,
    clock: Arc<HostClock>,
}

impl TlsConnector {
    pub(super) fn new(trust: Trust, clock: Arc<HostClock>) -> Self {
        Self { trust, clock }
    }

    /// Made for each connection: a daemon has one in half an hour, keeps no roots in memory between them, and
    /// sees that a bundle was renewed.
    fn config(&self) -> Result<Arc<ClientConfig>, ureq::Error> {
        let config = client_config(&self.trust, self.clock.clone()).map_err(other)?;
        Ok(Arc::new(config))
    }
}

impl core::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("TlsConnector").field(&self.trust).finish()
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host)
            .map_err(|_| ureq::Error::BadUri(format!("{host} is not a host name")))?
            .to_owned();
        let mut connection = ClientConnection::new(self.config()?, name).map_err(other)?;
        let mut socket = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        let stream = StreamOwned::new(connection, socket);
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

/// A connection under TLS.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter<Box<dyn Transport>>>,
}

impl core::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        std::io::Write::write_all(&mut self.stream, output)?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let input = self.buffers.input_append_buf();
        let amount = self.stream.read(input)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

/// What is wrong with our side of TLS: the bundle, or the system's roots.
#[derive(Debug)]
pub(super) struct TlsError(String);

impl core::fmt::Display for TlsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for TlsError {}

fn other(error: impl core::error::Error + Send + Sync + 'static) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// How TLS connections are made.
///
/// # Errors
/// [`TlsError`] if the roots cannot be read.
pub(super) fn client_config(
    trust: &Trust,
    clock: Arc<HostClock>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(At(clock)))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| TlsError(format!("TLS cannot be set up: {error}")))?;
    let builder = match trust {
        Trust::System => builder.with_root_certificates(roots::system().map_err(TlsError)?),
        Trust::Bundle(path) => {
            builder.with_root_certificates(roots::bundle(path).map_err(TlsError)?)
        }
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(NoVerifier(provider))),
    };
    let mut config = builder.with_no_client_auth();
    // Connections are an hour apart: a ticket would be memory for nothing.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// The time of the host's clock with its floor, so that a hub that wakes up in 1970 can still check
/// the server's certificate.
#[derive(Debug)]
struct At(Arc<HostClock>);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let now = self.0.now().as_secs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(now)))
    }
}

/// Accepts every server; the signatures of the handshake are still checked.
#[derive(Debug)]
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
