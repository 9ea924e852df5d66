//! The fields of an X.509 certificate (RFC 5280) that signing and the certificate rules need, read
//! in place. Nothing here is verified: see the backends' chain for that.

pub mod oid;

use core::fmt;

use der::oid::ObjectIdentifier;
use der::{Decode as _, DecodeValue, FixedTag, Header, Reader, Tag};

use super::asn1::{
    Elements, GENERALIZED_TIME, NotDer, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, UTC_TIME,
    only_sequence,
};
use super::key::KeyKind;
use super::time::UnixTime;

/// One certificate; every field borrows from its DER.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// The whole certificate, DER.
    pub der: &'a [u8],
    /// `tbsCertificate`, DER: what the issuer signed.
    pub tbs: &'a [u8],
    /// The version as people count it: 1, 2 or 3.
    pub version: u8,
    /// The serial number, big-endian, without leading zero bytes (one, if it is zero). Negative
    /// serial numbers are refused.
    pub serial: &'a [u8],
    /// The algorithm that the issuer signed with.
    pub signature_algorithm: AlgorithmIdentifier<'a>,
    /// The issuer, a DER `Name`.
    pub issuer: &'a [u8],
    /// The subject, a DER `Name`.
    pub subject: &'a [u8],
    /// First second of validity.
    pub not_before: UnixTime,
    /// Last second of validity.
    pub not_after: UnixTime,
    /// `SubjectPublicKeyInfo`, DER.
    pub public_key: &'a [u8],
    /// `basicConstraints`, if it is there.
    pub basic_constraints: Option<BasicConstraints>,
    /// `keyUsage`, if it is there.
    pub key_usage: Option<KeyUsage>,
    /// Every extension, one DER `Extension` after the other; empty if there are none.
    pub extensions: &'a [u8],
    /// The issuer's signature over [`tbs`](Self::tbs): raw for RSA and ML-DSA, DER for ECDSA.
    pub signature: &'a [u8],
}

/// An algorithm and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlgorithmIdentifier<'a> {
    /// The algorithm.
    pub oid: ObjectIdentifier,
    /// The DER of the parameters; empty where there are none.
    pub parameters: &'a [u8],
}

/// `basicConstraints` (RFC 5280 section 4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a certificate authority.
    pub ca: bool,
    /// How many intermediates may follow below it.
    pub path_len: Option<u8>,
}

/// `keyUsage` (RFC 5280 section 4.2.1.3), the nine bits from `digitalSignature` down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// Whether the key may sign what is neither a certificate nor a CRL.
    pub fn digital_signature(self) -> bool {
        self.0 & 0x8000 != 0
    }

    /// Whether the key may sign certificates.
    pub fn key_cert_sign(self) -> bool {
        self.0 & 0x0400 != 0
    }

    /// Whether the key may sign CRLs.
    pub fn crl_sign(self) -> bool {
        self.0 & 0x0200 != 0
    }
}

/// Why bytes are not a certificate that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// Not the DER of an X.509 certificate.
    NotACertificate,
    /// The serial number is negative, empty or longer than [`Decimal::MAX_LEN`](super::text::Decimal::MAX_LEN).
    Serial,
    /// The signature algorithm that is signed is not the one beside the signature.
    SignatureAlgorithm,
    /// A date before 1970 or none at all.
    Date,
    /// An extension that is needed cannot be read, one is there twice, or there are more than 100.
    Extension,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotACertificate => "not a DER X.509 certificate",
            Self::Serial => "the certificate's serial number is negative, empty or too long",
            Self::SignatureAlgorithm => "the certificate names two different signature algorithms",
            Self::Date => "the certificate's validity dates cannot be read",
            Self::Extension => "the certificate's extensions cannot be read, or one is there twice",
        })
    }
}

impl core::error::Error for CertificateError {}

impl From<NotDer> for CertificateError {
    fn from(_: NotDer) -> Self {
        Self::NotACertificate
    }
}

/// A field `[number]` that holds another element.
const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// A field `[number]` that stands for an element that holds no others.
const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// Certificates have about ten. Each is compared with all others.
const MAX_EXTENSIONS: u8 = 100;
/// `id-ce-basicConstraints` and `id-ce-keyUsage`, 2.5.29.19 and .15, as they are encoded.
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];

impl<'a> Certificate<'a> {
    /// Reads a DER certificate; bytes after its end are an error.
    ///
    /// # Errors
    /// [`CertificateError`], by what is wrong.
    pub fn from_der(der: &'a [u8]) -> Result<Self, CertificateError> {
        let mut fields = only_sequence(der)?;
        let tbs = fields.next(SEQUENCE)?.der;
        let signature_algorithm = AlgorithmIdentifier::read(&mut fields)?;
        let signature = fields.bytes()?;
        fields.finish()?;

        let mut fields = only_sequence(tbs)?;
        let version = match fields.optional(constructed(0))? {
            None => 0,
            Some(field) => {
                let mut field = Elements::new(field.contents);
                let version = field.small_uint()?;
                field.finish()?;
                version
            }
        };
        if version > 2 {
            return Err(CertificateError::NotACertificate);
        }
        let serial = fields.uint().map_err(|_| CertificateError::Serial)?;
        if serial.len() > super::text::Decimal::MAX_LEN {
            return Err(CertificateError::Serial);
        }
        // RFC 5280 section 4.1.1.2: only this one is signed, so that the outer one proves nothing.
        if AlgorithmIdentifier::read(&mut fields)? != signature_algorithm {
            return Err(CertificateError::SignatureAlgorithm);
        }
        let issuer = fields.next(SEQUENCE)?.der;
        let mut dates = fields.sequence()?;
        let not_before = date(&mut dates)?;
        let not_after = date(&mut dates)?;
        dates.finish()?;
        let subject = fields.next(SEQUENCE)?.der;
        let public_key = fields.any()?.der;

        let mut certificate = Self {
            der,
            tbs,
            version: version + 1,
            serial,
            signature_algorithm,
            issuer,
            subject,
            not_before,
            not_after,
            public_key,
            basic_constraints: None,
            key_usage: None,
            extensions: &[],
            signature,
        };
        for unique_id in [1, 2] {
            fields.optional(primitive(unique_id))?;
        }
        // RFC 5280 section 4.1.2.9: in version 3 alone.
        if version == 2
            && let Some(field) = fields.optional(constructed(3))?
        {
            let mut field = Elements::new(field.contents);
            certificate.extensions = field.next(SEQUENCE)?.contents;
            field.finish()?;
            certificate.read_extensions()?;
        }
        fields.finish()?;
        Ok(certificate)
    }

    /// The kind of the certificate's public key; `None` if it is one that Roles Anywhere does not
    /// know.
    pub fn key_kind(&self) -> Option<KeyKind> {
        key_kind(self.public_key)
    }

    /// Whether subject and issuer are the same name.
    pub fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    fn read_extensions(&mut self) -> Result<(), CertificateError> {
        let mut extensions = Elements::new(self.extensions);
        let mut left = MAX_EXTENSIONS;
        while !extensions.is_empty() {
            left = left.checked_sub(1).ok_or(CertificateError::Extension)?;
            let mut extension = extensions.sequence()?;
            let id = extension.next(OBJECT_IDENTIFIER)?.contents;
            // RFC 5280 section 4.2: none comes twice.
            let mut others = extensions;
            while !others.is_empty() {
                if others.sequence()?.next(OBJECT_IDENTIFIER)?.contents == id {
                    return Err(CertificateError::Extension);
                }
            }
            let _critical = extension.optional_bool()?;
            let value = extension.next(OCTET_STRING)?.contents;
            extension.finish()?;
            match id {
                BASIC_CONSTRAINTS => self.basic_constraints = Some(basic_constraints(value)?),
                KEY_USAGE => self.key_usage = Some(key_usage(value)?),
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> AlgorithmIdentifier<'a> {
    fn read(fields: &mut Elements<'a>) -> Result<Self, NotDer> {
        let mut fields = fields.sequence()?;
        let oid = oid_of(&mut fields)?;
        let parameters = if fields.is_empty() {
            &[][..]
        } else {
            fields.any()?.der
        };
        fields.finish()?;
        Ok(Self { oid, parameters })
    }
}

/// For what reads other structures with the crate `der`.
impl<'a> DecodeValue<'a> for AlgorithmIdentifier<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, _header: Header) -> der::Result<Self> {
        let oid = ObjectIdentifier::decode(reader)?;
        let parameters = if reader.is_finished() {
            &[][..]
        } else {
            reader.tlv_bytes()?
        };
        Ok(Self { oid, parameters })
    }
}

impl FixedTag for AlgorithmIdentifier<'_> {
    const TAG: Tag = Tag::Sequence;
}

/// `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7), split.
#[derive(Debug, Clone, Copy)]
pub struct PublicKeyInfo<'a> {
    /// The key's algorithm and, for EC, its curve.
    pub algorithm: AlgorithmIdentifier<'a>,
    /// The key: an EC point, a PKCS#1 `RSAPublicKey`, a raw ML-DSA key.
    pub key: &'a [u8],
}

impl<'a> PublicKeyInfo<'a> {
    /// Reads a DER `SubjectPublicKeyInfo`; bytes after its end are an error.
    ///
    /// # Errors
    /// [`CertificateError::NotACertificate`] if it is none.
    pub fn from_der(der: &'a [u8]) -> Result<Self, CertificateError> {
        let mut fields = only_sequence(der)?;
        let algorithm = AlgorithmIdentifier::read(&mut fields)?;
        let key = fields.bytes()?;
        fields.finish()?;
        Ok(Self { algorithm, key })
    }

    /// The kind of the key; `None` if it is one that keystead does not know.
    pub fn kind(&self) -> Option<KeyKind> {
        match self.algorithm.oid {
            oid::RSA => rsa_bits(self.key).map(|bits| KeyKind::Rsa { bits }),
            oid::EC => match curve(self.algorithm.parameters).ok()? {
                oid::P256 => Some(KeyKind::P256),
                oid::P384 => Some(KeyKind::P384),
                oid::P521 => Some(KeyKind::P521),
                _ => None,
            },
            oid::ML_DSA_44 => Some(KeyKind::MlDsa44),
            oid::ML_DSA_65 => Some(KeyKind::MlDsa65),
            oid::ML_DSA_87 => Some(KeyKind::MlDsa87),
            _ => None,
        }
    }
}

/// The kind of the key in a DER `SubjectPublicKeyInfo`; `None` if it is not a known one.
pub fn key_kind(public_key: &[u8]) -> Option<KeyKind> {
    PublicKeyInfo::from_der(public_key).ok()?.kind()
}

/// The bits of the modulus of a PKCS#1 `RSAPublicKey`.
fn rsa_bits(key: &[u8]) -> Option<u16> {
    let modulus = only_sequence(key).ok()?.uint().ok()?;
    let first = modulus.first()?;
    u16::try_from(modulus.len() * 8 - first.leading_zeros() as usize).ok()
}

/// The next element, which has to be an object identifier.
fn oid_of(fields: &mut Elements<'_>) -> Result<ObjectIdentifier, NotDer> {
    let oid = fields.next(OBJECT_IDENTIFIER)?;
    ObjectIdentifier::from_bytes(oid.contents).map_err(|_| NotDer)
}

/// The parameters of an EC key: the name of a curve.
fn curve(parameters: &[u8]) -> Result<ObjectIdentifier, NotDer> {
    let mut fields = Elements::new(parameters);
    let curve = oid_of(&mut fields)?;
    fields.finish()?;
    Ok(curve)
}

/// A `Time`: `UTCTime` or `GeneralizedTime`, as RFC 5280 section 4.1.2.5 has them.
fn date(fields: &mut Elements<'_>) -> Result<UnixTime, CertificateError> {
    let element = fields.any()?;
    let time = match element.tag {
        UTC_TIME => UnixTime::parse_utc_time(element.contents),
        GENERALIZED_TIME => UnixTime::parse_generalized_time(element.contents),
        _ => return Err(CertificateError::NotACertificate),
    };
    time.ok_or(CertificateError::Date)
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, CertificateError> {
    fn read(value: &[u8]) -> Result<BasicConstraints, NotDer> {
        let mut fields = only_sequence(value)?;
        let ca = fields.optional_bool()?.unwrap_or(false);
        let path_len = if fields.is_empty() {
            None
        } else {
            Some(fields.small_uint()?)
        };
        fields.finish()?;
        Ok(BasicConstraints { ca, path_len })
    }
    read(value).map_err(|_| CertificateError::Extension)
}

fn key_usage(value: &[u8]) -> Result<KeyUsage, CertificateError> {
    fn read(value: &[u8]) -> Result<KeyUsage, NotDer> {
        let mut fields = Elements::new(value);
        let (bits, _) = fields.bits()?;
        fields.finish()?;
        let byte = |index: usize| u16::from(bits.get(index).copied().unwrap_or(0));
        Ok(KeyUsage(byte(0) << 8 | byte(1)))
    }
    read(value).map_err(|_| CertificateError::Extension)
}

#[cfg(test)]
mod tests {
    use super::super::asn1::INTEGER;
    use super::*;
    use std::borrow::ToOwned as _;

    const SELF_SIGNED: &[u8] = include_bytes!("../../tests/fixtures/self-signed.der");

    /// The certificate with these bytes, which are in it once, as others.
    fn with(old: &[u8], new: &[u8]) -> Result<(), CertificateError> {
        let mut places = (0..SELF_SIGNED.len()).filter(|&at| SELF_SIGNED[at..].starts_with(old));
        let (at, None) = (places.next().unwrap(), places.next()) else {
            panic!("they are there twice");
        };
        let mut changed = SELF_SIGNED.to_owned();
        changed[at..at + old.len()].copy_from_slice(new);
        Certificate::from_der(&changed).map(|_| ())
    }

    #[test]
    fn an_extension_that_is_there_twice() {
        let [of_subject, of_authority, constraints] =
            [14, 35, 19].map(|last| [6, 3, 0x55, 0x1d, last]);
        for (old, new) in [(of_authority, of_subject), (of_subject, constraints)] {
            assert_eq!(with(&old, &new), Err(CertificateError::Extension));
        }
        assert_eq!(with(&of_subject, &[6, 3, 0x55, 0x1d, 99]), Ok(()));
    }

    #[test]
    fn extensions_in_version_3_alone() {
        let version = |version| [0xa0, 3, INTEGER, 1, version];
        assert_eq!(with(&version(2), &version(2)), Ok(()));
        for other in [0, 1, 3] {
            assert_eq!(
                with(&version(2), &version(other)),
                Err(CertificateError::NotACertificate)
            );
        }
    }

    #[test]
    fn both_signature_algorithms_have_to_be_the_same() {
        assert!(Certificate::from_der(SELF_SIGNED).is_ok());
        // ecdsa-with-SHA256 becomes ecdsa-with-SHA384, once within what is signed and once beside it.
        let sha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
        let places = || (0..SELF_SIGNED.len()).filter(|&at| SELF_SIGNED[at..].starts_with(&sha256));
        assert_eq!(places().count(), 2);
        for at in places() {
            let mut changed = SELF_SIGNED.to_owned();
            changed[at + sha256.len() - 1] = 3;
            assert_eq!(
                Certificate::from_der(&changed).err(),
                Some(CertificateError::SignatureAlgorithm)
            );
        }
    }
}
