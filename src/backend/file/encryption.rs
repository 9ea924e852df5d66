//! Encrypted PKCS#8: PBES2 with AES-CBC (and the 3DES of older OpenSSL), and PBKDF2 or scrypt
//! (RFC 8018, RFC 7914).

use der::asn1::ObjectIdentifier;
use der::{Decode as _, Reader as _, SliceReader};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::{EncryptionScheme, Error as Pkcs5Error};

use super::cost::Budget;
use super::error::Reason;
use super::{PasswordSource, private_key};
use crate::backend::BoxedSigner;
use crate::core::x509::AlgorithmIdentifier;

const MALFORMED: Reason = Reason::Malformed("encrypted PKCS#8 key");

/// Decrypts a PKCS#8 `EncryptedPrivateKeyInfo` and opens the key in it.
pub fn decrypt(der: &[u8], password: PasswordSource<'_>) -> Result<BoxedSigner, Reason> {
    let Ok(info) = EncryptedPrivateKeyInfoRef::try_from(der) else {
        return Err(match scheme(der) {
            Ok(scheme) => Reason::UnsupportedEncryption(scheme),
            Err(_) => MALFORMED,
        });
    };
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(Reason::UnsupportedEncryption(
            info.encryption_algorithm.oid(),
        ));
    };
    Budget::default().take_pbes2(parameters, MALFORMED)?;
    let password = password()?.ok_or(Reason::PasswordNeeded)?;
    let document = info
        .decrypt(password.expose())
        .map_err(|error| match error {
            pkcs8::Error::EncryptedPrivateKey(Pkcs5Error::UnsupportedAlgorithm { oid }) => {
                Reason::UnsupportedEncryption(oid)
            }
            pkcs8::Error::EncryptedPrivateKey(Pkcs5Error::AlgorithmParametersInvalid {
                ..
            }) => MALFORMED,
            // The padding of the last block shows a wrong password, most of the time. Else what comes
            // out is no DER.
            _ => Reason::WrongPassword,
        })?;
    private_key::from_pkcs8(document.as_bytes())
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
