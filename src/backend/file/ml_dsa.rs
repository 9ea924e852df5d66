//! ML-DSA keys (FIPS 204) in the three forms of RFC 9881.

use std::boxed::Box;
use std::vec::Vec;

use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};
use ml_dsa::{
    ExpandedSigningKey, ExpandedSigningKeyBytes, MlDsa44, MlDsa65, MlDsa87, MlDsaParams, Seed,
};
use zeroize::Zeroizing;

use super::error::Reason;
use super::private_key::public_key_info;
use crate::backend::BoxedSigner;
use crate::core::key::{KeyKind, Scheme, SignError, Signer};
use crate::core::x509::oid;

/// The signer of an `ML-DSA-…-PrivateKey`, what the PKCS#8 document holds.
pub fn signer(kind: KeyKind, private_key: &[u8]) -> Result<BoxedSigner, Reason> {
    match kind {
        KeyKind::MlDsa44 => open::<MlDsa44>(kind, oid::ML_DSA_44, private_key),
        KeyKind::MlDsa65 => open::<MlDsa65>(kind, oid::ML_DSA_65, private_key),
        _ => open::<MlDsa87>(kind, oid::ML_DSA_87, private_key),
    }
}

const MALFORMED: Reason = Reason::Malformed("ML-DSA key");
const INCONSISTENT: Reason = Reason::Inconsistent("ML-DSA");

fn open<P: MlDsaParams + Send + 'static>(
    kind: KeyKind,
    algorithm: ObjectIdentifier,
    private_key: &[u8],
) -> Result<BoxedSigner, Reason> {
    let key = match Form::read(private_key).map_err(|_| MALFORMED)? {
        Form::Seed(seed) => from_seed::<P>(seed)?,
        Form::Expanded(expanded) => from_expanded::<P>(kind, expanded)?,
        Form::Both { seed, expanded } => {
            let key = from_seed::<P>(seed)?;
            #[expect(deprecated, reason = "files hold the expanded form")]
            let from_seed = Zeroizing::new(key.to_expanded());
            if from_seed.as_slice() != expanded {
                return Err(INCONSISTENT);
            }
            key
        }
    };
    let public_key = public_key_info(algorithm, None, &key.verifying_key().encode())?;
    Ok(Box::new(MlDsaSigner {
        key,
        kind,
        public_key,
    }))
}

/// `CHOICE { seed [0] OCTET STRING, expandedKey OCTET STRING, both SEQUENCE }` (RFC 9881 section 6).
enum Form<'a> {
    Seed(&'a [u8]),
    Expanded(&'a [u8]),
    Both { seed: &'a [u8], expanded: &'a [u8] },
}

impl<'a> Form<'a> {
    fn read(der: &'a [u8]) -> der::Result<Self> {
        const SEED: Tag = Tag::ContextSpecific {
            constructed: false,
            number: TagNumber(0),
        };
        let choice = AnyRef::from_der(der)?;
        match choice.tag() {
            SEED => Ok(Self::Seed(choice.value())),
            Tag::OctetString => Ok(Self::Expanded(choice.value())),
            _ => {
                let mut outer = SliceReader::new(der)?;
                outer.sequence(|reader| {
                    Ok(Self::Both {
                        seed: <&OctetStringRef>::decode(reader)?.as_bytes(),
                        expanded: <&OctetStringRef>::decode(reader)?.as_bytes(),
                    })
                })
            }
        }
    }
}

fn from_seed<P: MlDsaParams>(seed: &[u8]) -> Result<Box<ExpandedSigningKey<P>>, Reason> {
    let seed = Zeroizing::new(Seed::try_from(seed).map_err(|_| MALFORMED)?);
    Ok(Box::new(ExpandedSigningKey::from_seed(&seed)))
}

/// The crate does not check expanded keys: coefficients out of range make it panic, and parts that do
/// not belong together make signatures that nobody accepts.
fn from_expanded<P: MlDsaParams>(
    kind: KeyKind,
    expanded: &[u8],
) -> Result<Box<ExpandedSigningKey<P>>, Reason> {
    let expanded =
        Zeroizing::new(ExpandedSigningKeyBytes::<P>::try_from(expanded).map_err(|_| MALFORMED)?);
    if !short_vectors_in_range(kind, &expanded) {
        return Err(INCONSISTENT);
    }
    #[expect(deprecated, reason = "the file may hold nothing else")]
    let key = Box::new(ExpandedSigningKey::<P>::from_expanded(&expanded));
    let trial = key.sign_deterministic(&[], &[]).map_err(|_| INCONSISTENT)?;
    if key.verifying_key().verify_with_context(&[], &[], &trial) {
        Ok(key)
    } else {
        Err(INCONSISTENT)
    }
}

/// Whether the coefficients of `s1` and `s2`, packed as `eta - coefficient`, are between `-eta` and
/// `eta` (FIPS 204, tables 1 and 2 and algorithm 25).
fn short_vectors_in_range(kind: KeyKind, expanded: &[u8]) -> bool {
    /// `rho`, `K` and `tr`.
    const BEFORE: usize = 32 + 32 + 64;
    /// 256 coefficients of 13 bits.
    const T0_POLYNOMIAL: usize = 256 * 13 / 8;

    let (eta, k) = match kind {
        KeyKind::MlDsa44 => (2, 4),
        KeyKind::MlDsa65 => (4, 6),
        _ => (2, 8),
    };
    let bits = if eta == 2 { 3 } else { 4 };
    let short_vectors = &expanded[BEFORE..expanded.len() - k * T0_POLYNOMIAL];
    // Three bytes hold a whole number of coefficients of either width.
    short_vectors.chunks(3).all(|bytes| {
        let packed = bytes
            .iter()
            .rev()
            .fold(0, |packed: u32, &byte| packed << 8 | u32::from(byte));
        let coefficients = bytes.len() * 8 / bits;
        (0..coefficients).all(|index| packed >> (index * bits) & ((1 << bits) - 1) <= 2 * eta)
    })
}

struct MlDsaSigner<P: MlDsaParams> {
    key: Box<ExpandedSigningKey<P>>,
    kind: KeyKind,
    public_key: Vec<u8>,
}

impl<P: MlDsaParams> Signer for MlDsaSigner<P> {
    fn key(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn sign(&mut self, scheme: Scheme, message: &[u8], out: &mut [u8]) -> Result<usize, SignError> {
        if scheme != Scheme::MlDsa {
            return Err(SignError::UnsupportedScheme);
        }
        let signature = self
            .key
            .sign_deterministic(message, &[])
            .map_err(|_| SignError::Failed)?
            .encode();
        out.get_mut(..signature.len())
            .ok_or(SignError::BufferTooSmall)?
            .copy_from_slice(&signature);
        Ok(signature.len())
    }
}
