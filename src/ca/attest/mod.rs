//! The authority's side of attestation: a challenge, and what its answer proves.

mod credential;
mod error;
mod structure;
#[cfg(test)]
mod tests;

pub use credential::{Credential, make_credential};
pub use error::AttestError;

use std::string::String;
use std::vec::Vec;

use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::structure::{Attributes, Certified, PublicArea};
use super::index::rfc3339;
use crate::backend::attestation::{
    Answer, Challenge, Endorsed, Request, nonce, verify_endorsement,
};
use crate::core::identity::same_key;
use crate::core::text::Hex;
use crate::core::time::UnixTime;

/// The length of a challenge's number and of its secret, in bytes. No endorsement key takes a longer
/// secret than its hash, and SHA-256 is the shortest.
const ID_LEN: usize = 16;
const SECRET_LEN: usize = 32;

/// A challenge that waits for its answer. It is a secret until then: who knows the nonce needs no TPM with
/// that endorsement key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pending {
    /// What was shown.
    request: Request,
    /// What the statement has to be over.
    nonce: [u8; 32],
    /// The last second in which it can be answered.
    #[serde(with = "rfc3339")]
    expires: UnixTime,
}

/// Checks what a device shows, and makes a challenge that only its TPM can answer, until `expires`.
///
/// # Errors
/// [`AttestError`], by what is wrong.
pub fn challenge(
    request: &Request,
    roots: &[Vec<u8>],
    now: UnixTime,
    expires: UnixTime,
) -> Result<(Challenge, Pending), AttestError> {
    let shown = Shown::check(request, roots, now)?;
    let mut id = Vec::from([0; ID_LEN]);
    let mut secret = Zeroizing::new([0; SECRET_LEN]);
    let random = SystemRandom::new();
    random
        .fill(&mut id)
        .and_then(|()| random.fill(&mut *secret))
        .map_err(|_| AttestError::Random)?;
    let credential = make_credential(&request.ek_public, &shown.ak.name, &*secret)?;
    let pending = Pending {
        request: request.clone(),
        nonce: nonce(&*secret, &id),
        expires,
    };
    let challenge = Challenge {
        id,
        ek_name: shown.ek.name,
        ak_name: shown.ak.name,
        credential: credential.blob,
        encrypted_secret: credential.encrypted_secret,
    };
    Ok((challenge, pending))
}

impl Pending {
    /// Checks an answer to it: that the key `public_key` (a DER `SubjectPublicKeyInfo`) is in the TPM that
    /// was shown, was made there, and cannot leave it. That the answer is to this challenge, and was not
    /// used before, is for who keeps challenges.
    ///
    /// # Errors
    /// [`AttestError`], by what is wrong.
    pub fn check(
        &self,
        answer: &Answer,
        roots: &[Vec<u8>],
        public_key: &[u8],
        now: UnixTime,
    ) -> Result<Endorsed, AttestError> {
        if now > self.expires {
            return Err(AttestError::Expired(self.expires));
        }
        let shown = Shown::check(&self.request, roots, now)?;
        structure::check_signature(&shown.ak, &answer.statement, &answer.signature)?;
        let certified = Certified::read(&answer.statement)?;
        if certified.nonce != self.nonce {
            return Err(AttestError::Nonce);
        }
        if certified.name != shown.key.name {
            return Err(AttestError::OtherKey);
        }
        if !same_key(&shown.key.public_key, public_key) {
            return Err(AttestError::OtherRequest);
        }
        Ok(shown.endorsed)
    }

    /// Whether it can no longer be answered.
    pub fn is_over(&self, now: UnixTime) -> bool {
        now > self.expires
    }
}

impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pending")
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The name of a challenge's file, without its extension; `None` if that is no number of a challenge.
pub(super) fn file_name(id: &[u8]) -> Option<String> {
    (id.len() == ID_LEN).then(|| std::format!("{}", Hex(id)))
}

/// What a device showed, read and found good as far as it goes without the TPM.
struct Shown {
    endorsed: Endorsed,
    ek: PublicArea,
    ak: PublicArea,
    key: PublicArea,
}

impl Shown {
    fn check(request: &Request, roots: &[Vec<u8>], now: UnixTime) -> Result<Self, AttestError> {
        let read = |bytes: &[u8], key| {
            PublicArea::read(bytes).map_err(|error| AttestError::public_area(key, error))
        };
        let ek = read(&request.ek_public, "endorsement key")?;
        let endorsed = verify_endorsement(
            &request.ek_certificate,
            &request.ek_chain,
            roots,
            &ek.public_key,
            now,
        )?;
        credential::storage_cipher(&ek)?;
        let ak = read(&request.ak_public, "attestation key")?;
        bound_to_its_tpm(&ak, "attestation key")?;
        // TPM 2.0 Part 1, section 25: of what looks like a statement, a restricted key signs only what the
        // TPM wrote itself.
        for (attribute, name) in [
            (Attributes::RESTRICTED, "restricted"),
            (Attributes::SIGN, "sign"),
        ] {
            if !ak.attributes.has(attribute) {
                return Err(AttestError::Lacks("attestation key", name));
            }
        }
        if ak.scheme.is_none() {
            return Err(AttestError::NoScheme);
        }
        let key = read(&request.key_public, "key")?;
        bound_to_its_tpm(&key, "key")?;
        Ok(Self {
            endorsed,
            ek,
            ak,
            key,
        })
    }
}

/// Whether a key was made in its TPM and cannot leave it (TPM 2.0 Part 1, section 25.5).
fn bound_to_its_tpm(area: &PublicArea, key: &'static str) -> Result<(), AttestError> {
    for (attribute, name) in [
        (Attributes::FIXED_TPM, "fixedTPM"),
        (Attributes::FIXED_PARENT, "fixedParent"),
        (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
    ] {
        if !area.attributes.has(attribute) {
            return Err(AttestError::Lacks(key, name));
        }
    }
    Ok(())
}
