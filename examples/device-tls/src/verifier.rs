//! The verifier that embedded-tls asks about a server.

use digest::Digest as _;
use embedded_tls::blocking::{
    CertificateEntryRef, CertificateRef, CertificateVerifyRef, TlsCipherSuite, TlsVerifier,
};
use embedded_tls::{SignatureScheme, TlsError};
use keystead::core::key::{KeyKind, Scheme};
use keystead::core::x509::key_kind;

use crate::path::{Refused, Rules};
use crate::signature::Signatures;

/// Room for the server's key: RSA with 4096 bits as `SubjectPublicKeyInfo`.
const MAX_KEY: usize = 550;

/// SHA-384's, the longest hash of a cipher suite.
const MAX_HASH: usize = 48;

/// What is signed before the hash (RFC 8446 section 4.4.3).
const CONTEXT: &[u8] = b"TLS 1.3, server CertificateVerify\0";
const PADDING: usize = 64;

/// Judges one server, once. [`connect`](crate::connect) asks it at the end whether the server has proven who it is.
#[derive(Debug)]
pub struct Verifier<'a, S> {
    rules: Rules<'a>,
    signatures: S,
    state: State,
    key: [u8; MAX_KEY],
    key_len: usize,
    /// The hash of the handshake up to the certificate.
    hash: [u8; MAX_HASH],
    hash_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was seen.
    Begun,
    /// The certificates are in order; whose they are is open.
    Certified,
    /// The server has the key of its certificate.
    Proven,
    Refused(Refused),
}

impl<'a, S: Signatures> Verifier<'a, S> {
    /// A verifier for one connection.
    pub fn new(rules: Rules<'a>, signatures: S) -> Self {
        Self {
            rules,
            signatures,
            state: State::Begun,
            key: [0; MAX_KEY],
            key_len: 0,
            hash: [0; MAX_HASH],
            hash_len: 0,
        }
    }

    /// What it judges by.
    pub fn rules(&self) -> &Rules<'a> {
        &self.rules
    }

    /// Whether the server is the one that was meant. To be asked after every handshake that embedded-tls calls
    /// a success: it takes one without a certificate, or without the proof of its key, for one too.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn outcome(&self) -> Result<(), Refused> {
        match self.state {
            State::Proven => Ok(()),
            State::Refused(reason) => Err(reason),
            State::Begun | State::Certified => Err(Refused::NotProven),
        }
    }

    /// Why the server was refused, if it was.
    pub fn refused(&self) -> Option<Refused> {
        match self.state {
            State::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    fn certificates(&mut self, hash: &[u8], message: &CertificateRef<'_>) -> Result<(), Refused> {
        if self.state != State::Begun {
            return Err(Refused::NotProven);
        }
        let certificates = message.entries.iter().map_while(|entry| match entry {
            CertificateEntryRef::X509(der) => Some(*der),
            CertificateEntryRef::RawPublicKey(_) => None,
        });
        let leaf = self.rules.check(certificates, &self.signatures)?;
        self.key_len = keep(&mut self.key, leaf.public_key)?;
        self.hash_len = keep(&mut self.hash, hash)?;
        Ok(())
    }

    fn proof(&self, proof: &CertificateVerifyRef<'_>) -> Result<(), Refused> {
        if self.state != State::Certified {
            return Err(Refused::NotProven);
        }
        let key = &self.key[..self.key_len];
        let scheme = key_kind(key)
            .and_then(|kind| scheme(proof.signature_scheme, kind))
            .ok_or(Refused::Signature)?;
        let mut message = [b' '; PADDING + CONTEXT.len() + MAX_HASH];
        let end = PADDING + CONTEXT.len() + self.hash_len;
        message[PADDING..PADDING + CONTEXT.len()].copy_from_slice(CONTEXT);
        message[PADDING + CONTEXT.len()..end].copy_from_slice(&self.hash[..self.hash_len]);
        let signature = proof.signature;
        if self
            .signatures
            .verify(key, scheme, &message[..end], signature)
        {
            Ok(())
        } else {
            Err(Refused::Signature)
        }
    }

    /// Goes on to `next`, or stays with the refusal.
    fn conclude(&mut self, outcome: Result<(), Refused>, next: State) -> Result<(), TlsError> {
        match outcome {
            Ok(()) => {
                self.state = next;
                Ok(())
            }
            Err(reason) => {
                self.state = State::Refused(reason);
                Err(TlsError::InvalidCertificate)
            }
        }
    }
}

impl<C: TlsCipherSuite, S: Signatures> TlsVerifier<C> for Verifier<'_, S> {
    /// The name is known already; another one in the configuration is a mistake.
    fn set_hostname_verification(&mut self, name: &str) -> Result<(), TlsError> {
        let same = self.rules.name.indication() == Some(name);
        let outcome = if same {
            Ok(())
        } else {
            Err(Refused::OtherName)
        };
        self.conclude(outcome, self.state)
    }

    fn verify_certificate(
        &mut self,
        transcript: &C::Hash,
        certificates: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        let hash = transcript.clone().finalize();
        let outcome = self.certificates(&hash, &certificates);
        self.conclude(outcome, State::Certified)
    }

    fn verify_signature(&mut self, proof: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        let outcome = self.proof(&proof);
        self.conclude(outcome, State::Proven)
    }
}

/// Copies `bytes` to the start of `room`; gives how many they are.
fn keep(room: &mut [u8], bytes: &[u8]) -> Result<usize, Refused> {
    let place = room.get_mut(..bytes.len()).ok_or(Refused::KeyTooLong)?;
    place.copy_from_slice(bytes);
    Ok(bytes.len())
}

/// In TLS 1.3 a scheme of ECDSA says the curve too, and RSA signs in PSS alone (RFC 8446 section 4.2.3).
fn scheme(scheme: SignatureScheme, key: KeyKind) -> Option<Scheme> {
    match (scheme, key) {
        (SignatureScheme::EcdsaSecp256r1Sha256, KeyKind::P256) => Some(Scheme::EcdsaSha256),
        (SignatureScheme::EcdsaSecp384r1Sha384, KeyKind::P384) => Some(Scheme::EcdsaSha384),
        (SignatureScheme::RsaPssRsaeSha256, KeyKind::Rsa { .. }) => Some(Scheme::RsaPssSha256),
        (SignatureScheme::RsaPssRsaeSha384, KeyKind::Rsa { .. }) => Some(Scheme::RsaPssSha384),
        (SignatureScheme::RsaPssRsaeSha512, KeyKind::Rsa { .. }) => Some(Scheme::RsaPssSha512),
        _ => None,
    }
}
