//! A new key pair.

use std::boxed::Box;
use std::string::String;
use std::vec;
use std::vec::Vec;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki_sys::*;
use der::Encode as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};

use super::{Family, Workbench, is_template_refused, unsupported};
use crate::backend::pkcs11::choice::token_uri;
use crate::backend::pkcs11::error::TokenError;
use crate::backend::pkcs11::local::Local;
use crate::backend::pkcs11::login;
use crate::backend::pkcs11::mechanism::{Plan, write_ecdsa};
use crate::backend::pkcs11::module::Object;
use crate::backend::pkcs11::objects::{self, PrivateKey};
use crate::backend::pkcs11::tokens::{GenerateKey, GeneratedKey, KeyAlgorithm, Operator, PinRole};
use crate::backend::pkcs11::uri::{ObjectClass, Uri};
use crate::backend::signature;
use crate::core::key::KeyKind;
use crate::core::x509::{PublicKeyInfo, key_kind, oid};

/// The length of a CKA_ID that is derived or random.
const ID_LEN: usize = 20;

/// Makes a key pair, and proves that it signs.
///
/// # Errors
/// [`TokenError`]; what was made is destroyed again then.
pub fn generate(
    tokens: &mut Local,
    request: &GenerateKey,
    operator: &mut dyn Operator,
) -> Result<GeneratedKey, TokenError> {
    if !matches!(
        request.uri.class,
        None | Some(ObjectClass::Private | ObjectClass::Public)
    ) {
        return Err(TokenError::Key {
            uri: Box::new(request.uri.without_query()),
            reason: "its URI's type= names something else than a key pair: leave it out".into(),
        });
    }
    let mut bench = Workbench::open(tokens, &request.uri, request.role, operator)?;
    bench.check_mechanism(request.algorithm)?;
    let is_yubikey = Family::of(&bench.slot) == Family::YubiKey;
    if is_yubikey {
        bench.check_piv_slot(&request.uri)?;
    }
    // A YubiKey would overwrite the key that is there.
    if is_yubikey || !request.allow_duplicate {
        bench.check_free(&request.uri, !is_yubikey)?;
    }
    let label = request.uri.object.as_deref();
    let (pair, id) = bench.make_named(request.algorithm, label, request.uri.id.as_deref())?;
    let finished = bench.finish(&pair, request.algorithm, id);
    if finished.is_err() {
        // The first error is the one to report.
        bench.destroy(&pair);
    }
    finished
}

/// A pair that was just made.
struct Pair {
    public: Object,
    private: Object,
}

impl Workbench<'_> {
    fn check_mechanism(&self, algorithm: KeyAlgorithm) -> Result<(), TokenError> {
        let known = self.module.mechanisms(self.slot.id);
        let known = known.map_err(|error| self.module.error(error))?;
        let wanted = CK_MECHANISM_TYPE::from(mechanism(algorithm).mechanism_type());
        if known.contains(&wanted) {
            return Ok(());
        }
        let what = match algorithm {
            KeyAlgorithm::Rsa(_) => "make RSA keys through its module",
            _ => "make EC keys through its module",
        };
        let remedy = Family::of(&self.slot).generates();
        Err(unsupported(&self.slot, what, None, remedy))
    }

    /// Asserts that the CKA_ID is a slot's: of a longer one ykcs11 takes the first byte, and no other.
    fn check_piv_slot(&self, uri: &Uri) -> Result<(), TokenError> {
        if let Some([0x01..=0x18]) = uri.id.as_deref() {
            return Ok(());
        }
        Err(TokenError::Key {
            uri: Box::new(uri.without_query()),
            reason: "a YubiKey's key is made in a slot, which its id says: %01 for 9a, %02 for 9c, %03 for 9d, \
                     %04 for 9e, %05 to %18 for 82 to 95"
                .into(),
        })
    }

    /// Asserts that neither the CKA_ID nor the label is some other key's: a name has to decide.
    fn check_free(&self, uri: &Uri, is_allowed: bool) -> Result<(), TokenError> {
        let names = [
            Uri {
                id: uri.id.clone(),
                ..Uri::default()
            },
            Uri {
                object: uri.object.clone(),
                ..Uri::default()
            },
        ];
        for name in names {
            if name == Uri::default() {
                continue;
            }
            let taken = objects::private_keys(&self.session, &name);
            let taken = taken.map_err(|error| self.module.error(error))?;
            if let Some(key) = taken.first() {
                return Err(TokenError::Exists {
                    uri: Box::new(key.uri(token_uri(&self.slot))),
                    unless: is_allowed.then(|| String::from("--allow-duplicate")),
                });
            }
        }
        Ok(())
    }

    /// Makes a pair with a label and a CKA_ID: what is asked for, else derived from the public key.
    fn make_named(
        &self,
        algorithm: KeyAlgorithm,
        label: Option<&str>,
        id: Option<&[u8]>,
    ) -> Result<(Pair, Vec<u8>), TokenError> {
        if let Some(id) = id {
            return Ok((self.make(algorithm, label, Some(id))?, id.to_vec()));
        }
        let pair = match self.make(algorithm, label, None) {
            Err(TokenError::Call { error, .. }) if error.is(CKR_TEMPLATE_INCOMPLETE) => {
                return self.make_numbered(algorithm, label);
            }
            made => made?,
        };
        let named = self.public_key(&pair).map(|key| derived_id(&key));
        let named = named.and_then(|id| {
            let set = |object| self.session.set(object, &[Attribute::Id(id.clone())]);
            let both = set(pair.public).and_then(|()| set(pair.private));
            both.map_err(|error| self.module.error(error))?;
            Ok(id)
        });
        match named {
            Ok(id) => Ok((pair, id)),
            // Some tokens fix the CKA_ID when the key is made.
            Err(TokenError::Call { .. }) => {
                self.destroy(&pair);
                self.make_numbered(algorithm, label)
            }
            Err(error) => {
                self.destroy(&pair);
                Err(error)
            }
        }
    }

    /// Makes a pair with a CKA_ID that nobody else has.
    fn make_numbered(
        &self,
        algorithm: KeyAlgorithm,
        label: Option<&str>,
    ) -> Result<(Pair, Vec<u8>), TokenError> {
        let mut id = [0; ID_LEN];
        SystemRandom::new().fill(&mut id).map_err(|_| {
            let what = "be given a CKA_ID: the system has no random numbers";
            unsupported(&self.slot, what, None, "")
        })?;
        let pair = self.make(algorithm, label, Some(&id))?;
        Ok((pair, id.to_vec()))
    }

    fn make(
        &self,
        algorithm: KeyAlgorithm,
        label: Option<&str>,
        id: Option<&[u8]>,
    ) -> Result<Pair, TokenError> {
        let attempt = |detail| {
            let (public, private) = templates(algorithm, label, id, detail);
            self.session
                .generate_key_pair(&mechanism(algorithm), &public, &private)
        };
        let mut result = attempt(Detail::Everything);
        for detail in [Detail::Needed, Detail::Least] {
            if result.is_err_and(is_template_refused) {
                result = attempt(detail);
            }
        }
        match result {
            Ok((public, private)) => Ok(Pair { public, private }),
            Err(error) => {
                let remedy = Family::of(&self.slot).generates();
                Err(self.failed(error, "make such a key through its module", remedy))
            }
        }
    }

    /// Reads the new key, and proves it.
    fn finish(
        &mut self,
        pair: &Pair,
        algorithm: KeyAlgorithm,
        id: Vec<u8>,
    ) -> Result<GeneratedKey, TokenError> {
        let public_key = self.public_key(pair)?;
        let key = PrivateKey::read(&self.session, pair.private);
        let key = key.map_err(|error| self.module.error(error))?;
        let uri = Uri {
            id: Some(id),
            ..key.uri(token_uri(&self.slot))
        };
        let refused = |reason: &str| TokenError::Key {
            uri: Box::new(uri.clone()),
            reason: reason.into(),
        };
        if key_kind(&public_key) != Some(kind(algorithm)) {
            return Err(refused("the token made a key of another kind"));
        }
        if key.extractable || !key.sensitive {
            return Err(refused(
                "the token made a key that can leave it, which is no better than a file",
            ));
        }
        // What the security officer makes the user uses, and both cannot be logged in at once: the first
        // signature, of the certificate request, is the proof.
        if self.role == PinRole::User {
            let proven = self.prove(&key, algorithm, &public_key);
            proven.map_err(|failure| match failure {
                Unproven::Token(error) => error,
                Unproven::Wrong => refused("a signature made with it does not fit its public key"),
            })?;
        }
        Ok(GeneratedKey { uri, public_key })
    }

    fn public_key(&self, pair: &Pair) -> Result<Vec<u8>, TokenError> {
        let read = |object| {
            objects::public_key(&self.session, object).map_err(|error| self.module.error(error))
        };
        let found = match read(pair.public)? {
            None => read(pair.private)?,
            found => found,
        };
        found.ok_or_else(|| {
            let what = "show the public key of a key that it made";
            unsupported(&self.slot, what, None, Family::of(&self.slot).generates())
        })
    }

    fn prove(
        &mut self,
        key: &PrivateKey,
        algorithm: KeyAlgorithm,
        public_key: &[u8],
    ) -> Result<(), Unproven> {
        const MESSAGE: &[u8] = b"keystead: a new key";
        let kind = kind(algorithm);
        let scheme = kind.roles_anywhere_scheme();
        let failed = |error| Unproven::Token(self.module.error(error));
        let mechanisms = self.module.mechanisms(self.slot.id).map_err(failed)?;
        let mut plan = Plan::new(kind, scheme, &mechanisms, false).map_err(|_| Unproven::Wrong)?;
        let mut started = self.session.sign_init(&plan.mechanism, key.object);
        if started.is_err_and(|error| error.is(CKR_MECHANISM_INVALID)) {
            // It is on the list all the same.
            plan = Plan::new(kind, scheme, &mechanisms, true).map_err(|_| Unproven::Wrong)?;
            started = self.session.sign_init(&plan.mechanism, key.object);
        }
        started.map_err(failed)?;
        if key.always_authenticate {
            match &self.pin {
                Some(pin) => login::confirm(&self.session, pin, &self.access, &*self.operator),
                None => login::log_in(
                    &self.session,
                    PinRole::Signature,
                    &self.access,
                    self.operator,
                )
                .map(drop),
            }
            .map_err(Unproven::Token)?;
        }
        let mut bare = vec![0; kind.max_signature_len().max(132)];
        let prepared = plan.input.prepare(MESSAGE);
        let data = prepared.as_deref().unwrap_or(MESSAGE);
        let len = self.session.sign(data, &mut bare).map_err(failed)?;
        bare.truncate(len);
        let mut signature = vec![0; kind.max_signature_len()];
        let signature = if let KeyKind::Rsa { .. } = kind {
            &bare[..]
        } else {
            let len = write_ecdsa(kind, &bare, &mut signature).map_err(|_| Unproven::Wrong)?;
            &signature[..len]
        };
        signature::verify(public_key, scheme, MESSAGE, signature).map_err(|_| Unproven::Wrong)
    }

    /// As far as the token lets it.
    fn destroy(&self, pair: &Pair) {
        for object in [pair.private, pair.public] {
            // There is nothing more to be done; the error that led here is the one to report.
            let _ = self.session.destroy(object);
        }
    }
}

enum Unproven {
    Token(TokenError),
    Wrong,
}

/// How much a template says. Some modules refuse what they would do anyway; what came of it is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Detail {
    Least,
    Needed,
    Everything,
}

fn templates(
    algorithm: KeyAlgorithm,
    label: Option<&str>,
    id: Option<&[u8]>,
    detail: Detail,
) -> (Vec<Attribute>, Vec<Attribute>) {
    let mut public = vec![Attribute::Token(true)];
    let mut private = vec![Attribute::Token(true)];
    match algorithm {
        KeyAlgorithm::Rsa(bits) => {
            public.push(Attribute::ModulusBits(CK_ULONG::from(bits).into()));
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
        }
        // A named curve is its OID.
        KeyAlgorithm::P256 => public.extend(oid::P256.to_der().map(Attribute::EcParams)),
        KeyAlgorithm::P384 => public.extend(oid::P384.to_der().map(Attribute::EcParams)),
        KeyAlgorithm::P521 => public.extend(oid::P521.to_der().map(Attribute::EcParams)),
    }
    for template in [&mut public, &mut private] {
        template.extend(id.map(|id| Attribute::Id(id.to_vec())));
        if detail > Detail::Least {
            template.extend(label.map(|label| Attribute::Label(label.into())));
        }
    }
    if detail > Detail::Least {
        private.push(Attribute::Private(true));
        private.push(Attribute::Sensitive(true));
        private.push(Attribute::Extractable(false));
        private.push(Attribute::Sign(true));
        public.push(Attribute::Verify(true));
    }
    if detail == Detail::Everything {
        // It signs, and does nothing else. Some modules allow more unless they are told not to.
        public.extend([
            Attribute::Private(false),
            Attribute::Encrypt(false),
            Attribute::VerifyRecover(false),
            Attribute::Wrap(false),
        ]);
        private.extend([
            Attribute::Decrypt(false),
            Attribute::Derive(false),
            Attribute::SignRecover(false),
            Attribute::Unwrap(false),
        ]);
    }
    (public, private)
}

fn mechanism(algorithm: KeyAlgorithm) -> Mechanism<'static> {
    match algorithm {
        KeyAlgorithm::Rsa(_) => Mechanism::RsaPkcsKeyPairGen,
        _ => Mechanism::EccKeyPairGen,
    }
}

fn kind(algorithm: KeyAlgorithm) -> KeyKind {
    match algorithm {
        KeyAlgorithm::P256 => KeyKind::P256,
        KeyAlgorithm::P384 => KeyKind::P384,
        KeyAlgorithm::P521 => KeyKind::P521,
        KeyAlgorithm::Rsa(bits) => KeyKind::Rsa { bits },
    }
}

/// The first 160 bits of the SHA-256 of the key (RFC 7093 section 2, method 1): what certificates of
/// `keystead ca` name it by, too.
fn derived_id(public_key: &[u8]) -> Vec<u8> {
    let key = PublicKeyInfo::from_der(public_key).map_or(public_key, |info| info.key);
    Sha256::digest(key)[..ID_LEN].to_vec()
}
