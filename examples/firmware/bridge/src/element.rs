//! Plays the secure element of `examples/firmware/src/signer/element.rs`.

use std::io::{self, Read, Write};

use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use pkcs8::SecretDocument;

/// A P-256 private key.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// From PKCS#8 in PEM; `None` if it is no P-256 key.
    pub fn from_pem(pem: &str) -> Option<Self> {
        let (_, document) = SecretDocument::from_pem(pem).ok()?;
        let key = SigningKey::from_pkcs8_der(document.as_bytes()).ok()?;
        Some(Self(key))
    }

    /// Its 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes().into()
    }

    /// Answers commands until the other end is gone: `P` with the public key, `S` and a digest with a signature.
    ///
    /// # Errors
    /// The line's.
    pub fn serve(&self, mut line: impl Read + Write) -> io::Result<()> {
        let mut command = [0];
        while line.read(&mut command)? == 1 {
            match command {
                [b'P'] => {
                    let point = self.0.verifying_key().to_sec1_point(false);
                    line.write_all(&point.as_bytes()[1..])?;
                }
                [b'S'] => {
                    let mut digest = [0; 32];
                    line.read_exact(&mut digest)?;
                    let signature: Signature =
                        self.0.sign_prehash(&digest).map_err(io::Error::other)?;
                    line.write_all(&signature.to_bytes())?;
                }
                _ => return Err(io::Error::other("an unknown command")),
            }
        }
        Ok(())
    }
}
