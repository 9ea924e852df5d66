//! Keys and certificates in a token.

use std::string::String;
use std::vec::Vec;

use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass};
use cryptoki_sys::{CK_KEY_TYPE, CK_ULONG, CKK_EC, CKK_RSA};
use der::Decode as _;
use der::asn1::{ObjectIdentifier, OctetStringRef};

use super::call::CallError;
use super::module::{Object, Session};
use super::uri::{self, Uri};
use crate::backend::public_key;
use crate::core::x509::{self, Certificate};

/// A private key. What the token does not say counts as the worse.
#[derive(Debug, Clone)]
pub struct PrivateKey {
    /// Its handle.
    pub object: Object,
    /// CKA_ID.
    pub id: Vec<u8>,
    /// CKA_LABEL.
    pub label: String,
    key_type: Option<CK_KEY_TYPE>,
    /// CKA_PRIVATE: whether it takes a login to use it.
    pub private: bool,
    /// CKA_SIGN, where the token says so.
    pub signs: Option<bool>,
    /// CKA_SENSITIVE.
    pub sensitive: bool,
    /// CKA_EXTRACTABLE.
    pub extractable: bool,
    /// CKA_ALWAYS_AUTHENTICATE.
    pub always_authenticate: bool,
    /// CKA_ALWAYS_SENSITIVE.
    pub always_sensitive: bool,
    /// CKA_NEVER_EXTRACTABLE.
    pub never_extractable: bool,
    /// CKA_LOCAL.
    pub local: bool,
}

/// A certificate.
#[derive(Debug, Clone)]
pub struct StoredCertificate {
    /// Its handle.
    pub object: Object,
    /// CKA_ID.
    pub id: Vec<u8>,
    /// CKA_LABEL.
    pub label: String,
    /// CKA_VALUE.
    pub der: Vec<u8>,
}

/// Which objects a URI means, beside their class.
fn template(class: ObjectClass, uri: &Uri) -> Vec<Attribute> {
    let mut template = std::vec![Attribute::Class(class)];
    template.extend(uri.id.clone().map(Attribute::Id));
    let label = uri.object.clone().map(String::into_bytes);
    template.extend(label.map(Attribute::Label));
    template
}

/// Whether a URI may mean a key pair or its certificate. Their URIs stand for each other: that of a
/// certificate means the certificate's key, and that of a key its certificate.
pub fn is_of_pair(uri: &Uri) -> bool {
    use uri::ObjectClass::{Certificate, Private, Public};
    matches!(uri.class, None | Some(Private | Public | Certificate))
}

/// The private keys that a URI means. That of a certificate means the certificate's key.
///
/// # Errors
/// [`CallError`].
pub fn private_keys(session: &Session, uri: &Uri) -> Result<Vec<PrivateKey>, CallError> {
    if !is_of_pair(uri) {
        return Ok(Vec::new());
    }
    let objects = session.find(&template(ObjectClass::PRIVATE_KEY, uri))?;
    objects
        .into_iter()
        .map(|object| PrivateKey::read(session, object))
        .collect()
}

/// The X.509 certificates that a URI means, without those that attest a key: they have the slot's
/// CKA_ID and its public key, but are nobody's identity.
///
/// # Errors
/// [`CallError`].
pub fn certificates(session: &Session, uri: &Uri) -> Result<Vec<StoredCertificate>, CallError> {
    if !is_of_pair(uri) {
        return Ok(Vec::new());
    }
    let mut template = template(ObjectClass::CERTIFICATE, uri);
    template.push(Attribute::CertificateType(CertificateType::X_509));
    let mut found = Vec::new();
    for object in session.find(&template)? {
        let [value, id, label] = session.attributes(
            object,
            [
                AttributeType::Value,
                AttributeType::Id,
                AttributeType::Label,
            ],
        )?;
        let der = value.unwrap_or_default();
        if Certificate::from_der(&der).is_ok_and(|certificate| !is_attestation(&certificate)) {
            found.push(StoredCertificate {
                object,
                id: id.unwrap_or_default(),
                label: text(label),
                der,
            });
        }
    }
    Ok(found)
}

/// Whether a certificate was made by a YubiKey to attest one of its keys: it says in an extension of
/// Yubico's which firmware made it (<https://developers.yubico.com/PIV/Introduction/PIV_attestation.html>).
fn is_attestation(certificate: &Certificate<'_>) -> bool {
    /// 1.3.6.1.4.1.41482.3.3, DER.
    const FIRMWARE: &[u8] = &[
        0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03, 0x03,
    ];
    position(certificate.tbs, FIRMWARE).is_some()
}

/// Whether a YubiKey's key wants a touch, by what its attestation says: always, or now and then.
///
/// # Errors
/// [`CallError`].
pub fn wants_touch(session: &Session, key: &PrivateKey) -> Result<bool, CallError> {
    /// 1.3.6.1.4.1.41482.3.8, DER, and the head of two bytes: PIN policy and touch policy.
    const POLICIES: &[u8] = &[
        0x06, 0x0a, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03, 0x08, 0x04, 0x02,
    ];
    const ALWAYS: u8 = 2;
    const CACHED: u8 = 3;
    let same_id = Uri {
        id: Some(key.id.clone()),
        ..Uri::default()
    };
    for object in session.find(&template(ObjectClass::CERTIFICATE, &same_id))? {
        let [value] = session.attributes(object, [AttributeType::Value])?;
        let value = value.unwrap_or_default();
        let policies = position(&value, POLICIES).and_then(|at| value.get(at + POLICIES.len()..));
        if let Some([_, ALWAYS | CACHED, ..]) = policies {
            return Ok(true);
        }
    }
    Ok(false)
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// The public keys that a token shows of what a URI means, from public keys and certificates.
///
/// # Errors
/// [`CallError`].
pub fn shown_public_keys(session: &Session, uri: &Uri) -> Result<Vec<Vec<u8>>, CallError> {
    let mut keys = Vec::new();
    for object in session.find(&template(ObjectClass::PUBLIC_KEY, uri))? {
        keys.extend(public_key(session, object)?);
    }
    let certificates = certificates(session, uri)?;
    keys.extend(certificates.iter().map(|one| one.public_key().to_vec()));
    Ok(keys)
}

impl StoredCertificate {
    /// Its public key, DER.
    pub fn public_key(&self) -> &[u8] {
        // It could be read when it was found.
        Certificate::from_der(&self.der).map_or(&[], |certificate| certificate.public_key)
    }

    /// Whether ykcs11 put it there when it made a key: self-issued, with the serial number 0. It is nobody's
    /// identity, and makes room for one.
    pub fn is_placeholder(&self) -> bool {
        Certificate::from_der(&self.der).is_ok_and(|certificate| {
            certificate.subject == certificate.issuer
                && certificate.serial == [0]
                && position(certificate.subject, b"YubiKey PIV Slot ").is_some()
        })
    }

    /// Its URI, on a token.
    pub fn uri(&self, token: Uri) -> Uri {
        object_uri(token, &self.id, &self.label, uri::ObjectClass::Certificate)
    }
}

impl PrivateKey {
    /// Reads one.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn read(session: &Session, object: Object) -> Result<Self, CallError> {
        let [id, label, key_type, private, signs] = session.attributes(
            object,
            [
                AttributeType::Id,
                AttributeType::Label,
                AttributeType::KeyType,
                AttributeType::Private,
                AttributeType::Sign,
            ],
        )?;
        let claims = session.attributes(
            object,
            [
                AttributeType::Sensitive,
                AttributeType::Extractable,
                AttributeType::AlwaysAuthenticate,
                AttributeType::AlwaysSensitive,
                AttributeType::NeverExtractable,
                AttributeType::Local,
            ],
        )?;
        let [
            sensitive,
            extractable,
            always,
            always_sensitive,
            never,
            local,
        ] = claims.map(|value| flag(&value));
        Ok(Self {
            object,
            id: id.unwrap_or_default(),
            label: text(label),
            key_type: number(key_type),
            private: flag(&private).unwrap_or(true),
            signs: flag(&signs),
            sensitive: sensitive.unwrap_or(false),
            extractable: extractable.unwrap_or(true),
            always_authenticate: always.unwrap_or(false),
            always_sensitive: always_sensitive.unwrap_or(false),
            never_extractable: never.unwrap_or(false),
            local: local.unwrap_or(false),
        })
    }

    /// Its URI, on a token.
    pub fn uri(&self, token: Uri) -> Uri {
        object_uri(token, &self.id, &self.label, uri::ObjectClass::Private)
    }

    /// Its public key as the token knows it, a DER `SubjectPublicKeyInfo`: from the private key, the public
    /// key or the certificate. `None` if it is nowhere, or of a kind that keystead does not know.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn public_key(&self, session: &Session) -> Result<Option<Vec<u8>>, CallError> {
        if let Some(found) = read_public_key(session, self.object, self.key_type)? {
            return Ok(Some(found));
        }
        if self.id.is_empty() && self.label.is_empty() {
            return Ok(None);
        }
        let same_name = Uri {
            id: Some(self.id.clone()).filter(|id| !id.is_empty()),
            object: Some(self.label.clone()).filter(|_| self.id.is_empty()),
            ..Uri::default()
        };
        let mut keys = Vec::new();
        for object in session.find(&template(ObjectClass::PUBLIC_KEY, &same_name))? {
            keys.extend(read_public_key(session, object, self.key_type)?);
        }
        if keys.is_empty() {
            let certificates = certificates(session, &same_name)?;
            keys.extend(certificates.iter().map(|one| one.public_key().to_vec()));
        }
        keys.dedup();
        // Where the name does not decide, somebody else has to.
        Ok(match <[Vec<u8>; 1]>::try_from(keys) {
            Ok([key]) if x509::key_kind(&key).is_some() => Some(key),
            _ => None,
        })
    }
}

/// The public key that an object shows, be it the public or the private one, as a DER
/// `SubjectPublicKeyInfo`.
///
/// # Errors
/// [`CallError`].
pub fn public_key(session: &Session, object: Object) -> Result<Option<Vec<u8>>, CallError> {
    let [key_type] = session.attributes(object, [AttributeType::KeyType])?;
    read_public_key(session, object, number(key_type))
}

/// The public key as an object of this type shows it.
fn read_public_key(
    session: &Session,
    object: Object,
    key_type: Option<CK_KEY_TYPE>,
) -> Result<Option<Vec<u8>>, CallError> {
    let key = match key_type {
        Some(CKK_RSA) => {
            let types = [AttributeType::Modulus, AttributeType::PublicExponent];
            match session.attributes(object, types)? {
                [Some(modulus), Some(exponent)] => public_key::rsa(&modulus, &exponent),
                _ => None,
            }
        }
        Some(CKK_EC) => {
            let types = [AttributeType::EcParams, AttributeType::EcPoint];
            match session.attributes(object, types)? {
                [Some(curve), Some(point)] => ec(&curve, &point),
                _ => None,
            }
        }
        _ => None,
    };
    Ok(key.filter(|key| x509::key_kind(key).is_some()))
}

fn number(value: Option<Vec<u8>>) -> Option<CK_ULONG> {
    Some(CK_ULONG::from_ne_bytes(value?.try_into().ok()?))
}

fn object_uri(token: Uri, id: &[u8], label: &str, class: uri::ObjectClass) -> Uri {
    Uri {
        id: (!id.is_empty()).then(|| id.to_vec()),
        object: (!label.is_empty()).then(|| label.into()),
        class: Some(class),
        ..token
    }
}

fn flag(value: &Option<Vec<u8>>) -> Option<bool> {
    match value.as_deref()? {
        [value] => Some(*value != 0),
        _ => None,
    }
}

fn text(value: Option<Vec<u8>>) -> String {
    String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
}

/// The `SubjectPublicKeyInfo` of an EC key: CKA_EC_PARAMS with a named curve, and CKA_EC_POINT as a DER
/// OCTET STRING or, as some modules have it, bare.
fn ec(curve: &[u8], point: &[u8]) -> Option<Vec<u8>> {
    let curve = ObjectIdentifier::from_der(curve).ok()?;
    let inner = <&OctetStringRef>::from_der(point).ok();
    let inner = inner.and_then(|inner| public_key::ec(curve, inner.as_bytes()));
    inner.or_else(|| public_key::ec(curve, point))
}
