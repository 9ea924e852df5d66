//! Which signatures are verified, and by what.

use keystead::core::key::{KeyKind, Scheme};
use keystead::core::x509::PublicKeyInfo;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};

/// Verifies signatures of certificates and servers: in software, or by a secure element that does it faster.
pub trait Signatures {
    /// Whether servers may have RSA keys; AWS's do. It takes a verifier of RSA.
    const RSA: bool;

    /// Whether `signature` is that of `public_key` (DER `SubjectPublicKeyInfo`) over `message` in this scheme. ECDSA
    /// is DER, RSA raw. What is not known is not verified.
    fn verify(&self, public_key: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) -> bool;
}

/// ECDSA with P-256 and SHA-256, by the code that embedded-tls needs anyway. It serves a gateway or a proxy with such
/// a certificate.
#[derive(Debug, Clone, Copy, Default)]
pub struct P256;

impl Signatures for P256 {
    const RSA: bool = false;

    fn verify(&self, public_key: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        let Ok(key) = PublicKeyInfo::from_der(public_key) else {
            return false;
        };
        if scheme != Scheme::EcdsaSha256 || key.kind() != Some(KeyKind::P256) {
            return false;
        }
        match (
            VerifyingKey::from_sec1_bytes(key.key),
            Signature::from_der(signature),
        ) {
            (Ok(key), Ok(signature)) => key.verify(message, &signature).is_ok(),
            _ => false,
        }
    }
}

/// RSA and the NIST curves, by keystead's own verifier for hosts (ring).
#[cfg(feature = "host")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Host;

#[cfg(feature = "host")]
impl Signatures for Host {
    const RSA: bool = true;

    fn verify(&self, public_key: &[u8], scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        keystead::backend::signature::verify(public_key, scheme, message, signature).is_ok()
    }
}
