//! Proof that a key is in a genuine TPM: what the device and the authority send to each other, and what
//! both have to know of it.
//!
//! An endorsement key cannot sign, so the proof is a challenge. The device shows ([`Request`]) its
//! endorsement key with the maker's certificate, an attestation key, and the key. The authority
//! encrypts a secret so that only the TPM with that endorsement key can decrypt it, and only while it
//! holds that attestation key ([`Challenge`]). The device has the attestation key certify the key, over a
//! nonce that follows from the secret ([`Answer`]).

mod endorsement;
mod text;

pub use endorsement::{Endorsed, EndorsementError, verify_endorsement};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::vec::Vec;
use zeroize::Zeroizing;

/// What a device shows. Public areas are `TPMT_PUBLIC` (TPM 2.0 Part 2, section 12.2.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The endorsement key's certificate, by the TPM's maker; DER.
    #[serde(with = "text::base64")]
    pub ek_certificate: Vec<u8>,
    /// Certificates between it and a root, as far as the TPM has them; each DER.
    #[serde(with = "text::base64_list")]
    pub ek_chain: Vec<Vec<u8>>,
    /// The endorsement key's public area.
    #[serde(with = "text::base64")]
    pub ek_public: Vec<u8>,
    /// The attestation key's public area.
    #[serde(with = "text::base64")]
    pub ak_public: Vec<u8>,
    /// The public area of the key that is to be certified.
    #[serde(with = "text::base64")]
    pub key_public: Vec<u8>,
}

/// What an authority asks. Names are those of TPM 2.0 Part 1, section 16.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    /// Which challenge it is: random.
    #[serde(with = "text::hex")]
    pub id: Vec<u8>,
    /// The name of the endorsement key that can decrypt the secret.
    #[serde(with = "text::hex")]
    pub ek_name: Vec<u8>,
    /// The name of the attestation key that has to be there.
    #[serde(with = "text::hex")]
    pub ak_name: Vec<u8>,
    /// The secret, encrypted: the contents of a `TPM2B_ID_OBJECT`.
    #[serde(with = "text::base64")]
    pub credential: Vec<u8>,
    /// What its key follows from, encrypted to the endorsement key: the contents of a
    /// `TPM2B_ENCRYPTED_SECRET`.
    #[serde(with = "text::base64")]
    pub encrypted_secret: Vec<u8>,
}

/// What a device answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Of the challenge.
    #[serde(with = "text::hex")]
    pub id: Vec<u8>,
    /// What the TPM certifies: a `TPMS_ATTEST`.
    #[serde(with = "text::base64")]
    pub statement: Vec<u8>,
    /// The attestation key's signature on it: a `TPMT_SIGNATURE`.
    #[serde(with = "text::base64")]
    pub signature: Vec<u8>,
}

/// What goes into the statement (its `extraData`), so that it can only have been made by who decrypted
/// the secret of this challenge: the HMAC-SHA256 of the challenge's number with the secret. The prefix
/// keeps the statement from being the answer to another protocol.
pub fn nonce(secret: &[u8], id: &[u8]) -> [u8; 32] {
    // RFC 2104 section 2: a key is a block, filled up with zeros; of a longer one its hash is.
    let mut block = Zeroizing::new([0; 64]);
    match block.get_mut(..secret.len()) {
        Some(start) => start.copy_from_slice(secret),
        None => block[..32].copy_from_slice(&Sha256::digest(secret)),
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(b"keystead attestation 1\0");
    mac.update(id);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use ring::hmac::{HMAC_SHA256, Key, sign};

    #[test]
    fn nonces_are_hmacs_with_secrets_of_every_length() {
        for len in [0, 1, 32, 63, 64, 65, 200] {
            let secret: std::vec::Vec<u8> = (0..len).map(|byte| byte as u8 ^ 0x5a).collect();
            let tag = sign(
                &Key::new(HMAC_SHA256, &secret),
                b"keystead attestation 1\0number",
            );
            assert_eq!(super::nonce(&secret, b"number"), tag.as_ref(), "{len}");
        }
    }
}
