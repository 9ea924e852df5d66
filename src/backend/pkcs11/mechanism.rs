//! How a token makes a signature of a scheme: what it is given, and what becomes of its answer.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki_sys::CK_MECHANISM_TYPE;

use crate::backend::algorithm::{Digest, Hash, SignatureAlgorithm};
use crate::core::ecdsa;
use crate::core::key::{KeyKind, Scheme, SignError};

/// A mechanism, and what it is given.
pub struct Plan {
    /// The mechanism.
    pub mechanism: Mechanism<'static>,
    /// What it signs.
    pub input: Input,
}

/// What a mechanism signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The message: the token hashes it.
    Message,
    /// Its digest, cut to the length of the curve's order.
    Digest(Hash, usize),
    /// Its digest in a DER `DigestInfo` (RFC 8017 section 9.2).
    DigestInfo(Hash),
}

impl Plan {
    /// How a key of this kind signs; the token hashes where it can, unless `raw`.
    ///
    /// # Errors
    /// [`SignError::UnsupportedScheme`] if the key does not go with the scheme, or the token has no
    /// mechanism for it.
    pub fn new(
        kind: KeyKind,
        scheme: Scheme,
        mechanisms: &[CK_MECHANISM_TYPE],
        raw: bool,
    ) -> Result<Self, SignError> {
        let (hashing, bare) = match (kind, SignatureAlgorithm::from(scheme)) {
            (KeyKind::Rsa { .. }, SignatureAlgorithm::RsaPkcs1(hash)) => (
                match hash {
                    Hash::Sha256 => Mechanism::Sha256RsaPkcs,
                    Hash::Sha384 => Mechanism::Sha384RsaPkcs,
                    Hash::Sha512 => Mechanism::Sha512RsaPkcs,
                },
                (Mechanism::RsaPkcs, Input::DigestInfo(hash)),
            ),
            (KeyKind::Rsa { .. }, SignatureAlgorithm::RsaPss(hash)) => {
                let (parameters, hashing) = pss(hash);
                let input = Input::Digest(hash, hash.digest_len());
                (hashing, (Mechanism::RsaPkcsPss(parameters), input))
            }
            (KeyKind::P256 | KeyKind::P384 | KeyKind::P521, SignatureAlgorithm::Ecdsa(hash)) => (
                match hash {
                    Hash::Sha256 => Mechanism::EcdsaSha256,
                    Hash::Sha384 => Mechanism::EcdsaSha384,
                    Hash::Sha512 => Mechanism::EcdsaSha512,
                },
                (Mechanism::Ecdsa, Input::Digest(hash, order_len(kind))),
            ),
            _ => return Err(SignError::UnsupportedScheme),
        };
        let has = |mechanism: &Mechanism<'_>| {
            let wanted = CK_MECHANISM_TYPE::from(mechanism.mechanism_type());
            mechanisms.contains(&wanted)
        };
        let (mechanism, input) = bare;
        // Not every module cuts a digest that is longer than the curve's order.
        let is_cut = matches!(input, Input::Digest(hash, most) if hash.digest_len() > most);
        if !raw && has(&hashing) && !(is_cut && has(&mechanism)) {
            return Ok(Self {
                mechanism: hashing,
                input: Input::Message,
            });
        }
        if !has(&mechanism) {
            return Err(SignError::UnsupportedScheme);
        }
        Ok(Self { mechanism, input })
    }
}

fn pss(hash: Hash) -> (PkcsPssParams, Mechanism<'static>) {
    let (hash_alg, mgf, s_len) = match hash {
        Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
        Hash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
        Hash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
    };
    let parameters = PkcsPssParams {
        hash_alg,
        mgf,
        s_len: s_len.into(),
    };
    let hashing = match hash {
        Hash::Sha256 => Mechanism::Sha256RsaPkcsPss(parameters),
        Hash::Sha384 => Mechanism::Sha384RsaPkcsPss(parameters),
        Hash::Sha512 => Mechanism::Sha512RsaPkcsPss(parameters),
    };
    (parameters, hashing)
}

/// The length in bytes of a number below the order of the curve.
fn order_len(kind: KeyKind) -> usize {
    match kind {
        KeyKind::P256 => 32,
        KeyKind::P384 => 48,
        _ => 66,
    }
}

/// What a token is given, where it is not the message.
pub struct Prepared {
    bytes: [u8; 19 + 64],
    len: usize,
}

impl Input {
    /// What to give to the token; `None` if that is the message itself.
    pub fn prepare(self, message: &[u8]) -> Option<Prepared> {
        let (prefix, digest, len): (&[u8], Digest, usize) = match self {
            Self::Message => return None,
            Self::Digest(hash, most) => (&[], hash.digest(message), most),
            Self::DigestInfo(hash) => (digest_info(hash), hash.digest(message), 64),
        };
        let digest = &digest[..digest.len().min(len)];
        let len = prefix.len() + digest.len();
        let mut bytes = [0; 19 + 64];
        bytes[..prefix.len()].copy_from_slice(prefix);
        bytes[prefix.len()..len].copy_from_slice(digest);
        Some(Prepared { bytes, len })
    }
}

impl core::ops::Deref for Prepared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// What comes before the digest in a `DigestInfo` (RFC 8017 section 9.2, note 1).
fn digest_info(hash: Hash) -> &'static [u8; 19] {
    match hash {
        Hash::Sha256 => {
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
        }
        Hash::Sha384 => {
            b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
        }
        Hash::Sha512 => {
            b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
        }
    }
}

/// Writes the DER `SEQUENCE {r, s}` of a bare `r || s`, both as long as the curve's order.
///
/// # Errors
/// [`SignError::Failed`] if that is not what it is.
pub fn write_ecdsa(kind: KeyKind, bare: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
    if bare.len() != 2 * order_len(kind) {
        return Err(SignError::Failed);
    }
    let (r, s) = bare.split_at(order_len(kind));
    ecdsa::write(r, s, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cryptoki_sys::{
        CKM_ECDSA, CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS,
    };
    use der::asn1::UintRef;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn plan(kind: KeyKind, scheme: Scheme, mechanisms: &[CK_MECHANISM_TYPE]) -> Option<Input> {
        let plan = Plan::new(kind, scheme, mechanisms, false).ok()?;
        Some(plan.input)
    }

    #[test]
    fn the_token_hashes_where_it_can() {
        let (kind, scheme) = (KeyKind::P256, Scheme::EcdsaSha256);
        let both = [CKM_ECDSA, CKM_ECDSA_SHA256];
        assert_eq!(plan(kind, scheme, &both), Some(Input::Message));
        let cut = Input::Digest(Hash::Sha256, 32);
        assert_eq!(plan(kind, scheme, &[CKM_ECDSA]), Some(cut));
        assert!(matches!(
            Plan::new(kind, scheme, &both, true),
            Ok(Plan { input, .. }) if input == cut
        ));
        assert_eq!(plan(kind, scheme, &[]), None);
        let long = [CKM_ECDSA, CKM_ECDSA_SHA384];
        let cut = Input::Digest(Hash::Sha384, 32);
        assert_eq!(plan(kind, Scheme::EcdsaSha384, &long), Some(cut));
        let only = plan(kind, Scheme::EcdsaSha384, &long[1..]);
        assert_eq!(only, Some(Input::Message));
        let rsa = KeyKind::Rsa { bits: 2048 };
        let (scheme, both) = (Scheme::RsaPkcs1Sha256, [CKM_RSA_PKCS, CKM_SHA256_RSA_PKCS]);
        assert_eq!(plan(rsa, scheme, &both), Some(Input::Message));
        let info = Input::DigestInfo(Hash::Sha256);
        assert_eq!(plan(rsa, scheme, &both[..1]), Some(info));
        assert_eq!(plan(rsa, Scheme::EcdsaSha256, &both), None);
        assert_eq!(plan(kind, Scheme::MlDsa, &both), None);
    }

    #[test]
    fn digests_are_cut_to_the_curve() {
        let prepared = Input::Digest(Hash::Sha512, 32).prepare(b"m").unwrap();
        assert_eq!(*prepared, Hash::Sha512.digest(b"m")[..32]);
        let prepared = Input::Digest(Hash::Sha256, 66).prepare(b"m").unwrap();
        assert_eq!(*prepared, *Hash::Sha256.digest(b"m"));
    }

    #[test]
    fn the_digest_info_is_der_with_the_digest_in_it() {
        use der::{Decode as _, Reader as _, SliceReader};
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let prepared = Input::DigestInfo(hash).prepare(b"m").unwrap();
            let mut reader = SliceReader::new(&prepared).unwrap();
            let digest = reader
                .sequence(|fields| {
                    fields.tlv_bytes()?;
                    <&der::asn1::OctetStringRef>::decode(fields)
                })
                .unwrap();
            reader.finish().unwrap();
            assert_eq!(digest.as_bytes(), &*hash.digest(b"m"));
        }
    }

    proptest! {
        #[test]
        fn ecdsa_comes_out_as_der(
            bare in proptest::collection::vec(any::<u8>(), 0..140),
            zeros in 0usize..40,
        ) {
            for kind in [KeyKind::P256, KeyKind::P384, KeyKind::P521] {
                let mut bare = bare.clone();
                let len = 2 * order_len(kind);
                let mut out = [0; 139];
                if bare.len() != len {
                    prop_assert!(write_ecdsa(kind, &bare, &mut out).is_err());
                }
                bare.resize(len, 7);
                bare[..zeros].fill(0);
                if kind == KeyKind::P521 {
                    // Its numbers have 521 bits.
                    bare[0] &= 1;
                    bare[len / 2] &= 1;
                }
                let most = kind.max_signature_len();
                let written = write_ecdsa(kind, &bare, &mut out[..most]).unwrap();
                let numbers = numbers(&out[..written]);
                let (r, s) = bare.split_at(len / 2);
                prop_assert_eq!(numbers, (trimmed(r), trimmed(s)));
            }
        }
    }

    fn numbers(signature: &[u8]) -> (Vec<u8>, Vec<u8>) {
        use der::{Decode as _, Reader as _, SliceReader};
        let mut reader = SliceReader::new(signature).unwrap();
        let numbers = reader
            .sequence(|fields| {
                let r = UintRef::decode(fields)?.as_bytes().to_vec();
                let s = UintRef::decode(fields)?.as_bytes().to_vec();
                Ok::<_, der::Error>((r, s))
            })
            .unwrap();
        reader.finish().unwrap();
        numbers
    }

    fn trimmed(number: &[u8]) -> Vec<u8> {
        let first = number.iter().position(|&byte| byte != 0);
        number[first.unwrap_or(number.len() - 1)..].to_vec()
    }
}
