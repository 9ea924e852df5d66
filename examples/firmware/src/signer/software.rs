//! The private key in flash: anyone who reads the chip has it. It stands in for a secure element.

use keystead::core::ecdsa;
use keystead::core::key::{KeyKind, Scheme, SignError, Signer};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use sha2::{Digest as _, Sha256};

use super::PublicKey;

/// A P-256 key. It is wiped when it is dropped.
pub struct SoftwareKey {
    key: SigningKey,
    public: PublicKey,
}

impl SoftwareKey {
    /// From the private key's 32 bytes; `None` if they are none.
    pub fn new(private_key: &[u8]) -> Option<Self> {
        let key = SigningKey::from_slice(private_key).ok()?;
        let point = key.verifying_key().to_sec1_point(false);
        let public = PublicKey::new(point.as_bytes().get(1..)?.try_into().ok()?);
        Some(Self { key, public })
    }
}

impl Signer for SoftwareKey {
    fn key(&self) -> KeyKind {
        KeyKind::P256
    }

    fn public_key(&self) -> &[u8] {
        &self.public.0
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        if scheme != Scheme::EcdsaSha256 {
            return Err(SignError::UnsupportedScheme);
        }
        // Its nonce comes from key and digest (RFC 6979): no source of randomness is needed.
        let signature: Signature = self
            .key
            .sign_prehash(&Sha256::digest(message))
            .map_err(|_| SignError::Failed)?;
        let (r, s) = signature.split_bytes();
        ecdsa::write(&r, &s, out)
    }
}
