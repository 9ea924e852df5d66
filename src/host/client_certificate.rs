//! Client certificates for `rustls`: a TLS client that authenticates itself with a key that never leaves
//! its token.
//!
//! [`ClientCertificate`] joins what keystead opens (a certificate chain and a signer, wherever its
//! private key is) to what `rustls` asks for. The chain is sent as it is sent to IAM Roles Anywhere: leaf
//! first, without the root.
//!
//! ```no_run
//! use std::io::{Read as _, Write as _};
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use keystead::backend::file::{self, FileIdentity};
//! use keystead::tls::ClientCertificate;
//! use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let files = FileIdentity {
//!     certificate: Path::new("hub.pem"),
//!     private_key: Some(Path::new("hub.key")),
//!     intermediates: None,
//! };
//! let (identity, _warnings) = file::open(&files, &mut || Ok(None))?;
//!
//! let mut roots = RootCertStore::empty();
//! for root in file::read_certificates(Path::new("broker-ca.pem"))? {
//!     roots.add(root.into())?;
//! }
//! let provider = Arc::new(rustls::crypto::ring::default_provider());
//! let config = ClientConfig::builder_with_provider(provider)
//!     .with_safe_default_protocol_versions()?
//!     .with_root_certificates(roots)
//!     .with_client_cert_resolver(Arc::new(ClientCertificate::new(identity)?));
//!
//! let connection = ClientConnection::new(Arc::new(config), "broker.example".try_into()?)?;
//! let socket = std::net::TcpStream::connect("broker.example:8883")?;
//! let mut stream = StreamOwned::new(connection, socket);
//! stream.write_all(b"hello")?;
//! # Ok(())
//! # }
//! ```

use core::fmt;
use std::boxed::Box;
use std::sync::{Arc, Mutex};
use std::vec;
use std::vec::Vec;

pub use rustls;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};

use crate::backend::{BoxedSigner, Identity};
use crate::core::key::{KeyKind, Scheme, SignError, Signer as _};

/// The client certificate of an [`Identity`], to be given to
/// `rustls::ClientConfig::builder()…with_client_cert_resolver`.
///
/// It is sent to every server that asks for one, whichever authorities the server names. A server
/// that takes none of the schemes of this kind of key gets no certificate, and says so itself.
///
/// A token signs one message at a time: handshakes wait for each other, and block their thread while
/// it signs. When the signer fails, so does the handshake, with a `rustls::Error::Other` that holds the
/// [`SignError`] and says what the device said.
pub struct ClientCertificate(Arc<CertifiedKey>);

impl ClientCertificate {
    /// Takes the identity's chain and its signer.
    ///
    /// # Errors
    /// [`UnsupportedKey`] if TLS has no use for this kind of key: ML-DSA, for which servers and their
    /// authorities are still to come.
    pub fn new(identity: Identity) -> Result<Self, UnsupportedKey> {
        let kind = identity.key();
        let schemes = schemes(kind);
        if schemes.is_empty() {
            return Err(UnsupportedKey(kind));
        }
        let (chain, signer) = identity.into_parts();
        let key = Key {
            kind,
            schemes,
            public_key: signer.public_key().to_vec().into(),
            signer: Arc::new(Mutex::new(signer)),
        };
        let chain = chain.into_iter().map(CertificateDer::from).collect();
        Ok(Self(Arc::new(CertifiedKey::new(chain, Arc::new(key)))))
    }

    /// The same, for whatever else `rustls` takes it for.
    #[cfg(feature = "http-server")]
    pub(crate) fn into_certified_key(self) -> Arc<CertifiedKey> {
        self.0
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate")
            .field(&self.0.key)
            .finish()
    }
}

impl ResolvesClientCert for ClientCertificate {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _offered: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// A kind of key that TLS has no use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsupportedKey(pub KeyKind);

impl fmt::Display for UnsupportedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} keys cannot be used for TLS yet; take an RSA or EC key",
            self.0
        )
    }
}

impl core::error::Error for UnsupportedKey {}

/// A scheme by its two names.
type Named = (SignatureScheme, Scheme);

/// What a kind of key signs with in TLS, the best first. SHA-256 comes before the longer hashes: every
/// token has it, and nothing is gained by more with RSA. In TLS 1.3 a curve has one hash (RFC 8446
/// section 4.2.3), and PKCS#1 is not for handshakes: `rustls` offers it for TLS 1.2 alone.
fn schemes(kind: KeyKind) -> &'static [Named] {
    match kind {
        KeyKind::Rsa { .. } => &[
            (SignatureScheme::RSA_PSS_SHA256, Scheme::RsaPssSha256),
            (SignatureScheme::RSA_PSS_SHA384, Scheme::RsaPssSha384),
            (SignatureScheme::RSA_PSS_SHA512, Scheme::RsaPssSha512),
            (SignatureScheme::RSA_PKCS1_SHA256, Scheme::RsaPkcs1Sha256),
            (SignatureScheme::RSA_PKCS1_SHA384, Scheme::RsaPkcs1Sha384),
            (SignatureScheme::RSA_PKCS1_SHA512, Scheme::RsaPkcs1Sha512),
        ],
        KeyKind::P256 => &[(SignatureScheme::ECDSA_NISTP256_SHA256, Scheme::EcdsaSha256)],
        KeyKind::P384 => &[(SignatureScheme::ECDSA_NISTP384_SHA384, Scheme::EcdsaSha384)],
        KeyKind::P521 => &[(SignatureScheme::ECDSA_NISTP521_SHA512, Scheme::EcdsaSha512)],
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => &[],
    }
}

struct Key {
    kind: KeyKind,
    schemes: &'static [Named],
    public_key: SubjectPublicKeyInfoDer<'static>,
    signer: Arc<Mutex<BoxedSigner>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        let chosen = self.schemes.iter().find(|(name, _)| offered.contains(name));
        chosen.map(|&(name, scheme)| {
            Box::new(OneSignature {
                kind: self.kind,
                name,
                scheme,
                signer: self.signer.clone(),
            }) as Box<dyn rustls::sign::Signer>
        })
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public_key.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.kind {
            KeyKind::Rsa { .. } => SignatureAlgorithm::RSA,
            _ => SignatureAlgorithm::ECDSA,
        }
    }
}

/// The signature of one handshake.
struct OneSignature {
    kind: KeyKind,
    name: SignatureScheme,
    scheme: Scheme,
    signer: Arc<Mutex<BoxedSigner>>,
}

impl fmt::Debug for OneSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl rustls::sign::Signer for OneSignature {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut signature = vec![0; self.kind.max_signature_len()];
        // Who panicked while he signed may have left half a conversation with the device behind: the
        // next answer could be to his question.
        let signed = self.signer.lock().map_err(|_| SignError::Failed);
        let signed = signed
            .and_then(|mut signer| signer.sign(self.scheme, message, &mut signature))
            .map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))?;
        signature.truncate(signed);
        Ok(signature)
    }

    fn scheme(&self) -> SignatureScheme {
        self.name
    }
}
