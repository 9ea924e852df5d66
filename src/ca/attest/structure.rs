//! What a TPM writes (TPM 2.0 Part 2), read: public areas, statements, signatures. Everything is
//! big-endian, lists and texts have their length before them, and bytes after the end are an error.

use std::vec::Vec;

use super::AttestError;
use crate::backend::algorithm::Hash;
use crate::backend::public_key;
use crate::backend::signature::{VerifyError, verify};
use crate::core::ecdsa;
use crate::core::key::Scheme;
use crate::core::x509::oid;

/// Algorithms (Part 2, section 6.3).
mod algorithm {
    pub const RSA: u16 = 0x0001;
    pub const AES: u16 = 0x0006;
    pub const SHA256: u16 = 0x000b;
    pub const SHA384: u16 = 0x000c;
    pub const SHA512: u16 = 0x000d;
    pub const NULL: u16 = 0x0010;
    pub const RSASSA: u16 = 0x0014;
    pub const RSAES: u16 = 0x0015;
    pub const RSAPSS: u16 = 0x0016;
    pub const ECDSA: u16 = 0x0018;
    pub const ECDAA: u16 = 0x001a;
    pub const ECC: u16 = 0x0023;
    pub const CFB: u16 = 0x0043;
}

/// TPM_GENERATED_VALUE (Part 2, section 6.2): what is signed by a restricted key and begins with it, the
/// TPM itself wrote.
const GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_CERTIFY (Part 2, section 6.9).
const CERTIFY: u16 = 0x8017;

/// The exponent that a TPM means by 0 (Part 2, section 12.2.3.5).
const DEFAULT_EXPONENT: u32 = 65537;

/// TPMA_OBJECT (Part 2, section 8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes(pub u32);

impl Attributes {
    pub const FIXED_TPM: u32 = 1 << 1;
    pub const FIXED_PARENT: u32 = 1 << 4;
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub const RESTRICTED: u32 = 1 << 16;
    pub const DECRYPT: u32 = 1 << 17;
    pub const SIGN: u32 = 1 << 18;

    pub fn has(self, attribute: u32) -> bool {
        self.0 & attribute != 0
    }
}

/// A public area, TPMT_PUBLIC (Part 2, section 12.2.4).
#[derive(Debug, Clone)]
pub struct PublicArea {
    /// The hash of its name.
    pub name_hash: Hash,
    /// What the key is for.
    pub attributes: Attributes,
    /// The bits of the AES key (in CFB) that protects what is encrypted to it; `None` if it is no
    /// storage key, or has another cipher.
    pub aes_bits: Option<u16>,
    /// How it signs, if that is fixed.
    pub scheme: Option<(u16, Hash)>,
    /// The key.
    pub key: Key,
    /// Its name (Part 1, section 16): the hash algorithm, then the hash of the whole.
    pub name: Vec<u8>,
    /// The public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

/// The number of a key.
#[derive(Debug, Clone)]
pub enum Key {
    Rsa,
    /// A point, uncompressed (SEC 1, section 2.3.3).
    Ecc(Curve, Vec<u8>),
}

/// A curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// The bytes of a coordinate.
    pub fn len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl PublicArea {
    /// Reads one.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader(bytes);
        let kind = reader.u16()?;
        let name_algorithm = reader.u16()?;
        let name_hash = hash(name_algorithm)?;
        let attributes = Attributes(reader.u32()?);
        let _policy = reader.sized()?;
        let aes_bits = match reader.u16()? {
            algorithm::NULL => None,
            cipher => {
                let (bits, mode) = (reader.u16()?, reader.u16()?);
                (cipher == algorithm::AES && mode == algorithm::CFB).then_some(bits)
            }
        };
        let scheme = reader.scheme()?;
        let (key, public_key) = match kind {
            algorithm::RSA => {
                let bits = reader.u16()?;
                let exponent = match reader.u32()? {
                    0 => DEFAULT_EXPONENT,
                    other => other,
                };
                let modulus = reader.sized()?;
                if modulus.len() * 8 != usize::from(bits) {
                    return Err(Unreadable("the modulus is not as long as it says"));
                }
                (Key::Rsa, public_key::rsa(modulus, &exponent.to_be_bytes()))
            }
            algorithm::ECC => {
                // TPM_ECC_CURVE (Part 2, section 6.4).
                let (curve, oid) = match reader.u16()? {
                    3 => (Curve::P256, oid::P256),
                    4 => (Curve::P384, oid::P384),
                    5 => (Curve::P521, oid::P521),
                    _ => return Err(Unreadable("it is on a curve that is not known here")),
                };
                if reader.u16()? != algorithm::NULL {
                    let _kdf_hash = reader.u16()?;
                }
                let mut point = Vec::from([4]);
                for _ in 0..2 {
                    let number = reader.sized()?;
                    // A TPM may leave leading zeros out.
                    let missing = curve
                        .len()
                        .checked_sub(number.len())
                        .ok_or(Unreadable("a coordinate is too long"))?;
                    point.extend(core::iter::repeat_n(0, missing));
                    point.extend(number);
                }
                let public_key = public_key::ec(oid, &point);
                (Key::Ecc(curve, point), public_key)
            }
            _ => return Err(Unreadable("it is of no RSA or elliptic curve key")),
        };
        reader.finish()?;
        let mut name = name_algorithm.to_be_bytes().to_vec();
        name.extend_from_slice(&name_hash.digest(bytes));
        Ok(Self {
            name_hash,
            attributes,
            aes_bits,
            scheme,
            key,
            name,
            public_key: public_key.ok_or(Unreadable("its key is of no use"))?,
        })
    }
}

/// What a statement (TPMS_ATTEST, Part 2, section 10.12.12) says about the key that it certifies.
#[derive(Debug)]
pub struct Certified<'a> {
    /// What the certifier was given (`extraData`).
    pub nonce: &'a [u8],
    /// The key's name.
    pub name: &'a [u8],
}

impl<'a> Certified<'a> {
    /// Reads a statement.
    ///
    /// # Errors
    /// Also if it is none of the TPM's own, or certifies no key.
    pub fn read(bytes: &'a [u8]) -> Result<Self, AttestError> {
        let wrong = |Unreadable(reason)| AttestError::Malformed {
            what: "statement",
            reason,
        };
        let mut reader = Reader(bytes);
        if reader.u32().map_err(wrong)? != GENERATED {
            return Err(AttestError::NotGenerated);
        }
        let kind = reader.u16().map_err(wrong)?;
        if kind != CERTIFY {
            return Err(AttestError::NotCertify(kind));
        }
        let mut body = || {
            let _qualified_signer = reader.sized()?;
            let nonce = reader.sized()?;
            // TPMS_CLOCK_INFO and the firmware's version (Part 2, sections 10.11.1 and 10.12.12).
            reader.take(17 + 8)?;
            let name = reader.sized()?;
            let _qualified_name = reader.sized()?;
            reader.finish()?;
            Ok(Self { nonce, name })
        };
        body().map_err(wrong)
    }
}

/// Checks a signature (TPMT_SIGNATURE, Part 2, section 11.3.4) of a key over a message.
pub fn check_signature(
    key: &PublicArea,
    message: &[u8],
    signature: &[u8],
) -> Result<(), AttestError> {
    let (scheme, signature) =
        read_signature(signature).map_err(|Unreadable(reason)| AttestError::Malformed {
            what: "signature",
            reason,
        })?;
    // A key that signs in two ways was not made for statements.
    if key.scheme != Some(scheme) {
        return Err(AttestError::Signature(VerifyError::OtherKey));
    }
    let (algorithm, hash) = scheme;
    let scheme = match (algorithm, hash) {
        (algorithm::RSASSA, Hash::Sha256) => Scheme::RsaPkcs1Sha256,
        (algorithm::RSASSA, Hash::Sha384) => Scheme::RsaPkcs1Sha384,
        (algorithm::RSASSA, Hash::Sha512) => Scheme::RsaPkcs1Sha512,
        (algorithm::RSAPSS, Hash::Sha256) => Scheme::RsaPssSha256,
        (algorithm::RSAPSS, Hash::Sha384) => Scheme::RsaPssSha384,
        (algorithm::RSAPSS, Hash::Sha512) => Scheme::RsaPssSha512,
        (_, Hash::Sha256) => Scheme::EcdsaSha256,
        (_, Hash::Sha384) => Scheme::EcdsaSha384,
        (_, Hash::Sha512) => Scheme::EcdsaSha512,
    };
    verify(&key.public_key, scheme, message, &signature).map_err(AttestError::Signature)
}

fn read_signature(bytes: &[u8]) -> Result<((u16, Hash), Vec<u8>), Unreadable> {
    let mut reader = Reader(bytes);
    let algorithm = reader.u16()?;
    let hash = hash(reader.u16()?)?;
    let signature = match algorithm {
        algorithm::RSASSA | algorithm::RSAPSS => reader.sized()?.to_vec(),
        algorithm::ECDSA => {
            let (r, s) = (reader.sized()?, reader.sized()?);
            let mut out = [0; 139];
            let len = ecdsa::write(r, s, &mut out).map_err(|_| Unreadable("its numbers"))?;
            out[..len].to_vec()
        }
        _ => return Err(Unreadable("it is neither RSA nor ECDSA")),
    };
    reader.finish()?;
    Ok(((algorithm, hash), signature))
}

fn hash(algorithm: u16) -> Result<Hash, Unreadable> {
    match algorithm {
        algorithm::SHA256 => Ok(Hash::Sha256),
        algorithm::SHA384 => Ok(Hash::Sha384),
        algorithm::SHA512 => Ok(Hash::Sha512),
        _ => Err(Unreadable(
            "its hash is none of SHA-256, SHA-384 and SHA-512",
        )),
    }
}

/// Why bytes cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable(pub &'static str);

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(Unreadable("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        Ok(u32::from(self.u16()?) << 16 | u32::from(self.u16()?))
    }

    /// What has its length before it (TPM2B).
    fn sized(&mut self) -> Result<&'a [u8], Unreadable> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// TPMT_RSA_SCHEME and TPMT_ECC_SCHEME (Part 2, sections 11.2.4.2 and 11.2.5.6).
    fn scheme(&mut self) -> Result<Option<(u16, Hash)>, Unreadable> {
        match self.u16()? {
            algorithm::NULL | algorithm::RSAES => Ok(None),
            algorithm => {
                let hash = hash(self.u16()?)?;
                if algorithm == algorithm::ECDAA {
                    let _count = self.u16()?;
                }
                Ok(Some((algorithm, hash)))
            }
        }
    }

    fn finish(&self) -> Result<(), Unreadable> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Unreadable("there is something after its end")),
        }
    }
}
