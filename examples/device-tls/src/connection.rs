//! A connection to a server that has proven who it is.

use core::fmt;

use embedded_io::{Read, Write};
use embedded_tls::blocking::{
    Aes128GcmSha256, CryptoProvider, TlsConfig, TlsConnection, TlsContext, TlsVerifier,
};
use embedded_tls::{CryptoRngCore, TlsError};

use crate::path::Refused;
use crate::record::Checked;
use crate::signature::Signatures;
use crate::verifier::Verifier;

/// An open connection, itself an `embedded_io` stream.
pub type Connection<'b, T> = TlsConnection<'b, Checked<T>, Aes128GcmSha256>;

/// Memory of the caller's for a connection.
pub struct Records<'b> {
    /// For what the server sends. A record can have 16,640 bytes, and servers' certificates come as one; where the
    /// server is known to send less, less will do.
    pub read: &'b mut [u8],
    /// For what is sent; 1 KiB is enough. Larger records are fewer.
    pub write: &'b mut [u8],
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server is not to be trusted.
    Refused(Refused),
    /// The handshake failed: the stream, or what came over it.
    Tls(TlsError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => reason.fmt(f),
            Self::Tls(error) => write!(f, "the TLS handshake failed: {error}"),
        }
    }
}

impl core::error::Error for ConnectError {}

/// Opens a TLS 1.3 connection over `stream` to the server that `verifier` is for.
///
/// # Errors
/// [`ConnectError::Refused`] if it is not that server; nothing but the handshake was sent to it then.
pub fn connect<'b, T, S, R>(
    stream: T,
    records: Records<'b>,
    verifier: Verifier<'_, S>,
    rng: R,
) -> Result<Connection<'b, T>, ConnectError>
where
    T: Read + Write + 'b,
    S: Signatures,
    R: CryptoRngCore,
{
    let mut config = TlsConfig::new();
    if let Some(name) = verifier.rules().name.indication() {
        config = config.with_server_name(name);
    }
    if S::RSA {
        config = config.enable_rsa_signatures();
    }
    let mut provider = Provider { rng, verifier };
    let mut connection = Connection::new(Checked::new(stream), records.read, records.write);
    match connection.open(TlsContext::new(&config, &mut provider)) {
        Err(error) => Err(provider
            .verifier
            .refused()
            .map_or(ConnectError::Tls(error), ConnectError::Refused)),
        Ok(()) => {
            provider.verifier.outcome().map_err(ConnectError::Refused)?;
            Ok(connection)
        }
    }
}

struct Provider<'a, S, R> {
    rng: R,
    verifier: Verifier<'a, S>,
}

impl<S: Signatures, R: CryptoRngCore> CryptoProvider for Provider<'_, S, R> {
    type CipherSuite = Aes128GcmSha256;
    type Signature = &'static [u8];

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Self::CipherSuite>, TlsError> {
        Ok(&mut self.verifier)
    }
}
