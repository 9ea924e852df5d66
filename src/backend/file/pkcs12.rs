//! PKCS#12 files (RFC 7292): a private key and its certificates under one password.

mod fields;
mod protection;

use std::vec::Vec;

use der::oid::ObjectIdentifier;
use zeroize::Zeroizing;

use self::fields::{Fields, MALFORMED};
use super::error::Reason;
use super::{PasswordSource, private_key};
use crate::backend::BoxedSigner;

/// RFC 7292 section 4.
const VERSION: u32 = 3;
/// The content types of RFC 5652, sections 4 and 8.
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
/// The bags of RFC 7292 section 4.2; those of CRLs and other secrets are passed over.
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERT_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
/// `x509Certificate` (RFC 7292 section 4.2.3).
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");

/// Opens the contents of a file. The empty password is tried first, and only if it is wrong the
/// password is asked for.
pub fn open(
    contents: &[u8],
    password: PasswordSource<'_>,
) -> Result<(BoxedSigner, Vec<Vec<u8>>), Reason> {
    let given;
    let archive = match Archive::read(contents, "") {
        Err(Reason::WrongPassword) => {
            given = password()?.ok_or(Reason::PasswordNeeded)?;
            let password =
                core::str::from_utf8(given.expose()).map_err(|_| Reason::PasswordNotUtf8)?;
            Archive::read(contents, password)?
        }
        archive => archive?,
    };
    let signer = match &archive.keys[..] {
        [key] => private_key::from_pkcs8(key)?,
        [] => return Err(Reason::NoKey),
        _ => return Err(Reason::SeveralKeys),
    };
    Ok((signer, archive.certificates))
}

/// What is in it.
struct Archive<'p> {
    password: &'p str,
    /// The MAC tells a wrong password from damage. Where there is none, what cannot be read of what was
    /// decrypted shows one.
    has_mac: bool,
    /// PKCS#8, DER.
    keys: Vec<Zeroizing<Vec<u8>>>,
    /// DER.
    certificates: Vec<Vec<u8>>,
}

impl<'p> Archive<'p> {
    /// Reads a `PFX` (RFC 7292 section 4).
    fn read(contents: &[u8], password: &'p str) -> Result<Self, Reason> {
        let mut outer = Fields::of(contents)?;
        let mut pfx = outer.sequence()?;
        outer.finish()?;
        if pfx.number()? != VERSION {
            return Err(MALFORMED);
        }
        let mut safe = pfx.sequence()?;
        if safe.oid()? != DATA {
            return Err(MALFORMED);
        }
        let safe = safe.explicit()?.octets()?;
        let has_mac = !pfx.is_finished();
        if has_mac {
            protection::verify(&mut pfx.sequence()?, safe, password)?;
        }
        let mut archive = Self {
            password,
            has_mac,
            keys: Vec::new(),
            certificates: Vec::new(),
        };
        let mut all = Fields::of(safe)?.sequence()?;
        while !all.is_finished() {
            archive.take_safe(&mut all.sequence()?)?;
        }
        Ok(archive)
    }

    /// A `ContentInfo` of the `AuthenticatedSafe`.
    fn take_safe(&mut self, info: &mut Fields<'_>) -> Result<(), Reason> {
        match info.oid()? {
            DATA => {
                let bags = info.explicit()?.octets()?;
                self.take_bags(bags)
            }
            ENCRYPTED_DATA => {
                let mut data = info.explicit()?.sequence()?;
                // RFC 5652 section 8: of version 0, with no attributes.
                if data.number()? != 0 {
                    return Err(MALFORMED);
                }
                let mut content = data.sequence()?;
                content.oid()?;
                let algorithm = content.algorithm()?;
                if content.is_finished() {
                    return Ok(());
                }
                let encrypted = content.next(fields::implicit(false))?;
                let bags = protection::decrypt(algorithm, encrypted, self.password)?;
                let taken = self.take_bags(&bags);
                taken.map_err(|reason| self.undecrypted(reason))
            }
            _ => Err(MALFORMED),
        }
    }

    /// A `SafeContents`.
    fn take_bags(&mut self, contents: &[u8]) -> Result<(), Reason> {
        let mut bags = Fields::of(contents)?.sequence()?;
        while !bags.is_finished() {
            let mut bag = bags.sequence()?;
            let kind = bag.oid()?;
            let mut value = bag.explicit()?;
            match kind {
                KEY_BAG => self.keys.push(value.rest()?.to_vec().into()),
                SHROUDED_KEY_BAG => {
                    let mut info = value.sequence()?;
                    let algorithm = info.algorithm()?;
                    let key = protection::decrypt(algorithm, info.octets()?, self.password)?;
                    let whole = Fields::of(&key).and_then(|mut key| key.sequence());
                    whole.map_err(|reason| self.undecrypted(reason))?;
                    self.keys.push(key);
                }
                CERT_BAG => {
                    let mut certificate = value.sequence()?;
                    if certificate.oid()? != X509_CERTIFICATE {
                        return Err(MALFORMED);
                    }
                    let der = certificate.explicit()?.octets()?;
                    self.certificates.push(der.to_vec());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Why something cannot be read that was encrypted.
    fn undecrypted(&self, reason: Reason) -> Reason {
        match reason {
            Reason::Malformed(_) if !self.has_mac => Reason::WrongPassword,
            reason => reason,
        }
    }
}
