//! Private keys in their encodings: PKCS#8, PKCS#1 and SEC 1, as PEM and DER.

use std::vec::Vec;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode as _, Encode as _};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use sec1::EcPrivateKey;
use zeroize::Zeroizing;

use super::contents::DerKind;
use super::error::Reason;
use super::{PasswordSource, ec, encryption, ml_dsa, rsa};
use crate::backend::BoxedSigner;
use crate::backend::algorithm::RSASSA_PSS;
use crate::backend::pem;
use crate::core::key::KeyKind;
use crate::core::x509::oid;

/// The private key in the contents of a file; the password is asked for only if the key is encrypted.
pub fn signer(contents: &[u8], password: PasswordSource<'_>) -> Result<BoxedSigner, Reason> {
    if pem::is_pem(contents) {
        let (kind, der) = find_pem(contents)?;
        from_der(kind, &der, password)
    } else {
        let kind = DerKind::of(contents).ok_or(Reason::Unrecognised)?;
        from_der(kind, contents, password)
    }
}

/// The private key in an unencrypted PKCS#8 document.
pub fn from_pkcs8(der: &[u8]) -> Result<BoxedSigner, Reason> {
    let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Reason::Malformed("PKCS#8 key"))?;
    let key = info.private_key.as_bytes();
    match info.algorithm.oid {
        oid::RSA => rsa::signer(key),
        oid::EC => {
            let curve = named_curve(info.algorithm.parameters)?;
            ec_signer(key, Some(curve))
        }
        oid::ML_DSA_44 => ml_dsa::signer(KeyKind::MlDsa44, key),
        oid::ML_DSA_65 => ml_dsa::signer(KeyKind::MlDsa65, key),
        oid::ML_DSA_87 => ml_dsa::signer(KeyKind::MlDsa87, key),
        RSASSA_PSS => Err(Reason::UnsupportedKey("for RSASSA-PSS alone")),
        oid::ED25519 => Err(Reason::UnsupportedKey("an Ed25519 key")),
        ED448 => Err(Reason::UnsupportedKey("an Ed448 key")),
        X25519 => Err(Reason::UnsupportedKey("an X25519 key")),
        DSA => Err(Reason::UnsupportedKey("a DSA key")),
        other => Err(Reason::UnknownKey(other)),
    }
}

/// A DER `SubjectPublicKeyInfo`.
pub fn public_key_info(
    algorithm: ObjectIdentifier,
    parameters: Option<AnyRef<'_>>,
    key: &[u8],
) -> Result<Vec<u8>, Reason> {
    BitStringRef::from_bytes(key)
        .and_then(|subject_public_key| {
            SubjectPublicKeyInfoRef {
                algorithm: AlgorithmIdentifierRef {
                    oid: algorithm,
                    parameters,
                },
                subject_public_key,
            }
            .to_der()
        })
        .map_err(|_| Reason::Malformed("public key"))
}

const ED448: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.113");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// The one private key among the blocks of a PEM file; certificates and EC parameters may be there too.
fn find_pem(text: &[u8]) -> Result<(DerKind, Zeroizing<Vec<u8>>), Reason> {
    let mut found = None;
    for block in pem::blocks(text) {
        let block = block?;
        let kind = match block.label {
            "PRIVATE KEY" => DerKind::Pkcs8,
            "ENCRYPTED PRIVATE KEY" => DerKind::EncryptedPkcs8,
            "RSA PRIVATE KEY" => DerKind::Pkcs1,
            "EC PRIVATE KEY" => DerKind::Sec1,
            "OPENSSH PRIVATE KEY" => return Err(Reason::OpenSsh),
            "TSS2 PRIVATE KEY" => return Err(Reason::Tss2),
            "DSA PRIVATE KEY" => return Err(Reason::UnsupportedKey("a DSA key")),
            _ => continue,
        };
        if block.is_legacy_encrypted() {
            return Err(Reason::LegacyEncryption);
        }
        if found.replace((kind, block)).is_some() {
            return Err(Reason::SeveralKeys);
        }
    }
    let (kind, block) = found.ok_or(Reason::NoKey)?;
    Ok((kind, block.decode()?))
}

fn from_der(
    kind: DerKind,
    der: &[u8],
    password: PasswordSource<'_>,
) -> Result<BoxedSigner, Reason> {
    match kind {
        DerKind::Pkcs8 => from_pkcs8(der),
        DerKind::EncryptedPkcs8 => encryption::decrypt(der, password),
        DerKind::Pkcs1 => rsa::signer(der),
        DerKind::Sec1 => ec_signer(der, None),
        DerKind::Pkcs12 => Err(Reason::Pkcs12),
        DerKind::Certificate => Err(Reason::NoKey),
    }
}

/// An `ECPrivateKey`; inside PKCS#8 the curve stands outside.
fn ec_signer(der: &[u8], outer: Option<ObjectIdentifier>) -> Result<BoxedSigner, Reason> {
    let key = EcPrivateKey::from_der(der).map_err(|_| Reason::Malformed("EC key"))?;
    let inner = key.parameters.and_then(|curve| curve.named_curve());
    let curve = match (outer, inner) {
        (Some(outer), Some(inner)) if outer != inner => return Err(Reason::Inconsistent("EC")),
        (Some(curve), _) | (None, Some(curve)) => curve,
        (None, None) => return Err(Reason::Malformed("EC key, which names no curve,")),
    };
    ec::signer(curve, key.private_key, key.public_key)
}

fn named_curve(parameters: Option<AnyRef<'_>>) -> Result<ObjectIdentifier, Reason> {
    parameters
        .and_then(|parameters| ObjectIdentifier::try_from(parameters).ok())
        .ok_or(Reason::ExplicitCurve)
}
