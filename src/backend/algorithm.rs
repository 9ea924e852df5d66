//! Which algorithm a certificate, CRL or CSR says it is signed with.

use core::fmt;

use der::asn1::ContextSpecific;
use der::oid::ObjectIdentifier;
use der::{Decode, Reader, SliceReader, TagNumber};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::core::key::{KeyKind, Scheme};
use crate::core::x509::{AlgorithmIdentifier, oid};

/// A hash that is strong enough: Roles Anywhere takes SHA-256 and stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The length of its digest in bytes.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Hashes `message`.
    pub fn digest(self, message: &[u8]) -> Digest {
        let mut bytes = [0; 64];
        let (digest, _) = bytes.split_at_mut(self.digest_len());
        match self {
            Self::Sha256 => digest.copy_from_slice(&Sha256::digest(message)),
            Self::Sha384 => digest.copy_from_slice(&Sha384::digest(message)),
            Self::Sha512 => digest.copy_from_slice(&Sha512::digest(message)),
        }
        Digest {
            bytes,
            len: self.digest_len(),
        }
    }

    fn from_oid(oid: ObjectIdentifier) -> Result<Self, AlgorithmError> {
        match oid {
            SHA256 => Ok(Self::Sha256),
            SHA384 => Ok(Self::Sha384),
            SHA512 => Ok(Self::Sha512),
            SHA1 => Err(AlgorithmError::WeakHash("SHA-1")),
            SHA224 => Err(AlgorithmError::WeakHash("SHA-224")),
            other => Err(AlgorithmError::Unknown(other)),
        }
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

/// The digest of a message.
#[derive(Debug, Clone, Copy)]
pub struct Digest {
    bytes: [u8; 64],
    len: usize,
}

impl core::ops::Deref for Digest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A signature algorithm, with all that its verifier must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5.
    RsaPkcs1(Hash),
    /// RSASSA-PSS, MGF1 with the same hash, a salt as long as the hash.
    RsaPss(Hash),
    /// ECDSA, DER.
    Ecdsa(Hash),
    /// Pure ML-DSA with an empty context. From a [`Scheme`] the parameter set is unknown: the key's.
    MlDsa(Option<KeyKind>),
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "RSA with {hash}"),
            Self::RsaPss(hash) => write!(f, "RSA-PSS with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::MlDsa(Some(set)) => set.fmt(f),
            Self::MlDsa(None) => f.write_str("ML-DSA"),
        }
    }
}

impl SignatureAlgorithm {
    /// Reads what an `AlgorithmIdentifier` says (RFC 8017 appendix A, RFC 5758, RFC 9881).
    ///
    /// # Errors
    /// [`AlgorithmError::WeakHash`] names a hash below SHA-256.
    pub fn from_identifier(identifier: &AlgorithmIdentifier<'_>) -> Result<Self, AlgorithmError> {
        let algorithm = match identifier.oid {
            RSA_SHA256 => Self::RsaPkcs1(Hash::Sha256),
            RSA_SHA384 => Self::RsaPkcs1(Hash::Sha384),
            RSA_SHA512 => Self::RsaPkcs1(Hash::Sha512),
            RSASSA_PSS => return pss(identifier.parameters),
            ECDSA_SHA256 => Self::Ecdsa(Hash::Sha256),
            ECDSA_SHA384 => Self::Ecdsa(Hash::Sha384),
            ECDSA_SHA512 => Self::Ecdsa(Hash::Sha512),
            oid::ML_DSA_44 => Self::MlDsa(Some(KeyKind::MlDsa44)),
            oid::ML_DSA_65 => Self::MlDsa(Some(KeyKind::MlDsa65)),
            oid::ML_DSA_87 => Self::MlDsa(Some(KeyKind::MlDsa87)),
            RSA_MD2 => return Err(AlgorithmError::WeakHash("MD2")),
            RSA_MD5 => return Err(AlgorithmError::WeakHash("MD5")),
            RSA_SHA1 | RSA_SHA1_OIW | ECDSA_SHA1 => {
                return Err(AlgorithmError::WeakHash("SHA-1"));
            }
            RSA_SHA224 | ECDSA_SHA224 => return Err(AlgorithmError::WeakHash("SHA-224")),
            other => return Err(AlgorithmError::Unknown(other)),
        };
        // Absent for all but PKCS#1, where it is NULL; both forms are met for both.
        match identifier.parameters {
            [] | NULL => Ok(algorithm),
            _ => Err(AlgorithmError::Parameters),
        }
    }
}

impl From<Scheme> for SignatureAlgorithm {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::RsaPkcs1Sha256 => Self::RsaPkcs1(Hash::Sha256),
            Scheme::RsaPkcs1Sha384 => Self::RsaPkcs1(Hash::Sha384),
            Scheme::RsaPkcs1Sha512 => Self::RsaPkcs1(Hash::Sha512),
            Scheme::RsaPssSha256 => Self::RsaPss(Hash::Sha256),
            Scheme::RsaPssSha384 => Self::RsaPss(Hash::Sha384),
            Scheme::RsaPssSha512 => Self::RsaPss(Hash::Sha512),
            Scheme::EcdsaSha256 => Self::Ecdsa(Hash::Sha256),
            Scheme::EcdsaSha384 => Self::Ecdsa(Hash::Sha384),
            Scheme::EcdsaSha512 => Self::Ecdsa(Hash::Sha512),
            Scheme::MlDsa => Self::MlDsa(None),
        }
    }
}

/// Why an `AlgorithmIdentifier` names no algorithm that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlgorithmError {
    /// A hash below SHA-256, by name.
    WeakHash(&'static str),
    /// An algorithm that keystead does not know.
    Unknown(ObjectIdentifier),
    /// An RSASSA-PSS salt of this many bytes: no library that keystead uses verifies salts that are not
    /// as long as the hash. `openssl` makes the longest that fits unless it is told otherwise.
    SaltLength(u16),
    /// Parameters that do not fit the algorithm, or an unusual mix of RSASSA-PSS parameters.
    Parameters,
}

impl fmt::Display for AlgorithmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WeakHash(hash) => write!(f, "it is signed with {hash}, which is too weak"),
            Self::Unknown(oid) => write!(f, "its signature algorithm {oid} is not supported"),
            Self::SaltLength(len) => write!(
                f,
                "its RSASSA-PSS salt has {len} bytes, and only salts as long as the hash can be verified (openssl: -sigopt rsa_pss_saltlen:digest)"
            ),
            Self::Parameters => f.write_str("the parameters of its signature algorithm are wrong"),
        }
    }
}

impl core::error::Error for AlgorithmError {}

/// RSASSA-PSS as an algorithm, and as the algorithm of a key that does nothing else (RFC 8017).
pub const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

const NULL: &[u8] = &[5, 0];
const RSA_MD2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.2");
const RSA_MD5: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4");
const RSA_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
const RSA_SHA1_OIW: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.29");
const RSA_SHA224: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.14");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const ECDSA_SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");
const ECDSA_SHA224: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.1");
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA224: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// `RSASSA-PSS-params` (RFC 8017 appendix A.2.3). What is absent there is SHA-1 or belongs to it.
fn pss(parameters: &[u8]) -> Result<SignatureAlgorithm, AlgorithmError> {
    struct Fields<'a> {
        hash: Option<AlgorithmIdentifier<'a>>,
        mgf: Option<AlgorithmIdentifier<'a>>,
        salt_len: Option<u16>,
        trailer: Option<u8>,
    }
    fn fields(parameters: &[u8]) -> der::Result<Fields<'_>> {
        let mut outer = SliceReader::new(parameters)?;
        let fields = outer.sequence(|reader| {
            let value = |field: Option<ContextSpecific<_>>| field.map(|field| field.value);
            Ok::<_, der::Error>(Fields {
                hash: value(ContextSpecific::decode_explicit(reader, TagNumber(0))?),
                mgf: value(ContextSpecific::decode_explicit(reader, TagNumber(1))?),
                salt_len: ContextSpecific::decode_explicit(reader, TagNumber(2))?
                    .map(|field| field.value),
                trailer: ContextSpecific::decode_explicit(reader, TagNumber(3))?
                    .map(|field| field.value),
            })
        })?;
        outer.finish()?;
        Ok(fields)
    }

    let fields = fields(parameters).map_err(|_| AlgorithmError::Parameters)?;
    let hash = Hash::from_oid(fields.hash.map_or(SHA1, |algorithm| algorithm.oid))?;
    let mgf = fields.mgf.ok_or(AlgorithmError::WeakHash("SHA-1"))?;
    let mgf_hash =
        AlgorithmIdentifier::from_der(mgf.parameters).map_err(|_| AlgorithmError::Parameters)?;
    if mgf.oid != MGF1
        || Hash::from_oid(mgf_hash.oid)? != hash
        || fields.trailer.is_some_and(|trailer| trailer != 1)
    {
        return Err(AlgorithmError::Parameters);
    }
    let salt_len = fields.salt_len.unwrap_or(20);
    if usize::from(salt_len) == hash.digest_len() {
        Ok(SignatureAlgorithm::RsaPss(hash))
    } else {
        Err(AlgorithmError::SaltLength(salt_len))
    }
}
