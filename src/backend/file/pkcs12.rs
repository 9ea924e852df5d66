//! PKCS#12 files (RFC 7292): a private key and its certificates under one password.

use std::string::ToString as _;
use std::vec::Vec;

use der::asn1::AnyRef;
use der::{Decode as _, SliceReader};
use p12_keystore::Pkcs12Archive;
use p12_keystore::error::Error;
use pkcs8::pkcs5::pbes2::ScryptParams;

use super::encryption::is_scrypt;
use super::error::Reason;
use super::{PasswordSource, private_key};
use crate::backend::BoxedSigner;

/// Opens the contents of a file. The empty password is tried first, and only if it is wrong the
/// password is asked for.
pub fn open(
    contents: &[u8],
    password: PasswordSource<'_>,
) -> Result<(BoxedSigner, Vec<Vec<u8>>), Reason> {
    if has_broken_scrypt(contents) {
        return Err(Reason::Malformed("PKCS#12 structure"));
    }
    let archive = match Pkcs12Archive::from_pkcs12(contents, "") {
        Err(error) if is_wrong_password(&error) => {
            let password = password()?.ok_or(Reason::PasswordNeeded)?;
            let password =
                core::str::from_utf8(password.expose()).map_err(|_| Reason::PasswordNotUtf8)?;
            Pkcs12Archive::from_pkcs12(contents, password)
        }
        archive => archive,
    };
    let archive = archive.map_err(|error| match error {
        error if is_wrong_password(&error) => Reason::WrongPassword,
        Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm => {
            Reason::Pkcs12Algorithm(error.to_string())
        }
        Error::InvalidParameters => Reason::TooCostly,
        _ => Reason::Malformed("PKCS#12 structure"),
    })?;
    let signer = match &archive.keys[..] {
        [bag] => private_key::from_pkcs8(bag.key.as_der())?,
        [] => return Err(Reason::NoKey),
        _ => return Err(Reason::SeveralKeys),
    };
    let certificates = archive
        .certs
        .iter()
        .map(|bag| bag.cert.as_der().to_vec())
        .collect();
    Ok((signer, certificates))
}

/// The DER of scrypt's object identifier (RFC 7914 section 7).
const SCRYPT: &[u8] = b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x04\x0b";

/// Whether there are parameters of scrypt in it, at any depth, that cannot be: `p12-keystore` does not
/// look at them before it uses them.
fn has_broken_scrypt(contents: &[u8]) -> bool {
    let starts = contents.windows(SCRYPT.len()).enumerate();
    let mut found = starts.filter(|(_, bytes)| *bytes == SCRYPT);
    found.any(|(at, _)| {
        SliceReader::new(&contents[at + SCRYPT.len()..])
            .and_then(|mut rest| AnyRef::decode(&mut rest))
            .and_then(ScryptParams::try_from)
            .is_ok_and(|parameters| !is_scrypt(&parameters))
    })
}

/// The MAC tells a wrong password from damage. Where there is none, the first decryption fails.
fn is_wrong_password(error: &Error) -> bool {
    matches!(
        error,
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_)
    )
}
