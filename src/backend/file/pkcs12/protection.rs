//! What a password does in PKCS#12: the MAC over everything, and the encryption of its parts.

use std::vec::Vec;

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt as _, KeyInit, KeyIvInit as _};
use der::asn1::AnyRef;
use der::oid::ObjectIdentifier;
use der::{Decode as _, ErrorKind};
use hmac::{EagerHash, Hmac, Mac as _};
use pkcs8::pkcs5::Error as Pkcs5Error;
use pkcs8::pkcs5::pbes2::Parameters;
use pkcs12::kdf::{self, Pkcs12KeyType};
use sha1::Sha1;
use sha2::digest::FixedOutputReset;
use sha2::digest::block_api::BlockSizeUser;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use zeroize::Zeroizing;

use super::fields::{Fields, MALFORMED};
use crate::backend::file::cost::Budget;
use crate::backend::file::error::Reason;
use crate::core::x509::AlgorithmIdentifier;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

/// RFC 8018 appendix A.4.
const PBES2: ObjectIdentifier = oid("1.2.840.113549.1.5.13");
/// RFC 7292 appendix C: both with SHA-1.
const TRIPLE_DES: ObjectIdentifier = oid("1.2.840.113549.1.12.1.3");
const RC2_40: ObjectIdentifier = oid("1.2.840.113549.1.12.1.6");
/// RFC 8017 appendix B.1.
const SHA1: ObjectIdentifier = oid("1.3.14.3.2.26");
const SHA224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.4");
const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
const SHA512_224: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.5");
const SHA512_256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.6");

/// Verifies the MAC over `content` (RFC 7292 section 4, `MacData`).
pub fn verify(
    mut mac: Fields<'_>,
    content: &[u8],
    password: &str,
    budget: &mut Budget,
) -> Result<(), Reason> {
    let mut digest = mac.sequence()?;
    let algorithm = digest.algorithm()?.oid;
    let expected = digest.last(Fields::octets)?;
    let salt = mac.octets()?;
    let iterations = match mac.is_finished() {
        true => 1,
        false => mac.last(Fields::number)?,
    };
    let verify = match algorithm {
        SHA1 => verify_with::<Sha1>,
        SHA224 => verify_with::<Sha224>,
        SHA256 => verify_with::<Sha256>,
        SHA384 => verify_with::<Sha384>,
        SHA512 => verify_with::<Sha512>,
        SHA512_224 => verify_with::<Sha512_224>,
        SHA512_256 => verify_with::<Sha512_256>,
        other => return Err(Reason::Pkcs12Algorithm(other)),
    };
    verify(
        expected,
        content,
        &Derivation::new(password, salt, iterations, budget)?,
    )
}

fn verify_with<D>(expected: &[u8], content: &[u8], from: &Derivation<'_>) -> Result<(), Reason>
where
    D: Digest + FixedOutputReset + BlockSizeUser + EagerHash,
{
    let key = from.key::<D>(Pkcs12KeyType::Mac, <D as Digest>::output_size())?;
    let mut mac = <Hmac<D> as KeyInit>::new_from_slice(&key).map_err(|_| MALFORMED)?;
    mac.update(content);
    mac.verify_slice(expected)
        .map_err(|_| Reason::WrongPassword)
}

/// Decrypts what the password protects.
pub fn decrypt(
    algorithm: AlgorithmIdentifier<'_>,
    encrypted: &[u8],
    password: &str,
    budget: &mut Budget,
) -> Result<Zeroizing<Vec<u8>>, Reason> {
    match algorithm.oid {
        PBES2 => {
            let parameters = AnyRef::from_der(algorithm.parameters).and_then(Parameters::try_from);
            let parameters = parameters.map_err(|error| match error.kind() {
                ErrorKind::OidUnknown { oid } => Reason::Pkcs12Algorithm(oid),
                _ => MALFORMED,
            })?;
            budget.take_pbes2(&parameters, MALFORMED)?;
            let decrypted = parameters.decrypt(password, encrypted);
            decrypted.map(Zeroizing::new).map_err(|error| match error {
                Pkcs5Error::UnsupportedAlgorithm { oid } => Reason::Pkcs12Algorithm(oid),
                Pkcs5Error::AlgorithmParametersInvalid { .. } => MALFORMED,
                _ => Reason::WrongPassword,
            })
        }
        TRIPLE_DES | RC2_40 => {
            let mut parameters = Fields::of_sequence(algorithm.parameters)?;
            let salt = parameters.octets()?;
            let iterations = parameters.last(Fields::number)?;
            let from = Derivation::new(password, salt, iterations, budget)?;
            match algorithm.oid {
                TRIPLE_DES => decrypt_with::<des::TdesEde3>(24, &from, encrypted),
                _ => decrypt_with::<rc2::Rc2>(5, &from, encrypted),
            }
        }
        other => Err(Reason::Pkcs12Algorithm(other)),
    }
}

/// With a key of `size` bytes, and an initialisation vector of 8, in CBC mode.
fn decrypt_with<C: KeyInit + BlockCipherDecrypt>(
    size: usize,
    from: &Derivation<'_>,
    encrypted: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Reason> {
    let key = from.key::<Sha1>(Pkcs12KeyType::EncryptionKey, size)?;
    let iv = from.key::<Sha1>(Pkcs12KeyType::Iv, 8)?;
    let cipher = Decryptor::<C>::new_from_slices(&key, &iv).map_err(|_| MALFORMED)?;
    let decrypted = cipher.decrypt_padded_vec::<Pkcs7>(encrypted);
    decrypted
        .map(Zeroizing::new)
        .map_err(|_| Reason::WrongPassword)
}

/// The derivation of keys from a password (RFC 7292 appendix B).
struct Derivation<'a> {
    password: &'a str,
    salt: &'a [u8],
    iterations: i32,
}

impl<'a> Derivation<'a> {
    fn new(
        password: &'a str,
        salt: &'a [u8],
        iterations: u32,
        budget: &mut Budget,
    ) -> Result<Self, Reason> {
        budget.take_pkcs12(iterations)?;
        Ok(Self {
            password,
            salt,
            iterations: i32::try_from(iterations).map_err(|_| Reason::TooCostly)?,
        })
    }

    fn key<D>(&self, id: Pkcs12KeyType, size: usize) -> Result<Zeroizing<Vec<u8>>, Reason>
    where
        D: Digest + FixedOutputReset + BlockSizeUser,
    {
        // It fails for characters beyond the Basic Multilingual Plane, which no such password has.
        kdf::derive_key_utf8::<D>(self.password, self.salt, id, self.iterations, size)
            .map(Zeroizing::new)
            .map_err(|_| Reason::WrongPassword)
    }
}
