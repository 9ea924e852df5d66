//! The public area of an object (TPMT_PUBLIC; TPM 2.0 Part 2, section 12.2.4), and its name.

use core::ops::Deref;

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tpm2_protocol::basic::TpmUint16;
use tpm2_protocol::data::{
    Tpm2bDigest, Tpm2bEccParameter, Tpm2bPublicKeyRsa, TpmAlgId, TpmEccCurve, TpmaObject,
    TpmsEccParms, TpmsEccPoint, TpmsRsaParms, TpmtEccScheme, TpmtKdfScheme, TpmtPublic,
    TpmtRsaScheme, TpmtSymDefObject, TpmuAsymScheme, TpmuPublicId, TpmuPublicParms, TpmuSymKeyBits,
    TpmuSymMode,
};
use tpm2_protocol::{TpmMarshal as _, TpmUnmarshal as _, TpmWriter};

use super::Error;

/// The longest public area: that of an RSA key with 4096 bits and a policy.
pub const MAX_PUBLIC_LEN: usize = 640;

/// The attributes of an object (TPMA_OBJECT; TPM 2.0 Part 2, section 8.3).
pub mod attributes {
    /// It cannot be duplicated.
    pub const FIXED_TPM: u32 = 1 << 1;
    /// It stays under its parent.
    pub const FIXED_PARENT: u32 = 1 << 4;
    /// The TPM made its private part.
    pub const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    /// It is used by its auth value.
    pub const USER_WITH_AUTH: u32 = 1 << 6;
    /// Its failures do not count towards lockout.
    pub const NO_DA: u32 = 1 << 10;
    /// It serves only what the TPM itself made.
    pub const RESTRICTED: u32 = 1 << 16;
    /// It decrypts.
    pub const DECRYPT: u32 = 1 << 17;
    /// It signs.
    pub const SIGN: u32 = 1 << 18;
}

/// A hash that a TPM has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    pub(super) fn id(self) -> TpmAlgId {
        match self {
            Self::Sha256 => TpmAlgId::Sha256,
            Self::Sha384 => TpmAlgId::Sha384,
            Self::Sha512 => TpmAlgId::Sha512,
        }
    }

    fn of(id: TpmAlgId) -> Option<Self> {
        match id {
            TpmAlgId::Sha256 => Some(Self::Sha256),
            TpmAlgId::Sha384 => Some(Self::Sha384),
            TpmAlgId::Sha512 => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// A public area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicArea(pub(super) TpmtPublic);

/// A public key, as a TPM shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKey<'a> {
    /// On a curve; the numbers are big-endian, and leading zeros may be missing.
    Ec {
        /// Which (TPM_ECC_CURVE; TPM 2.0 Part 2, section 6.4).
        curve: u16,
        /// The point's x.
        x: &'a [u8],
        /// The point's y.
        y: &'a [u8],
    },
    /// RSA.
    Rsa {
        /// Big-endian.
        modulus: &'a [u8],
        /// Never 0, by which a TPM means 65537.
        exponent: u32,
    },
    /// No key pair: sealed data, an HMAC key.
    KeyedHash,
    /// No key pair: a symmetric key.
    Symmetric,
}

/// NIST P-256 as a TPM calls it.
pub const P256: u16 = 0x0003;
/// NIST P-384.
pub const P384: u16 = 0x0004;
/// NIST P-521.
pub const P521: u16 = 0x0005;

/// The schemes that a key signs by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Each of its kind.
    Any,
    /// One.
    Only(SignatureScheme),
    /// None that is known here.
    None,
}

/// A scheme of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5.
    RsaSsa(Hash),
    /// RSASSA-PSS.
    RsaPss(Hash),
    /// ECDSA.
    Ecdsa(Hash),
}

impl PublicArea {
    /// Reads one that ends where the bytes do.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        match TpmtPublic::unmarshal(bytes)? {
            (area, []) => Ok(Self(area)),
            _ => Err(Error::Malformed),
        }
    }

    /// Writes it as a TPM does, to the start of `out`.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`]; [`MAX_PUBLIC_LEN`] bytes are enough.
    pub fn write<'a>(&self, out: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let mut writer = TpmWriter::new(out);
        self.0.marshal(&mut writer)?;
        let len = writer.len();
        out.get(..len).ok_or(Error::BufferTooSmall)
    }

    /// The name of the object that has it (TPM 2.0 Part 1, section 16).
    ///
    /// # Errors
    /// [`Error::Unfit`] for a hash that is too weak to tell keys apart.
    pub fn name(&self) -> Result<Name, Error> {
        let mut buffer = [0; MAX_PUBLIC_LEN];
        let area = self.write(&mut buffer)?;
        let hash = self.name_hash().ok_or(Error::Unfit)?;
        let mut name = Name::default();
        let mut put = |digest: &[u8]| {
            name.bytes[..2].copy_from_slice(&hash.id().value().to_be_bytes());
            name.bytes[2..2 + digest.len()].copy_from_slice(digest);
            name.len = 2 + digest.len();
        };
        match hash {
            Hash::Sha256 => put(&Sha256::digest(area)),
            Hash::Sha384 => put(&Sha384::digest(area)),
            Hash::Sha512 => put(&Sha512::digest(area)),
        }
        Ok(name)
    }

    /// The hash of its name.
    pub fn name_hash(&self) -> Option<Hash> {
        Hash::of(self.0.name_alg)
    }

    /// Its [`attributes`].
    pub fn attributes(&self) -> u32 {
        self.0.object_attributes.bits()
    }

    /// Whether it has an attribute.
    pub fn has(&self, attribute: u32) -> bool {
        self.attributes() & attribute != 0
    }

    /// The hash of the policy by which it is used; empty, if there is none.
    pub fn policy(&self) -> &[u8] {
        &self.0.auth_policy
    }

    /// Its public key.
    pub fn key(&self) -> PublicKey<'_> {
        match (&self.0.parameters, &self.0.unique) {
            (TpmuPublicParms::Ecc(parameters), TpmuPublicId::Ecc(point)) => PublicKey::Ec {
                curve: parameters.curve_id.value(),
                x: &point.x,
                y: &point.y,
            },
            (TpmuPublicParms::Rsa(parameters), TpmuPublicId::Rsa(modulus)) => PublicKey::Rsa {
                modulus,
                // TPM 2.0 Part 2, section 12.2.3.5.
                exponent: match parameters.exponent.value() {
                    0 => 65537,
                    other => other,
                },
            },
            (TpmuPublicParms::SymCipher(_), _) => PublicKey::Symmetric,
            _ => PublicKey::KeyedHash,
        }
    }

    /// By which schemes it signs.
    pub fn allowed(&self) -> Allowed {
        let (scheme, details) = match &self.0.parameters {
            TpmuPublicParms::Rsa(parameters) => {
                (parameters.scheme.scheme, parameters.scheme.details)
            }
            TpmuPublicParms::Ecc(parameters) => {
                (parameters.scheme.scheme, parameters.scheme.details)
            }
            _ => return Allowed::None,
        };
        let hash = match details {
            TpmuAsymScheme::Hash(hash) => Hash::of(hash.hash_alg),
            TpmuAsymScheme::Null => None,
        };
        match (scheme, hash) {
            (TpmAlgId::Null, _) => Allowed::Any,
            (TpmAlgId::Rsassa, Some(hash)) => Allowed::Only(SignatureScheme::RsaSsa(hash)),
            (TpmAlgId::Rsapss, Some(hash)) => Allowed::Only(SignatureScheme::RsaPss(hash)),
            (TpmAlgId::Ecdsa, Some(hash)) => Allowed::Only(SignatureScheme::Ecdsa(hash)),
            _ => Allowed::None,
        }
    }

    /// The same without the key: the template that it may have been made by.
    #[must_use]
    pub fn without_unique(mut self) -> Self {
        self.0.unique = match self.0.unique {
            TpmuPublicId::Rsa(_) => TpmuPublicId::Rsa(Tpm2bPublicKeyRsa::default()),
            TpmuPublicId::Ecc(_) => TpmuPublicId::Ecc(TpmsEccPoint::default()),
            other => other,
        };
        self
    }

    /// The template of a storage key (EK Credential Profile, annex B.4) with these [`attributes`]. With a
    /// `unique` that `is_filled` with zeros it is one of the TCG's templates L, else one of the templates H.
    pub fn storage(kind: StorageKey, attributes: u32, is_filled: bool) -> Self {
        let zeros = [0; 256];
        let len = |len| if is_filled { len } else { 0 };
        let (object_type, parameters, unique) = match kind {
            StorageKey::P256 => {
                let number = Tpm2bEccParameter::try_from(&zeros[..len(32)]).unwrap_or_default();
                let parameters = TpmsEccParms {
                    symmetric: aes_128_cfb(),
                    scheme: TpmtEccScheme::default(),
                    curve_id: TpmEccCurve::NistP256,
                    kdf: TpmtKdfScheme::default(),
                };
                let point = TpmsEccPoint {
                    x: number,
                    y: number,
                };
                (
                    TpmAlgId::Ecc,
                    TpmuPublicParms::Ecc(parameters),
                    TpmuPublicId::Ecc(point),
                )
            }
            StorageKey::Rsa2048 => {
                let number = Tpm2bPublicKeyRsa::try_from(&zeros[..len(256)]).unwrap_or_default();
                let parameters = TpmsRsaParms {
                    symmetric: aes_128_cfb(),
                    scheme: TpmtRsaScheme::default(),
                    key_bits: TpmUint16::from(2048),
                    exponent: 0.into(),
                };
                (
                    TpmAlgId::Rsa,
                    TpmuPublicParms::Rsa(parameters),
                    TpmuPublicId::Rsa(number),
                )
            }
        };
        Self(TpmtPublic {
            object_type,
            name_alg: TpmAlgId::Sha256,
            object_attributes: TpmaObject::from_bits_truncate(attributes),
            auth_policy: Tpm2bDigest::default(),
            parameters,
            unique,
        })
    }
}

/// The kind of a storage key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKey {
    /// On the curve P-256.
    P256,
    /// RSA with 2048 bits.
    Rsa2048,
}

/// What a storage root key has (TCG TPM v2.0 Provisioning Guidance, section 7.5.1).
pub const STORAGE_ROOT: u32 = attributes::FIXED_TPM
    | attributes::FIXED_PARENT
    | attributes::SENSITIVE_DATA_ORIGIN
    | attributes::USER_WITH_AUTH
    | attributes::NO_DA
    | attributes::RESTRICTED
    | attributes::DECRYPT;

pub(super) fn aes_128_cfb() -> TpmtSymDefObject {
    TpmtSymDefObject {
        algorithm: TpmAlgId::Aes,
        key_bits: TpmuSymKeyBits::Aes(TpmUint16::from(128)),
        mode: TpmuSymMode::Aes(TpmAlgId::Cfb),
    }
}

/// The name of an object: a hash algorithm (2 bytes, big-endian), and the hash of the public area. Of what
/// has none, its handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; 66],
    len: usize,
}

impl Name {
    /// That of a hierarchy or a session.
    pub fn of_handle(handle: u32) -> Self {
        let mut name = Self::default();
        name.bytes[..4].copy_from_slice(&handle.to_be_bytes());
        name.len = 4;
        name
    }
}

impl Default for Name {
    fn default() -> Self {
        Self {
            bytes: [0; 66],
            len: 0,
        }
    }
}

impl Deref for Name {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
