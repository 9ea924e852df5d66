//! The authority itself: a name, a certificate, a key that signs.

use std::vec;
use std::vec::Vec;

use der::Decode as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use super::certificate::{Issuer, TbsCertificate};
use super::crl;
use super::{
    AlternativeName, Error, KeyType, PrivateKey, Revoked, Subject, Template, Usage, Validity,
};
use crate::backend::BoxedSigner;
use crate::backend::file::GenerateError;
use crate::core::identity::same_key;
use crate::core::key::Signer as _;
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::host::pkix::signed::{SignatureAlgorithm, sign};

/// A certificate authority that can sign.
pub struct Authority {
    subject: Subject,
    validity: Validity,
    signer: BoxedSigner,
    /// Its own certificate, then its issuer's, up to the root; DER.
    chain: Vec<Vec<u8>>,
}

/// A key and the certificate that the authority issued for it.
#[derive(Debug)]
pub struct Issued {
    /// The certificates, leaf first, without the root; DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key of the first.
    pub key: PrivateKey,
}

impl Authority {
    /// A new root that lives as long as this value: nothing is written anywhere. Its key is gone
    /// with it, too.
    ///
    /// # Errors
    /// [`Error`] if no key could be made.
    pub fn new_in_memory(
        subject: Subject,
        key_type: KeyType,
        validity: Validity,
    ) -> Result<Self, Error> {
        let key = PrivateKey::generate(key_type)?;
        Self::new_root(subject, &key, 1, validity)
    }

    /// A root that signs its own certificate with `key`; `path_len` authorities may follow below it.
    ///
    /// # Errors
    /// [`Error`] if the key cannot be used.
    pub fn new_root(
        subject: Subject,
        key: &PrivateKey,
        path_len: u8,
        validity: Validity,
    ) -> Result<Self, Error> {
        let usage = Usage::Authority { path_len };
        let template = Template::new(usage, subject.clone(), validity);
        let mut root = Self {
            subject,
            validity,
            signer: key.signer()?,
            chain: Vec::new(),
        };
        let public_key = root.signer.public_key().to_vec();
        root.chain = vec![root.certify(&template, &public_key)?];
        Ok(root)
    }

    /// An authority below this one, which signs with `key`. No further authority may follow below it.
    ///
    /// # Errors
    /// [`Error`] if the key cannot be used, or if it would outlive this authority.
    pub fn new_intermediate(
        &mut self,
        subject: Subject,
        key: &PrivateKey,
        validity: Validity,
    ) -> Result<Self, Error> {
        let usage = Usage::Authority { path_len: 0 };
        let template = Template::new(usage, subject.clone(), validity);
        let signer = key.signer()?;
        let mut chain = vec![self.certify(&template, signer.public_key())?];
        chain.extend_from_slice(&self.chain);
        Ok(Self {
            subject,
            validity,
            signer,
            chain,
        })
    }

    /// The authority of a certificate and its issuers up to the root (each DER), which signs with
    /// `signer`.
    ///
    /// # Errors
    /// [`Error`] if the first certificate is not an authority's, or not for the signer's key.
    pub fn from_parts(chain: Vec<Vec<u8>>, signer: BoxedSigner) -> Result<Self, Error> {
        let der = chain.first().map_or(&[][..], Vec::as_slice);
        let certificate = Certificate::from_der(der)?;
        if !certificate.basic_constraints.is_some_and(|basic| basic.ca) {
            return Err(Error::NotAnAuthority);
        }
        if !same_key(certificate.public_key, signer.public_key()) {
            return Err(Error::KeyMismatch);
        }
        let name = Name::from_der(certificate.subject)?;
        Ok(Self {
            subject: Subject::try_from(name).map_err(|_| Error::NotAnAuthority)?,
            validity: Validity {
                not_before: certificate.not_before,
                not_after: certificate.not_after,
            },
            signer,
            chain,
        })
    }

    /// Its name.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// When it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.chain[0]
    }

    /// The certificate of the root that it is or stands under, DER.
    pub fn root(&self) -> &[u8] {
        &self.chain[self.chain.len() - 1]
    }

    /// The certificates to send along with one that it issued: itself and what is above it, without
    /// the root; DER.
    pub fn intermediates(&self) -> &[Vec<u8>] {
        &self.chain[..self.chain.len() - 1]
    }

    /// A certificate of `template` for `public_key` (DER `SubjectPublicKeyInfo`), DER.
    ///
    /// # Errors
    /// [`Error`] if the certificate would be valid at no time or outlive the authority, or the
    /// authority's key does not sign.
    pub fn certify(&mut self, template: &Template, public_key: &[u8]) -> Result<Vec<u8>, Error> {
        if template.validity.not_after <= template.validity.not_before {
            return Err(Error::Validity);
        }
        if template.validity.not_after > self.validity.not_after {
            return Err(Error::OutlivesAuthority {
                authority_ends: self.validity.not_after,
            });
        }
        let algorithm = SignatureAlgorithm::from(self.signer.key());
        let issuer = self.issuer(&algorithm);
        let certificate = TbsCertificate::new(template, public_key, random_serial()?, &issuer)?;
        Ok(sign(&certificate, &algorithm, &mut self.signer)?)
    }

    /// A list of the certificates that it revoked, DER. `number` grows with each list; the list is
    /// to be replaced by `next_update`.
    ///
    /// # Errors
    /// [`Error`] if a serial number is none, or the authority's key does not sign.
    pub fn revocation_list(
        &mut self,
        number: u64,
        revoked: &[Revoked],
        this_update: UnixTime,
        next_update: UnixTime,
    ) -> Result<Vec<u8>, Error> {
        let algorithm = SignatureAlgorithm::from(self.signer.key());
        let issuer = self.issuer(&algorithm);
        let list = crl::content(number, revoked, this_update, next_update, &issuer)?;
        Ok(sign(&list, &algorithm, &mut self.signer)?)
    }

    /// A new key and its certificate.
    ///
    /// # Errors
    /// As [`certify`](Self::certify), or if no key could be made.
    pub fn issue(&mut self, template: &Template, key_type: KeyType) -> Result<Issued, Error> {
        let key = PrivateKey::generate(key_type)?;
        let mut chain = vec![self.certify(template, key.signer()?.public_key())?];
        chain.extend_from_slice(self.intermediates());
        Ok(Issued { chain, key })
    }

    /// A new P-256 key and its certificate for a TLS server with these names.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    pub fn issue_server(
        &mut self,
        subject: Subject,
        names: Vec<AlternativeName>,
        validity: Validity,
    ) -> Result<Issued, Error> {
        let mut template = Template::new(Usage::Server, subject, validity);
        template.alternative_names = names;
        self.issue(&template, KeyType::P256)
    }

    fn issuer(&self, algorithm: &SignatureAlgorithm) -> Issuer<'_> {
        Issuer {
            name: self.subject.name(),
            public_key: self.signer.public_key(),
            algorithm: algorithm.identifier.clone(),
        }
    }
}

/// A random serial number of 16 bytes: positive, and always as long.
fn random_serial() -> Result<SerialNumber, Error> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| GenerateError::Random)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(SerialNumber::new(&serial)?)
}
