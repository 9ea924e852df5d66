//! From what is asked for to one key, and the certificates beside it.

use std::borrow::ToOwned as _;
use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use super::call::CallError;
use super::choice::{Found, Wanted, choose, no_object, several_objects, token_uri};
use super::error::{PinProblem, TokenError};
use super::login;
use super::module::{Module, Session};
use super::objects::{self, PrivateKey, StoredCertificate};
use super::slots::{self, Slot, Token};
use super::tokens::{Access, Leaf, OpenKey, Operator};
use super::uri::{ObjectClass, Uri};
use crate::backend::secret::Secret;
use crate::core::identity::same_key;
use crate::core::key::KeyKind;
use crate::core::x509::Certificate;

/// A key that was found, in a session that can use it.
pub struct Located {
    /// The session.
    pub session: Session,
    /// The slot.
    pub slot: Slot,
    /// The key.
    pub key: PrivateKey,
    /// Its URI.
    pub uri: Uri,
    /// What kind it is.
    pub kind: KeyKind,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// Whether the public key is the certificate's because the token shows none: a signature is still to
    /// prove it.
    pub is_assumed: bool,
    /// The PIN that the token took just now.
    pub pin: Option<Secret>,
    /// As [`super::OpenedKey::certificates`].
    pub certificates: Vec<Vec<u8>>,
}

/// Finds the key, logging in where that is needed.
///
/// # Errors
/// [`TokenError`].
pub fn locate(
    module: &Arc<Module>,
    request: &OpenKey,
    access: &Access,
    operator: &mut dyn Operator,
) -> Result<Located, TokenError> {
    let mut search = Search {
        module,
        access,
        operator,
        pin: None,
    };
    let mut holders = Vec::new();
    let wanted: Vec<Wanted> = match &request.leaf {
        Leaf::None => Vec::new(),
        Leaf::OneOf(certificates) => {
            let read = certificates
                .iter()
                .filter_map(|der| Certificate::from_der(der).ok());
            read.map(|one| Wanted::of(one.public_key)).collect()
        }
        Leaf::Token(uri) => {
            holders = match request.key {
                // The key decides between certificates of several tokens.
                Some(_) => search.holders(uri)?,
                None => std::vec![search.holder(uri)?],
            };
            let found = holders.iter().flat_map(|holder| &holder.found);
            let wanted = found.map(|one| Wanted {
                id: one.id.clone(),
                label: one.label.clone(),
                public_key: one.public_key().to_owned(),
            });
            wanted.collect()
        }
    };
    let slot = match (&request.key, &holders[..]) {
        (None, [holder]) => holder.slot.clone(),
        (uri, _) => search.slot(&uri.clone().unwrap_or_default(), &wanted)?,
    };
    let session = search.session(&slot)?;
    let found = search.key(&session, &slot, request.key.as_ref(), &wanted)?;
    let certificates = search.chain(&holders, &found.public_key)?;
    Ok(Located::new(search.pin, session, slot, found, certificates))
}

/// Finds a key again that was open: the one with that public key, wherever on its token it is now.
///
/// # Errors
/// [`TokenError`].
pub fn locate_again(
    module: &Arc<Module>,
    request: &OpenKey,
    public_key: &[u8],
    access: &Access,
    operator: &mut dyn Operator,
) -> Result<Located, TokenError> {
    let mut search = Search {
        module,
        access,
        operator,
        pin: None,
    };
    let wanted = [Wanted::of(public_key)];
    let uri = match (&request.key, &request.leaf) {
        (Some(uri), _) => uri.clone(),
        // The certificate named the token, but it may be another certificate by now.
        (None, Leaf::Token(uri)) => uri.token_only(),
        (None, _) => Uri::default(),
    };
    let slot = search.slot(&uri, &wanted)?;
    let session = search.session(&slot)?;
    let found = search.key(&session, &slot, Some(&uri), &wanted)?;
    Ok(Located::new(search.pin, session, slot, found, Vec::new()))
}

impl Located {
    fn new(
        pin: Option<Secret>,
        session: Session,
        slot: Slot,
        found: Found,
        certificates: Vec<Vec<u8>>,
    ) -> Self {
        Self {
            session,
            uri: found.key.uri(token_uri(&slot)),
            slot,
            kind: found.kind,
            key: found.key,
            public_key: found.public_key,
            is_assumed: found.is_assumed,
            pin,
            certificates,
        }
    }
}

/// What one token has of the certificates that a URI names.
pub struct Holder {
    /// At least one.
    pub found: Vec<StoredCertificate>,
    /// Where they are.
    pub slot: Slot,
}

/// The certificates that a URI names, by their tokens.
///
/// # Errors
/// [`TokenError`]; there is at least one.
pub fn certificates(
    module: &Arc<Module>,
    uri: &Uri,
    access: &Access,
    operator: &mut dyn Operator,
) -> Result<Vec<Holder>, TokenError> {
    let mut search = Search {
        module,
        access,
        operator,
        pin: None,
    };
    search.holders(uri)
}

struct Search<'a> {
    module: &'a Arc<Module>,
    access: &'a Access,
    operator: &'a mut dyn Operator,
    pin: Option<Secret>,
}

impl Search<'_> {
    fn session(&self, slot: &Slot) -> Result<Session, TokenError> {
        Session::open(self.module, slot.id, false).map_err(|error| self.module.error(error))
    }

    fn slots(&self, uri: &Uri) -> Result<Vec<Slot>, TokenError> {
        let failed = |error| self.module.error(error);
        let slots = slots::matching(self.module, uri).map_err(failed)?;
        if slots.is_empty() {
            let all = slots::matching(self.module, &Uri::default()).map_err(failed)?;
            return Err(TokenError::NoToken {
                uri: Box::new(uri.without_query()),
                present: all.iter().map(token_uri).collect(),
            });
        }
        Ok(slots)
    }

    /// Logs in, unless that is not needed or was done before.
    fn log_in(&mut self, session: &Session, slot: &Slot) -> Result<bool, TokenError> {
        let needed = slot.token.as_ref().is_some_and(Token::login_required);
        let failed = |error| self.module.error(error);
        if !needed || session.logged_in().map_err(failed)?.is_some() {
            return Ok(false);
        }
        let role = super::tokens::PinRole::User;
        self.pin = login::log_in(session, role, self.access, self.operator)?;
        Ok(true)
    }

    /// The certificates that a URI names, of the one token that has any.
    fn holder(&mut self, uri: &Uri) -> Result<Holder, TokenError> {
        match <[Holder; 1]>::try_from(self.holders(uri)?) {
            Ok([holder]) => Ok(holder),
            Err(holders) => {
                let each = |holder: &Holder| {
                    let slot = token_uri(&holder.slot);
                    let uris = holder.found.iter().map(|one| one.uri(slot.clone()));
                    uris.collect::<Vec<_>>()
                };
                let matches = holders.iter().flat_map(each).collect();
                Err(several_objects(uri, ObjectClass::Certificate, matches))
            }
        }
    }

    /// The certificates that a URI names, by their tokens: shown without a login if possible. There is at
    /// least one.
    fn holders(&mut self, uri: &Uri) -> Result<Vec<Holder>, TokenError> {
        let slots = self.slots(uri)?;
        let module = self.module;
        let failed = |error| module.error(error);
        let mut holders = Vec::new();
        for slot in &slots {
            let found = identities(&self.session(slot)?, uri).map_err(failed)?;
            if !found.is_empty() {
                let slot = slot.clone();
                holders.push(Holder { found, slot });
            }
        }
        if let ([], [slot]) = (&holders[..], &slots[..]) {
            let session = self.session(slot)?;
            if self.log_in(&session, slot)? {
                let found = identities(&session, uri).map_err(failed)?;
                if !found.is_empty() {
                    let slot = slot.clone();
                    holders.push(Holder { found, slot });
                }
            }
        }
        if !holders.is_empty() {
            return Ok(holders);
        }
        let mut present = Vec::new();
        for slot in &slots {
            let session = self.session(slot)?;
            let all = objects::certificates(&session, &Uri::default()).map_err(failed)?;
            present.extend(all.iter().map(|one| one.uri(token_uri(slot))));
        }
        Err(no_object(uri, ObjectClass::Certificate, present))
    }

    /// The one token on which the key is. Where several could be meant, what they show without a login
    /// decides: only one is logged in to.
    fn slot(&mut self, uri: &Uri, leaves: &[Wanted]) -> Result<Slot, TokenError> {
        let mut slots = self.slots(uri)?;
        if slots.len() > 1 {
            let mut hits = Vec::new();
            for slot in &slots {
                let session = self.session(slot)?;
                let shown = self.shows(&session, uri, leaves);
                if shown.map_err(|error| self.module.error(error))? {
                    hits.push(slot.clone());
                }
            }
            if !hits.is_empty() {
                slots = hits;
            }
        }
        match <[Slot; 1]>::try_from(slots) {
            Ok([slot]) => Ok(slot),
            Err(several) => Err(TokenError::SeveralTokens {
                uri: Box::new(uri.without_query()),
                matches: several.iter().map(token_uri).collect(),
            }),
        }
    }

    /// Whether a token shows, without a login, something of the key that is looked for.
    fn shows(&self, session: &Session, uri: &Uri, leaves: &[Wanted]) -> Result<bool, CallError> {
        let keys = objects::shown_public_keys(session, uri)?;
        if leaves.is_empty() {
            return Ok(!keys.is_empty() || !objects::private_keys(session, uri)?.is_empty());
        }
        Ok(keys
            .iter()
            .any(|key| leaves.iter().any(|leaf| same_key(&leaf.public_key, key))))
    }

    /// The key, by its URI or by its certificate's CKA_ID, label and public key.
    fn key(
        &mut self,
        session: &Session,
        slot: &Slot,
        uri: Option<&Uri>,
        leaves: &[Wanted],
    ) -> Result<Found, TokenError> {
        // In this order; what is in one line counts alike.
        let mut wanted: [Vec<Uri>; 3] = Default::default();
        match uri {
            Some(uri) => wanted[0].push(uri.clone()),
            None => {
                let by_id = leaves.iter().filter(|leaf| !leaf.id.is_empty());
                wanted[0].extend(by_id.map(|leaf| Uri {
                    id: Some(leaf.id.clone()),
                    ..Uri::default()
                }));
                let by_label = leaves.iter().filter(|leaf| !leaf.label.is_empty());
                wanted[1].extend(by_label.map(|leaf| Uri {
                    object: Some(leaf.label.clone()),
                    ..Uri::default()
                }));
                wanted[2].push(Uri::default());
            }
        }
        let asked = uri.cloned().unwrap_or_default();
        let mut problem = None;
        for alike in &wanted {
            let mut hits: Vec<Found> = Vec::new();
            for uri in alike {
                match self.key_of(session, slot, uri, leaves) {
                    Ok(Some(found)) => {
                        if !hits
                            .iter()
                            .any(|hit| same_key(&hit.public_key, &found.public_key))
                        {
                            hits.push(found);
                        }
                    }
                    Ok(None) => {}
                    Err(error @ (TokenError::KeyMismatch { .. } | TokenError::Key { .. })) => {
                        problem.get_or_insert(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            if hits.len() > 1 {
                // Several certificates match, and the key of each is here.
                let matches = hits
                    .iter()
                    .map(|hit| hit.key.uri(token_uri(slot)))
                    .collect();
                let uri = token_uri(slot);
                return Err(several_objects(&uri, ObjectClass::Private, matches));
            }
            if let Some(found) = hits.pop() {
                return Ok(found);
            }
        }
        if let Some(error) = problem {
            return Err(error);
        }
        let all = objects::private_keys(session, &Uri::default())
            .map_err(|error| self.module.error(error))?;
        let present = all.iter().map(|key| key.uri(token_uri(slot))).collect();
        Err(no_object(&asked, ObjectClass::Private, present))
    }

    fn key_of(
        &mut self,
        session: &Session,
        slot: &Slot,
        uri: &Uri,
        leaves: &[Wanted],
    ) -> Result<Option<Found>, TokenError> {
        let module = self.module;
        let failed = |error| module.error(error);
        let mut keys = objects::private_keys(session, uri).map_err(failed)?;
        let is_hidden = keys.is_empty() || keys.iter().any(|key| key.private);
        if is_hidden {
            match self.log_in(session, slot) {
                Ok(false) => {}
                Ok(true) => keys = objects::private_keys(session, uri).map_err(failed)?,
                // What it shows it may also use: a PIV card's key for doors needs no PIN.
                Err(TokenError::Pin {
                    problem: PinProblem::Needed,
                    ..
                }) if !keys.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        if keys.iter().any(|key| key.signs != Some(false)) {
            keys.retain(|key| key.signs != Some(false));
        }
        let mut candidates = Vec::new();
        for key in keys {
            let public_key = key.public_key(session).map_err(failed)?;
            candidates.push((key, public_key));
        }
        choose(candidates, slot, uri, leaves)
    }

    /// The newest certificate of the key, and all others of its token that may lead up from it.
    fn chain(&self, holders: &[Holder], public_key: &[u8]) -> Result<Vec<Vec<u8>>, TokenError> {
        let not_before = |der: &[u8]| Certificate::from_der(der).map(|one| one.not_before).ok();
        let leaves = holders.iter().flat_map(|holder| {
            let found = holder.found.iter();
            found.map(|leaf| (leaf, &holder.slot))
        });
        let newest = leaves
            .filter(|(leaf, _)| same_key(leaf.public_key(), public_key))
            .max_by_key(|(leaf, _)| not_before(&leaf.der));
        let Some((leaf, slot)) = newest else {
            return Ok(Vec::new());
        };
        let session = self.session(slot)?;
        let others = objects::certificates(&session, &Uri::default())
            .map_err(|error| self.module.error(error))?;
        let others = others
            .into_iter()
            .filter(|other| !same_key(other.public_key(), public_key));
        let leaf = core::iter::once(leaf.der.clone());
        Ok(leaf.chain(others.map(|other| other.der)).collect())
    }
}

/// The certificates that a URI names and that may be somebody's identity.
fn identities(session: &Session, uri: &Uri) -> Result<Vec<StoredCertificate>, CallError> {
    let mut found = objects::certificates(session, uri)?;
    found.retain(|one| !one.is_placeholder());
    Ok(found)
}
