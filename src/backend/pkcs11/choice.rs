//! Which of several keys is meant.

use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::string::{String, ToString as _};
use std::vec::Vec;

use super::error::TokenError;
use super::objects::PrivateKey;
use super::slots::{Slot, Token};
use super::uri::{ObjectClass, Uri};
use crate::core::identity::same_key;
use crate::core::key::KeyKind;
use crate::core::x509;

/// What is known of a key before it is found: of one of them, if there are several.
pub struct Wanted {
    /// Its CKA_ID; may be empty.
    pub id: Vec<u8>,
    /// Its label; may be empty.
    pub label: String,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

impl Wanted {
    /// Any key with this public key.
    pub fn of(public_key: &[u8]) -> Self {
        Self {
            id: Vec::new(),
            label: String::new(),
            public_key: public_key.to_owned(),
        }
    }
}

/// A key with its public key.
pub struct Found {
    /// The key.
    pub key: PrivateKey,
    /// Its kind.
    pub kind: KeyKind,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// Whether that is only what the certificate says.
    pub is_assumed: bool,
}

/// Of the keys that a URI means, the one that is the certificate's; without a certificate, the only one.
///
/// # Errors
/// [`TokenError`], if nothing decides, or the key is for nothing.
pub fn choose(
    candidates: Vec<(PrivateKey, Option<Vec<u8>>)>,
    slot: &Slot,
    uri: &Uri,
    wanted: &[Wanted],
) -> Result<Option<Found>, TokenError> {
    if candidates.is_empty() {
        return Ok(None);
    }
    let uris = |keys: &[(PrivateKey, Option<Vec<u8>>)]| {
        let uris = keys.iter().map(|(key, _)| key.uri(token_uri(slot)));
        uris.collect::<Vec<_>>()
    };
    let all = uris(&candidates);
    let is_leafs = |key: &[u8]| wanted.iter().any(|one| same_key(&one.public_key, key));
    let (mut known, unknown): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .partition(|(_, public_key)| public_key.is_some());
    if !wanted.is_empty() {
        known.retain(|(_, key)| key.as_deref().is_some_and(is_leafs));
    }
    // The same key twice is one key.
    known.dedup_by(|(_, one), (_, other)| match (one, other) {
        (Some(one), Some(other)) => same_key(one, other),
        _ => false,
    });
    if known.len() > 1 {
        return Err(several_objects(uri, ObjectClass::Private, uris(&known)));
    }
    if let Some((key, Some(public_key))) = known.pop() {
        return Found::new(key, public_key, false, slot).map(Some);
    }
    let mut leaf_keys: Vec<&[u8]> = wanted.iter().map(|one| &*one.public_key).collect();
    leaf_keys.dedup_by(|one, other| same_key(one, other));
    match (<[_; 1]>::try_from(unknown), &leaf_keys[..]) {
        (Ok([(key, _)]), [leaf]) => {
            let public_key = (*leaf).to_owned();
            Found::new(key, public_key, true, slot).map(Some)
        }
        (Ok([(key, _)]), []) => Err(TokenError::Key {
            uri: Box::new(key.uri(token_uri(slot))),
            reason:
                "its public key is not on the token, or of a kind that Roles Anywhere does not \
                     take (RSA, EC P-256, P-384, P-521): give its certificate"
                    .to_string(),
        }),
        (Err(unknown), _) if unknown.is_empty() => Err(TokenError::KeyMismatch {
            uri: Box::new(match <[Uri; 1]>::try_from(all) {
                Ok([only]) => only,
                Err(_) => uri.without_query(),
            }),
        }),
        _ => Err(several_objects(uri, ObjectClass::Private, all)),
    }
}

impl Found {
    fn new(
        key: PrivateKey,
        public_key: Vec<u8>,
        is_assumed: bool,
        slot: &Slot,
    ) -> Result<Self, TokenError> {
        let refused = |reason: String| TokenError::Key {
            uri: Box::new(key.uri(token_uri(slot))),
            reason,
        };
        let kind = match x509::key_kind(&public_key) {
            Some(KeyKind::Rsa { bits }) if !(2048..=4096).contains(&bits) => {
                let reason = std::format!("its RSA key has {bits} bits, not 2048 to 4096");
                return Err(refused(reason));
            }
            Some(kind) => kind,
            None => {
                let reason = "it is of a kind that Roles Anywhere does not take";
                return Err(refused(reason.into()));
            }
        };
        if key.signs == Some(false) {
            return Err(refused(
                "the token says that it must not sign (CKA_SIGN)".into(),
            ));
        }
        Ok(Self {
            key,
            kind,
            public_key,
            is_assumed,
        })
    }
}

/// The URI of a slot's token.
pub fn token_uri(slot: &Slot) -> Uri {
    slot.token.as_ref().map(Token::uri).unwrap_or_default()
}

/// The error for an object that is not there.
pub fn no_object(uri: &Uri, class: ObjectClass, present: Vec<Uri>) -> TokenError {
    TokenError::NoObject {
        uri: Box::new(uri.without_query()),
        what: class.describe().into(),
        present,
    }
}

/// The error for an object that is there more than once.
pub fn several_objects(uri: &Uri, class: ObjectClass, matches: Vec<Uri>) -> TokenError {
    TokenError::SeveralObjects {
        uri: Box::new(uri.without_query()),
        what: class.describe().into(),
        matches,
    }
}
