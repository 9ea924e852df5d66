//! Encrypted PKCS#8: PBES2 with AES-CBC (and the 3DES of older OpenSSL), and PBKDF2 or scrypt
//! (RFC 8018, RFC 7914).

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Reader as _, SliceReader};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::{EncryptionScheme, Error as Pkcs5Error, pbes2};

use super::error::Reason;
use super::{PasswordSource, private_key};
use crate::backend::BoxedSigner;
use crate::core::x509::AlgorithmIdentifier;

/// OpenSSL writes 2,048, NIST advises 10 million at most, and this is ten seconds of a small hub.
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;
/// For all lanes together: their number counts for time, and of small ones for memory as well.
/// OpenSSL writes 16 MiB and reads no more than 32.
const MAX_SCRYPT_BYTES: u64 = 256 << 20;

/// Decrypts a PKCS#8 `EncryptedPrivateKeyInfo` and opens the key in it.
pub fn decrypt(der: &[u8], password: PasswordSource<'_>) -> Result<BoxedSigner, Reason> {
    let Ok(info) = EncryptedPrivateKeyInfoRef::try_from(der) else {
        return Err(match scheme(der) {
            Ok(scheme) => Reason::UnsupportedEncryption(scheme),
            Err(_) => Reason::Malformed("encrypted PKCS#8 key"),
        });
    };
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(Reason::UnsupportedEncryption(
            info.encryption_algorithm.oid(),
        ));
    };
    check_cost(&parameters.kdf, Reason::Malformed("encrypted PKCS#8 key"))?;
    let password = password()?.ok_or(Reason::PasswordNeeded)?;
    let document = info
        .decrypt(password.expose())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(Pkcs5Error::UnsupportedAlgorithm { oid }) => {
                Reason::UnsupportedEncryption(oid)
            }
            // The padding of the last block shows a wrong password, most of the time. Else what comes
            // out is no DER.
            _ => Reason::WrongPassword,
        })?;
    private_key::from_pkcs8(document.as_bytes())
}

/// A damaged file must not take all memory, or minutes. With parameters that cannot be it is `malformed`.
pub fn check_cost(kdf: &pbes2::Kdf, malformed: Reason) -> Result<(), Reason> {
    let affordable = match kdf {
        pbes2::Kdf::Pbkdf2(parameters) => parameters.iteration_count <= MAX_PBKDF2_ITERATIONS,
        pbes2::Kdf::Scrypt(parameters) => {
            if !is_scrypt(parameters) {
                return Err(malformed);
            }
            let bytes = parameters
                .cost_parameter
                .saturating_mul(u64::from(parameters.block_size))
                .saturating_mul(u64::from(parameters.parallelization))
                .saturating_mul(128);
            bytes <= MAX_SCRYPT_BYTES
        }
        _ => true,
    };
    if affordable {
        Ok(())
    } else {
        Err(Reason::TooCostly)
    }
}

/// Whether the cost is one (RFC 7914 section 2): a power of two above 1. At 0, `pkcs5` panics.
fn is_scrypt(parameters: &pbes2::ScryptParams) -> bool {
    parameters.cost_parameter > 1 && parameters.cost_parameter.is_power_of_two()
}

/// The encryption scheme of a document that [`pkcs8`] does not read.
fn scheme(der: &[u8]) -> der::Result<ObjectIdentifier> {
    let mut outer = SliceReader::new(der)?;
    outer.sequence(|reader| {
        let algorithm = AlgorithmIdentifier::decode(reader)?;
        reader.tlv_bytes()?;
        Ok(algorithm.oid)
    })
}
