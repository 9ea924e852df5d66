//! AWS Signature Version 4, in both forms: [`hmac`] (a secret key, for S3 and STS) and [`x509`] (the
//! private key of a certificate, for IAM Roles Anywhere).
//!
//! Nothing is collected: the [canonical request](CanonicalRequest) goes into the hash as it is
//! formed. The string to sign has a small fixed size.

mod canonical;
mod encode;
pub mod hmac;
pub mod x509;

use core::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

pub use canonical::{CanonicalRequest, PathRule, Payload};
pub use encode::Encoded;

use super::http::{Body, Headers};
use super::text::Hex;
use super::time::UnixTime;

/// What a signature is good for: a day, a region, a service.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// When the request is signed; the scope holds its day.
    pub time: UnixTime,
    /// The region: `eu-west-1`.
    pub region: &'a str,
    /// The service's signing name: `rolesanywhere`, `s3`, `sts`.
    pub service: &'a str,
}

/// `20261122/eu-west-1/s3/aws4_request`
impl fmt::Display for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.time.amz_day();
        write!(f, "{day}/{}/{}/aws4_request", self.region, self.service)
    }
}

/// The string to sign: algorithm, time, scope, and the hash of the canonical request.
#[derive(Clone)]
pub struct StringToSign {
    text: [u8; Self::MAX_LEN],
    len: usize,
}

impl StringToSign {
    /// Room for a region and a service of 88 bytes together, with the longest name of an algorithm.
    pub const MAX_LEN: usize = 216;

    /// Forms the string to sign for a canonical request with the given SHA-256 hash.
    ///
    /// # Errors
    /// [`ScopeTooLong`] if region or service are far longer than any in use.
    pub fn new(algorithm: &str, scope: &Scope<'_>, hash: &[u8; 32]) -> Result<Self, ScopeTooLong> {
        let mut this = Self::empty();
        this.form(algorithm, scope, hash)?;
        Ok(this)
    }

    /// Nothing yet.
    pub(crate) const fn empty() -> Self {
        Self {
            text: [0; Self::MAX_LEN],
            len: 0,
        }
    }

    /// Forms it where it is: on a device, one that is moved is there twice.
    pub(crate) fn form(
        &mut self,
        algorithm: &str,
        scope: &Scope<'_>,
        hash: &[u8; 32],
    ) -> Result<(), ScopeTooLong> {
        let time = scope.time.amz();
        self.len = 0;
        write!(self, "{algorithm}\n{time}\n{scope}\n{}", Hex(hash)).map_err(|_| ScopeTooLong)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only whole strings were written.
        core::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for StringToSign {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text[self.len..].get_mut(..text.len());
        room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

impl fmt::Debug for StringToSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StringToSign").field(&self.as_str()).finish()
    }
}

/// Region and service do not fit into [`StringToSign::MAX_LEN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScopeTooLong;

impl fmt::Display for ScopeTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the region or the service name is too long to sign for")
    }
}

impl core::error::Error for ScopeTooLong {}

/// The value of an `Authorization` header.
#[derive(Clone, Copy)]
pub struct Authorization<'a> {
    /// `AWS4-HMAC-SHA256`, `AWS4-X509-ECDSA-SHA256`…
    pub algorithm: &'a str,
    /// The access key, or the certificate's serial number in decimal.
    pub credential: &'a dyn fmt::Display,
    /// The scope.
    pub scope: &'a Scope<'a>,
    /// The headers that are signed.
    pub headers: Headers<'a>,
    /// The signature.
    pub signature: &'a [u8],
}

impl fmt::Display for Authorization<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} Credential={}/{}, SignedHeaders={}, Signature={}",
            self.algorithm,
            self.credential,
            self.scope,
            canonical::SignedHeaders(self.headers),
            Hex(self.signature)
        )
    }
}

/// SHA-256 of whatever is written.
#[derive(Default)]
pub(crate) struct HashWriter(Sha256);

impl HashWriter {
    pub(crate) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl fmt::Write for HashWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The SHA-256 hash of a body.
///
/// # Errors
/// Only those of the body's own `Display`.
pub fn hash_body(body: &Body<'_>) -> Result<[u8; 32], fmt::Error> {
    let mut hash = HashWriter::default();
    match body {
        Body::Bytes(bytes) => hash.0.update(bytes),
        Body::Text(text) => write!(hash, "{text}")?,
    }
    Ok(hash.finish())
}
