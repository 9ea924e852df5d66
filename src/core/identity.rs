//! A certificate chain and the key that belongs to it.

use core::fmt;

use super::key::{KeyKind, Signer};
use super::x509::{Certificate, CertificateError};

/// Certificates, leaf first, each DER.
pub trait CertificateChain {
    /// The certificate at `index`: 0 is the leaf. `None` past the last one.
    fn certificate(&self, index: usize) -> Option<&[u8]>;
}

impl<T: AsRef<[u8]>> CertificateChain for [T] {
    fn certificate(&self, index: usize) -> Option<&[u8]> {
        self.get(index).map(AsRef::as_ref)
    }
}

impl<C: CertificateChain + ?Sized> CertificateChain for &C {
    fn certificate(&self, index: usize) -> Option<&[u8]> {
        (**self).certificate(index)
    }
}

#[cfg(feature = "std")]
impl<T: AsRef<[u8]>> CertificateChain for std::vec::Vec<T> {
    fn certificate(&self, index: usize) -> Option<&[u8]> {
        self.as_slice().certificate(index)
    }
}

/// A certificate chain and the signer that holds the leaf's private key; that they match is proven
/// by [`Identity::new`].
#[derive(Debug)]
pub struct Identity<C, S> {
    chain: C,
    signer: S,
    key: KeyKind,
}

impl<C: CertificateChain, S: Signer> Identity<C, S> {
    /// Joins a chain and a signer.
    ///
    /// # Errors
    /// [`IdentityError`] if the leaf cannot be read or its public key is not the signer's.
    pub fn new(chain: C, signer: S) -> Result<Self, IdentityError> {
        let leaf = chain.certificate(0).ok_or(IdentityError::NoCertificate)?;
        let leaf = Certificate::from_der(leaf).map_err(IdentityError::Certificate)?;
        if !same_key(leaf.public_key, signer.public_key()) {
            return Err(IdentityError::KeyMismatch);
        }
        let key = signer.key();
        Ok(Self { chain, signer, key })
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &C {
        &self.chain
    }

    /// The leaf, DER.
    pub fn leaf(&self) -> &[u8] {
        // `new` found it.
        self.chain.certificate(0).unwrap_or_default()
    }

    /// The kind of the key.
    pub fn key(&self) -> KeyKind {
        self.key
    }

    /// The certificates to send beside the leaf.
    pub fn intermediates(&self) -> Intermediates<'_> {
        Intermediates::of(&self.chain)
    }

    /// The chain and the signer, to use at the same time.
    pub fn parts(&mut self) -> (&C, &mut S) {
        (&self.chain, &mut self.signer)
    }

    /// Takes the identity apart.
    pub fn into_parts(self) -> (C, S) {
        (self.chain, self.signer)
    }
}

/// Whether two `SubjectPublicKeyInfo` hold the same key: the same algorithm, curve and key bits.
/// How RSA's absent parameters are encoded (`NULL` or nothing) does not matter.
pub fn same_key(one: &[u8], other: &[u8]) -> bool {
    use super::x509::{PublicKeyInfo, oid};
    let (Ok(one), Ok(other)) = (PublicKeyInfo::from_der(one), PublicKeyInfo::from_der(other))
    else {
        return false;
    };
    one.algorithm.oid == other.algorithm.oid
        && (one.algorithm.oid != oid::EC || one.algorithm.parameters == other.algorithm.parameters)
        && one.key == other.key
}

/// The certificates of a chain without its leaf.
#[derive(Clone, Copy)]
pub struct Intermediates<'a>(&'a dyn CertificateChain);

impl<'a> Intermediates<'a> {
    /// The certificates of `chain` after its first.
    pub fn of(chain: &'a dyn CertificateChain) -> Self {
        Self(chain)
    }

    /// The certificates, from the leaf's issuer upwards, DER.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        (1..).map_while(move |index| self.0.certificate(index))
    }
}

/// Why a chain and a signer make no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityError {
    /// The chain is empty.
    NoCertificate,
    /// The leaf cannot be read.
    Certificate(CertificateError),
    /// The certificate is for another key.
    KeyMismatch,
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate"),
            Self::Certificate(error) => error.fmt(f),
            Self::KeyMismatch => f.write_str("the private key is not the certificate's"),
        }
    }
}

impl core::error::Error for IdentityError {}
