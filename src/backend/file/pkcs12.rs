//! PKCS#12 files (RFC 7292): a private key and its certificates under one password.

mod fields;
mod protection;

use std::vec::Vec;

use der::Tag;
use der::oid::ObjectIdentifier;
use zeroize::Zeroizing;

use self::fields::{Fields, MALFORMED};
use super::cost::Budget;
use super::error::Reason;
use super::{PasswordSource, private_key};
use crate::backend::BoxedSigner;
use crate::core::x509::AlgorithmIdentifier;

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
    let archive = match Archive::read(contents, "", Budget::default()) {
        Err(Reason::WrongPassword) => {
            given = password()?.ok_or(Reason::PasswordNeeded)?;
            let password =
                core::str::from_utf8(given.expose()).map_err(|_| Reason::PasswordNotUtf8)?;
            Archive::read(contents, password, Budget::default())?
        }
        archive => archive?,
    };
    let key = archive.key.ok_or(Reason::NoKey)?;
    Ok((private_key::from_pkcs8(&key)?, archive.certificates))
}

/// What is in it.
struct Archive<'p> {
    password: &'p str,
    budget: Budget,
    /// The MAC tells a wrong password from damage. Where there is none, what cannot be read of what was
    /// decrypted shows one.
    has_mac: bool,
    /// PKCS#8, DER.
    key: Option<Zeroizing<Vec<u8>>>,
    /// DER.
    certificates: Vec<Vec<u8>>,
}

impl<'p> Archive<'p> {
    /// Reads a `PFX` (RFC 7292 section 4).
    fn read(contents: &[u8], password: &'p str, budget: Budget) -> Result<Self, Reason> {
        let mut pfx = Fields::of_sequence(contents)?;
        if pfx.number()? != VERSION {
            return Err(MALFORMED);
        }
        let mut safe = pfx.sequence()?;
        if safe.oid()? != DATA {
            return Err(MALFORMED);
        }
        let safe = safe.last(|safe| safe.explicit(Fields::octets))?;
        let mut archive = Self {
            password,
            budget,
            has_mac: !pfx.is_finished(),
            key: None,
            certificates: Vec::new(),
        };
        if archive.has_mac {
            let mac = pfx.last(Fields::sequence)?;
            protection::verify(mac, safe, password, &mut archive.budget)?;
        }
        let mut all = Fields::of_sequence(safe)?;
        while !all.is_finished() {
            archive.take_safe(all.sequence()?)?;
        }
        Ok(archive)
    }

    /// A `ContentInfo` of the `AuthenticatedSafe`.
    fn take_safe(&mut self, mut info: Fields<'_>) -> Result<(), Reason> {
        match info.oid()? {
            DATA => {
                let bags = info.last(|info| info.explicit(Fields::octets))?;
                self.take_bags(bags)
            }
            ENCRYPTED_DATA => {
                let mut data = info.last(|info| info.explicit(Fields::sequence))?;
                // RFC 5652 section 8: of version 0, with no attributes.
                if data.number()? != 0 {
                    return Err(MALFORMED);
                }
                let mut content = data.last(Fields::sequence)?;
                content.oid()?;
                let algorithm = content.algorithm()?;
                if content.is_finished() {
                    return Ok(());
                }
                let encrypted = content.last(|content| content.next(fields::IMPLICIT))?;
                let bags = self.decrypt(algorithm, encrypted)?;
                let taken = self.take_bags(&bags);
                taken.map_err(|reason| self.undecrypted(reason))
            }
            _ => Err(MALFORMED),
        }
    }

    /// A `SafeContents`.
    fn take_bags(&mut self, contents: &[u8]) -> Result<(), Reason> {
        let mut bags = Fields::of_sequence(contents)?;
        while !bags.is_finished() {
            let mut bag = bags.sequence()?;
            let kind = bag.oid()?;
            let value = bag.next(fields::EXPLICIT)?;
            // Its attributes: names for people.
            if !bag.is_finished() {
                bag.last(|bag| bag.next(Tag::Set))?;
            }
            match kind {
                // Before it costs anything.
                KEY_BAG | SHROUDED_KEY_BAG if self.key.is_some() => {
                    return Err(Reason::SeveralKeys);
                }
                KEY_BAG => self.key = Some(value.to_vec().into()),
                SHROUDED_KEY_BAG => {
                    let mut info = Fields::of_sequence(value)?;
                    let algorithm = info.algorithm()?;
                    let key = self.decrypt(algorithm, info.last(Fields::octets)?)?;
                    let whole = Fields::of_sequence(&key);
                    whole.map_err(|reason| self.undecrypted(reason))?;
                    self.key = Some(key);
                }
                CERT_BAG => {
                    let mut certificate = Fields::of_sequence(value)?;
                    if certificate.oid()? != X509_CERTIFICATE {
                        return Err(MALFORMED);
                    }
                    let der = certificate.last(|value| value.explicit(Fields::octets))?;
                    self.certificates.push(der.to_vec());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn decrypt(
        &mut self,
        algorithm: AlgorithmIdentifier<'_>,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Reason> {
        protection::decrypt(algorithm, encrypted, self.password, &mut self.budget)
    }

    /// Why something cannot be read that was encrypted.
    fn undecrypted(&self, reason: Reason) -> Reason {
        match reason {
            Reason::Malformed(_) if !self.has_mac => Reason::WrongPassword,
            reason => reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use cbc::Encryptor;
    use cbc::cipher::block_padding::Pkcs7;
    use cbc::cipher::{BlockModeEncrypt as _, KeyIvInit as _};
    use der::Encode as _;
    use pkcs12::kdf::{Pkcs12KeyType, derive_key_utf8};
    use sha1::Sha1;

    use super::*;

    const EMPTY_SEQUENCE: [u8; 2] = [0x30, 0];

    fn element(tag: Tag, contents: &[&[u8]]) -> Vec<u8> {
        let contents = contents.concat();
        der::asn1::AnyRef::new(tag, &contents)
            .unwrap()
            .to_der()
            .unwrap()
    }

    fn sequence(contents: &[&[u8]]) -> Vec<u8> {
        element(Tag::Sequence, contents)
    }

    fn content(kind: ObjectIdentifier, contents: &[u8]) -> Vec<u8> {
        let contents = element(fields::EXPLICIT, &[contents]);
        sequence(&[&kind.to_der().unwrap(), &contents])
    }

    /// Without bags, encrypted with the empty password: what a hostile file may have many of.
    fn safe() -> Vec<u8> {
        let salt = [7; 8];
        let derive = |id, size| derive_key_utf8::<Sha1>("", &salt, id, 1, size).unwrap();
        let (key, iv) = (
            derive(Pkcs12KeyType::EncryptionKey, 24),
            derive(Pkcs12KeyType::Iv, 8),
        );
        let cipher = Encryptor::<des::TdesEde3>::new_from_slices(&key, &iv).unwrap();
        let encrypted = cipher.encrypt_padded_vec::<Pkcs7>(&EMPTY_SEQUENCE);
        let triple_des = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.1.3");
        let parameters = sequence(&[
            &element(Tag::OctetString, &[&salt]),
            &1_u32.to_der().unwrap(),
        ]);
        let algorithm = sequence(&[&triple_des.to_der().unwrap(), &parameters]);
        let encrypted = element(fields::IMPLICIT, &[&encrypted]);
        let info = sequence(&[&DATA.to_der().unwrap(), &algorithm, &encrypted]);
        content(
            ENCRYPTED_DATA,
            &sequence(&[&0_u32.to_der().unwrap(), &info]),
        )
    }

    #[test]
    fn what_all_derivations_cost() {
        let safes = vec![safe(); 3].concat();
        let safes = element(Tag::OctetString, &[&sequence(&[&safes])]);
        let file = sequence(&[&VERSION.to_der().unwrap(), &content(DATA, &safes)]);
        // A millionth of the most that one may cost, each.
        let read = |budget| Archive::read(&file, "", Budget::of(budget)).map(|_| ());
        read(3).unwrap();
        assert!(matches!(read(2), Err(Reason::TooCostly)));
    }
}
