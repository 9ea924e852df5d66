//! A certificate beside its key.

use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;

use cryptoki::object::{Attribute, CertificateType, ObjectClass};
use der::Encode as _;
use der::asn1::UintRef;
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{Family, Workbench, is_template_refused, unsupported};
use crate::backend::pkcs11::call::CallError;
use crate::backend::pkcs11::choice::token_uri;
use crate::backend::pkcs11::error::TokenError;
use crate::backend::pkcs11::local::Local;
use crate::backend::pkcs11::module::Object;
use crate::backend::pkcs11::objects::{self, PrivateKey, StoredCertificate};
use crate::backend::pkcs11::tokens::{Operator, StoreCertificate};
use crate::backend::pkcs11::uri::Uri;
use crate::core::identity::same_key;
use crate::core::x509::Certificate;

/// Stores a certificate, with the CKA_ID and label of its key.
///
/// # Errors
/// [`TokenError`]; the certificate that was there before is still there then.
pub fn store(
    tokens: &mut Local,
    request: &StoreCertificate,
    operator: &mut dyn Operator,
) -> Result<Uri, TokenError> {
    let bench = Workbench::open(tokens, &request.key, request.role, operator)?;
    let key = bench.key(request)?;
    let before = bench.beside(&key)?;
    if let Some(same) = before.iter().find(|one| one.der == request.certificate) {
        return Ok(same.uri(token_uri(&bench.slot)));
    }
    if let Some(other) = before.iter().find(|one| !one.is_placeholder())
        && !request.replace
    {
        return Err(TokenError::Exists {
            uri: Box::new(other.uri(token_uri(&bench.slot))),
            unless: Some(String::from("--replace")),
        });
    }
    bench.put(&key, &before, &request.certificate)
}

impl Workbench<'_> {
    /// The key that is named, which has to be the certificate's.
    fn key(&self, request: &StoreCertificate) -> Result<PrivateKey, TokenError> {
        let failed = |error| self.module.error(error);
        let certificate =
            Certificate::from_der(&request.certificate).map_err(|error| TokenError::Key {
                uri: Box::new(request.key.without_query()),
                reason: std::format!("its certificate cannot be read: {error}"),
            })?;
        let keys = objects::private_keys(&self.session, &request.key).map_err(failed)?;
        let mut matching = Vec::new();
        let mut has_unknown = false;
        for key in &keys {
            match key.public_key(&self.session).map_err(failed)? {
                Some(public_key) if same_key(&public_key, certificate.public_key) => {
                    matching.push(key.clone());
                }
                Some(_) => {}
                None => has_unknown = true,
            }
        }
        let token = token_uri(&self.slot);
        let uris = |keys: &[PrivateKey]| keys.iter().map(|key| key.uri(token.clone())).collect();
        match <[PrivateKey; 1]>::try_from(matching) {
            Ok([key]) => Ok(key),
            Err(matching) if !matching.is_empty() => Err(TokenError::SeveralObjects {
                uri: Box::new(request.key.without_query()),
                what: "private key".into(),
                matches: uris(&matching),
            }),
            Err(_) if keys.is_empty() => {
                let all = objects::private_keys(&self.session, &Uri::default()).map_err(failed)?;
                Err(TokenError::NoObject {
                    uri: Box::new(request.key.without_query()),
                    what: "private key".into(),
                    present: uris(&all),
                })
            }
            Err(_) if has_unknown => Err(TokenError::Key {
                uri: Box::new(keys[0].uri(token)),
                reason: "its public key is not on the token, so that nothing tells whether the certificate is \
                         for it"
                    .into(),
            }),
            Err(_) => Err(TokenError::KeyMismatch {
                uri: Box::new(keys[0].uri(token)),
            }),
        }
    }

    /// The certificates that have the key's name, and would be taken for its own: an authority's may have it
    /// too, and is in nobody's way where there is room for both.
    fn beside(&self, key: &PrivateKey) -> Result<Vec<StoredCertificate>, TokenError> {
        if key.id.is_empty() && key.label.is_empty() {
            return Ok(Vec::new());
        }
        let name = Uri {
            id: Some(key.id.clone()).filter(|id| !id.is_empty()),
            object: Some(key.label.clone()).filter(|_| key.id.is_empty()),
            ..Uri::default()
        };
        let found = objects::certificates(&self.session, &name);
        let mut found = found.map_err(|error| self.module.error(error))?;
        if !self.has_one_place() {
            found.retain(|one| !is_authority(&one.der));
        }
        Ok(found)
    }

    /// Whether there is one place for each key's certificate (PIV): what is written there overwrites.
    fn has_one_place(&self) -> bool {
        matches!(Family::of(&self.slot), Family::YubiKey | Family::Piv)
    }

    /// Writes the new certificate before the old ones are destroyed. A token that has one place for both
    /// overwrites the old one, or refuses until it is gone. What was there is put back if the new one does not
    /// get there.
    fn put(
        &self,
        key: &PrivateKey,
        before: &[StoredCertificate],
        der: &[u8],
    ) -> Result<Uri, TokenError> {
        let mut created = self.create(key, der);
        if created.is_err_and(is_template_refused) && !before.is_empty() && self.takes(key, der) {
            for one in before {
                // Whether it is gone shows in what follows.
                let _ = self.session.destroy(one.object);
            }
            created = self.create(key, der);
        }
        if let Err(error) = created {
            self.put_back(key, before);
            let remedy = Family::of(&self.slot).stores();
            return Err(self.failed(error, "store a certificate through its module", remedy));
        }
        let after = self.beside(key)?;
        let Some(new) = after.iter().find(|one| one.der == der) else {
            self.put_back(key, before);
            let what = "give back the certificate that was just stored";
            return Err(unsupported(&self.slot, what, None, ""));
        };
        for old in after.iter().filter(|one| one.der != der) {
            // The new one is there, and newer: one that cannot be destroyed does no harm.
            let _ = self.session.destroy(old.object);
        }
        Ok(new.uri(token_uri(&self.slot)))
    }

    /// Whether the token takes the certificate under another name, so that it is the name that it refuses: it
    /// is taken. Nothing is destroyed for a certificate that it never takes.
    fn takes(&self, key: &PrivateKey, der: &[u8]) -> bool {
        let mut id = [0; 20];
        if SystemRandom::new().fill(&mut id).is_err() {
            return false;
        }
        let mut other = key.clone();
        other.id = id.to_vec();
        match self.create(&other, der) {
            // One that cannot be removed again shows what the token is like.
            Ok(trial) => self.session.destroy(trial).is_ok(),
            Err(_) => false,
        }
    }

    /// Restores those of the certificates that are gone, as far as the token lets it.
    fn put_back(&self, key: &PrivateKey, before: &[StoredCertificate]) {
        let present = self.beside(key).unwrap_or_default();
        for one in before {
            if !present.iter().any(|other| other.der == one.der) {
                // There is nothing more to be done; the error that led here is the one to report.
                let _ = self.create(key, &one.der);
            }
        }
    }

    fn create(&self, key: &PrivateKey, der: &[u8]) -> Result<Object, CallError> {
        match self.session.create(&template(key, der, true)) {
            Err(error) if is_template_refused(error) => {
                self.session.create(&template(key, der, false))
            }
            created => created,
        }
    }
}

/// CKO_CERTIFICATE (PKCS#11 section 4.6.3); some modules refuse what they can read out of it themselves.
fn template(key: &PrivateKey, der: &[u8], is_full: bool) -> Vec<Attribute> {
    let mut template = vec![
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Value(der.to_vec()),
    ];
    if !key.id.is_empty() {
        template.push(Attribute::Id(key.id.clone()));
    }
    // It could be read before.
    if let Ok(certificate) = Certificate::from_der(der) {
        template.push(Attribute::Subject(certificate.subject.to_vec()));
        if is_full {
            let serial = UintRef::new(certificate.serial).and_then(|serial| serial.to_der());
            template.extend(serial.map(Attribute::SerialNumber));
            template.push(Attribute::Issuer(certificate.issuer.to_vec()));
        }
    }
    if is_full {
        template.push(Attribute::Private(false));
        if !key.label.is_empty() {
            template.push(Attribute::Label(key.label.clone().into_bytes()));
        }
    }
    template
}

fn is_authority(der: &[u8]) -> bool {
    let constraints = Certificate::from_der(der)
        .ok()
        .and_then(|one| one.basic_constraints);
    constraints.is_some_and(|constraints| constraints.ca)
}
