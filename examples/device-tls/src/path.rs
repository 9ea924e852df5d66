//! From a server's certificate to a root that the device trusts (RFC 5280 section 6.1, RFC 8446 section 4.4.2).
//!
//! Stricter than the standard where that saves code: certificates come in order, each signed by the next; a
//! certificate that limits names (`nameConstraints`) is refused, since nothing here would heed it. There is no
//! revocation: a device has no memory for lists, and servers' certificates are short-lived instead.

use core::fmt;

use der::asn1::{AnyRef, OctetStringRef};
use der::oid::ObjectIdentifier;
use der::{Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use keystead::core::key::Scheme;
use keystead::core::time::UnixTime;
use keystead::core::x509::{AlgorithmIdentifier, Certificate};

use crate::name::ServerName;
use crate::signature::Signatures;

/// A root that is trusted: a name and its key. Its certificate lies in the device's flash. Its dates do not count, nor
/// how many authorities it allows below itself.
#[derive(Debug, Clone, Copy)]
pub struct Anchor<'a> {
    subject: &'a [u8],
    public_key: &'a [u8],
}

impl<'a> Anchor<'a> {
    /// The anchor that a certificate, DER, describes.
    ///
    /// # Errors
    /// [`Refused`] if it cannot be read, is not an authority's for TLS servers, or has limits that nothing here
    /// would heed.
    pub fn from_der(certificate: &'a [u8]) -> Result<Self, Refused> {
        let certificate = Certificate::from_der(certificate).map_err(|_| Refused::Unreadable)?;
        is_authority(&certificate)?;
        Extensions::of(&certificate)?.check_purposes()?;
        Ok(Self {
            subject: certificate.subject,
            public_key: certificate.public_key,
        })
    }
}

/// Why a server is not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// A certificate cannot be read, or there is none.
    Unreadable,
    /// The certificate is for another server.
    OtherName,
    /// A certificate's validity has ended at that time.
    Expired(UnixTime),
    /// A certificate's validity begins at that time. A device whose clock is not set yet sees this.
    NotYetValid(UnixTime),
    /// The certificates do not lead to a root that is trusted.
    UnknownRoot,
    /// A certificate in the place of an issuer is not an authority's.
    NotAnAuthority,
    /// More authorities stand below one than it allows.
    PathTooLong,
    /// A certificate's key is not for TLS servers.
    Usage,
    /// A certificate has an extension that must be understood and is not known here.
    Extension,
    /// A signature is wrong, or of a kind that is not verified here.
    Signature,
    /// The server's key is longer than there is room for.
    KeyTooLong,
    /// The server has not proven that it has the certificate's key.
    NotProven,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("the server's certificate cannot be read"),
            Self::OtherName => f.write_str("the server's certificate is for another server"),
            Self::Expired(end) => write!(f, "a certificate of the server's expired on {end}"),
            Self::NotYetValid(start) => write!(
                f,
                "a certificate of the server's is valid only from {start}: is the clock set?"
            ),
            Self::UnknownRoot => f.write_str("the server's certificates lead to no trusted root"),
            Self::NotAnAuthority => {
                f.write_str("a certificate is signed by one that is not an authority's")
            }
            Self::PathTooLong => f.write_str("more authorities follow each other than allowed"),
            Self::Usage => f.write_str("the server's certificate is not for TLS servers"),
            Self::Extension => {
                f.write_str("a certificate has a critical extension that is unknown")
            }
            Self::Signature => {
                f.write_str("a signature is wrong, or of a kind that is not verified")
            }
            Self::KeyTooLong => f.write_str("the server's key is too long"),
            Self::NotProven => {
                f.write_str("the server has not proven that the certificate is its own")
            }
        }
    }
}

impl core::error::Error for Refused {}

impl From<der::Error> for Refused {
    fn from(_: der::Error) -> Self {
        Self::Unreadable
    }
}

/// What a server's certificates are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The roots.
    pub anchors: &'a [Anchor<'a>],
    /// The server that is meant.
    pub name: ServerName<'a>,
    /// What time it is.
    pub now: UnixTime,
}

impl Rules<'_> {
    /// Judges `certificates`, DER, the server's own first; gives the server's certificate.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn check<'c>(
        &self,
        mut certificates: impl Iterator<Item = &'c [u8]>,
        signatures: &impl Signatures,
    ) -> Result<Certificate<'c>, Refused> {
        let leaf = read(certificates.next())?;
        self.check_dates(&leaf)?;
        self.check_server(&leaf)?;
        let mut last = leaf;
        // Authorities between the server and the one that is looked at, those apart that are issued by themselves.
        let mut below = 0_u8;
        while !self.is_anchored(&last, signatures) {
            let issuer = certificates.next().ok_or(Refused::UnknownRoot)?;
            let issuer = read(Some(issuer))?;
            if issuer.subject != last.issuer {
                return Err(Refused::UnknownRoot);
            }
            self.check_dates(&issuer)?;
            is_authority(&issuer)?;
            let extensions = Extensions::of(&issuer)?;
            extensions.check_purposes()?;
            let limit = issuer.basic_constraints.and_then(|basic| basic.path_len);
            if limit.is_some_and(|limit| below > limit) {
                return Err(Refused::PathTooLong);
            }
            if !is_signed(&last, issuer.public_key, signatures) {
                return Err(Refused::Signature);
            }
            below = below.saturating_add(u8::from(!issuer.is_self_issued()));
            last = issuer;
        }
        Ok(leaf)
    }

    fn is_anchored(&self, certificate: &Certificate<'_>, signatures: &impl Signatures) -> bool {
        self.anchors.iter().any(|anchor| {
            anchor.subject == certificate.issuer
                && is_signed(certificate, anchor.public_key, signatures)
        })
    }

    fn check_dates(&self, certificate: &Certificate<'_>) -> Result<(), Refused> {
        if self.now < certificate.not_before {
            Err(Refused::NotYetValid(certificate.not_before))
        } else if self.now > certificate.not_after {
            Err(Refused::Expired(certificate.not_after))
        } else {
            Ok(())
        }
    }

    fn check_server(&self, leaf: &Certificate<'_>) -> Result<(), Refused> {
        let extensions = Extensions::of(leaf)?;
        let names = extensions.alternative_names.ok_or(Refused::OtherName)?;
        if !self.name.is_among(names)? {
            return Err(Refused::OtherName);
        }
        extensions.check_purposes()?;
        let signs = leaf.key_usage.is_none_or(|usage| usage.digital_signature());
        let is_authority = leaf.basic_constraints.is_some_and(|basic| basic.ca);
        if !signs || is_authority {
            return Err(Refused::Usage);
        }
        Ok(())
    }
}

fn read(certificate: Option<&[u8]>) -> Result<Certificate<'_>, Refused> {
    let certificate = certificate.ok_or(Refused::Unreadable)?;
    Certificate::from_der(certificate).map_err(|_| Refused::Unreadable)
}

/// RFC 5280 section 6.1.4 (k) and (n). A certificate before version 3 cannot say that it is an authority's.
fn is_authority(certificate: &Certificate<'_>) -> Result<(), Refused> {
    let says_so = certificate.basic_constraints.is_some_and(|basic| basic.ca);
    let signs = certificate
        .key_usage
        .is_none_or(|usage| usage.key_cert_sign());
    if certificate.version == 3 && says_so && signs {
        Ok(())
    } else {
        Err(Refused::NotAnAuthority)
    }
}

fn is_signed(certificate: &Certificate<'_>, key: &[u8], signatures: &impl Signatures) -> bool {
    scheme(&certificate.signature_algorithm).is_some_and(|scheme| {
        signatures.verify(key, scheme, certificate.tbs, certificate.signature)
    })
}

/// The scheme of a certificate's signature (RFC 5758 section 3.2, RFC 8017 appendix A.2.4). RSASSA-PSS is left out:
/// no public authority signs servers' certificates so.
fn scheme(algorithm: &AlgorithmIdentifier<'_>) -> Option<Scheme> {
    const NULL: &[u8] = &[5, 0];
    let (scheme, parameters) = match algorithm.oid {
        ECDSA_SHA256 => (Scheme::EcdsaSha256, &[][..]),
        ECDSA_SHA384 => (Scheme::EcdsaSha384, &[][..]),
        RSA_SHA256 => (Scheme::RsaPkcs1Sha256, NULL),
        RSA_SHA384 => (Scheme::RsaPkcs1Sha384, NULL),
        RSA_SHA512 => (Scheme::RsaPkcs1Sha512, NULL),
        _ => return None,
    };
    (algorithm.parameters == parameters).then_some(scheme)
}

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const PURPOSES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// id-kp-serverAuth (RFC 5280 section 4.2.1.12).
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

/// The extensions that count here and that the core does not read.
#[derive(Default)]
struct Extensions<'a> {
    /// `subjectAltName`, DER.
    alternative_names: Option<&'a [u8]>,
    /// `extKeyUsage`, DER.
    purposes: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    fn of(certificate: &Certificate<'a>) -> Result<Self, Refused> {
        let mut found = Self::default();
        let mut reader = SliceReader::new(certificate.extensions)?;
        while !reader.is_finished() {
            let (oid, critical, value) = reader.sequence(|extension| {
                let oid = ObjectIdentifier::decode(extension)?;
                let critical = Option::<bool>::decode(extension)?.unwrap_or(false);
                let value = <&OctetStringRef>::decode(extension)?.as_bytes();
                Ok::<_, der::Error>((oid, critical, value))
            })?;
            let again = match oid {
                BASIC_CONSTRAINTS | KEY_USAGE => false,
                ALTERNATIVE_NAMES => found.alternative_names.replace(value).is_some(),
                PURPOSES => found.purposes.replace(value).is_some(),
                NAME_CONSTRAINTS => return Err(Refused::Extension),
                _ if critical => return Err(Refused::Extension),
                _ => false,
            };
            if again {
                return Err(Refused::Unreadable);
            }
        }
        Ok(found)
    }

    /// Whoever lists purposes lists TLS servers among them; an authority limits those below it in this way.
    fn check_purposes(&self) -> Result<(), Refused> {
        let Some(purposes) = self.purposes else {
            return Ok(());
        };
        let mut outer = SliceReader::new(purposes)?;
        let purposes = AnyRef::decode(&mut outer)?;
        outer.finish()?;
        purposes.tag().assert_eq(Tag::Sequence)?;
        let mut reader = SliceReader::new(purposes.value())?;
        while !reader.is_finished() {
            if ObjectIdentifier::decode(&mut reader)? == SERVER {
                return Ok(());
            }
        }
        Err(Refused::Usage)
    }
}
