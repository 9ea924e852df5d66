//! Certificate requests (PKCS#10, RFC 2986).

use core::fmt;
use std::string::String;
use std::vec;
use std::vec::Vec;

use der::asn1::{Any, BitStringRef, OctetString, SetOfVec};
use der::oid::AssociatedOid as _;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::request::{CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::signed::{SignatureAlgorithm, sign};
use super::{AlternativeName, SigningError, Subject, pem};
use crate::backend::signature::{VerifyError, verify_with};
use crate::core::key::{SignError, Signer};
use crate::core::x509::AlgorithmIdentifier;

/// What a certificate request asks for. That it was signed by the key that it asks a certificate
/// for is proven.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// The subject, unless it is empty.
    pub subject: Option<Subject>,
    /// The subject alternative names.
    pub alternative_names: Vec<AlternativeName>,
    /// The public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
}

/// The label of a request's PEM block.
const LABEL: &str = "CERTIFICATE REQUEST";

impl CertificateRequest {
    /// Makes a request, signed with `signer`, as DER. Beside the names it asks for key usage
    /// digitalSignature, which IAM Roles Anywhere wants of a certificate.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(
        subject: &Subject,
        alternative_names: &[AlternativeName],
        signer: &mut dyn Signer,
    ) -> Result<Vec<u8>, SigningError> {
        let info = CertReqInfo {
            version: Version::V1,
            subject: subject.name().clone(),
            public_key: SubjectPublicKeyInfoOwned::from_der(signer.public_key())?,
            attributes: SetOfVec::try_from(vec![extensions(alternative_names)?])?,
        };
        let usual = SignatureAlgorithm::from(signer.key());
        let der = match sign(&info, &usual, signer) {
            // Some devices know SHA-256 alone, whatever the curve.
            Err(SigningError::Sign(SignError::UnsupportedScheme)) => {
                sign(&info, &SignatureAlgorithm::sha256(signer.key()), signer)?
            }
            signed => signed?,
        };
        // It may be the first signature that anybody asks of the key.
        match Self::from_der(&der) {
            Ok(_) => Ok(der),
            Err(_) => Err(SignError::WrongKey.into()),
        }
    }

    /// As [`sign`](Self::sign), as a PEM block.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign_pem(
        subject: &Subject,
        alternative_names: &[AlternativeName],
        signer: &mut dyn Signer,
    ) -> Result<String, SigningError> {
        Ok(pem(
            LABEL,
            &Self::sign(subject, alternative_names, signer)?,
        )?)
    }

    /// Reads a DER request and checks its signature. Of the extensions asked for only the subject
    /// alternative names count: what a certificate is for is not the requester's to say.
    ///
    /// # Errors
    /// [`RequestError`] if it is no request, or not signed by its own key.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        let mut reader = SliceReader::new(der)?;
        let (content, algorithm, signature) = reader.sequence(|fields| {
            let content = fields.tlv_bytes()?;
            let algorithm = AlgorithmIdentifier::decode(fields)?;
            let signature = BitStringRef::decode(fields)?;
            Ok::<_, der::Error>((content, algorithm, signature))
        })?;
        reader.finish()?;
        let signature = signature.as_bytes().ok_or(RequestError::NotARequest)?;

        let info = CertReqInfo::from_der(content)?;
        let public_key = info.public_key.to_der()?;
        verify_with(&public_key, &algorithm, content, signature)
            .map_err(RequestError::Signature)?;
        Ok(Self {
            alternative_names: alternative_names(&info)?,
            subject: info.subject.try_into().ok(),
            public_key,
        })
    }
}

/// The attribute with the extensions that are asked for (RFC 2985 section 5.4.2).
fn extensions(alternative_names: &[AlternativeName]) -> der::Result<Attribute> {
    let extension = |extn_id, critical, value: Vec<u8>| {
        Ok::<_, der::Error>(Extension {
            extn_id,
            critical,
            extn_value: OctetString::new(value)?,
        })
    };
    let usage = KeyUsage(KeyUsages::DigitalSignature.into());
    let mut extensions = vec![extension(KeyUsage::OID, true, usage.to_der()?)?];
    if !alternative_names.is_empty() {
        let names = alternative_names.iter().map(|name| name.0.clone());
        let names = SubjectAltName(names.collect());
        extensions.push(extension(SubjectAltName::OID, false, names.to_der()?)?);
    }
    let value = Any::encode_from(&ExtensionReq(extensions))?;
    Ok(Attribute {
        oid: ExtensionReq::OID,
        values: SetOfVec::try_from(vec![value])?,
    })
}

fn alternative_names(request: &CertReqInfo) -> der::Result<Vec<AlternativeName>> {
    let mut names = Vec::new();
    for attribute in request.attributes.iter() {
        if attribute.oid != ExtensionReq::OID {
            continue;
        }
        for value in attribute.values.iter() {
            for extension in value.decode_as::<ExtensionReq>()?.0 {
                if extension.extn_id == SubjectAltName::OID {
                    let found = SubjectAltName::from_der(extension.extn_value.as_bytes())?;
                    names.extend(found.0.into_iter().map(AlternativeName));
                }
            }
        }
    }
    Ok(names)
}

/// Why bytes are no request to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// Not the DER of a certificate request.
    NotARequest,
    /// Not signed by the key that it asks a certificate for.
    Signature(VerifyError),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARequest => f.write_str("not a PKCS#10 certificate request"),
            Self::Signature(VerifyError::PublicKey) => f.write_str(
                "its key is of a kind that IAM Roles Anywhere does not take, or is damaged",
            ),
            Self::Signature(VerifyError::RsaBits(bits)) => {
                write!(f, "its RSA key has {bits} bits, not 2048 to 8192")
            }
            Self::Signature(VerifyError::Algorithm(error)) => error.fmt(f),
            Self::Signature(error) => {
                write!(f, "the request is not signed by its own key: {error}")
            }
        }
    }
}

impl core::error::Error for RequestError {}

impl From<der::Error> for RequestError {
    fn from(_: der::Error) -> Self {
        Self::NotARequest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BoxedSigner;
    use crate::backend::file::{KeyType, PrivateKey};
    use crate::core::key::{KeyKind, Scheme};
    use proptest::collection::vec as list;
    use proptest::prelude::*;
    use std::format;
    use std::string::ToString as _;

    fn signer(kind: KeyType) -> BoxedSigner {
        PrivateKey::generate(kind).unwrap().signer().unwrap()
    }

    /// Signs with SHA-256 alone.
    struct Sha256Only(BoxedSigner);

    impl Signer for Sha256Only {
        fn key(&self) -> KeyKind {
            self.0.key()
        }
        fn public_key(&self) -> &[u8] {
            self.0.public_key()
        }
        fn sign(
            &mut self,
            scheme: Scheme,
            data: &[u8],
            out: &mut [u8],
        ) -> Result<usize, SignError> {
            match scheme {
                Scheme::EcdsaSha256 => self.0.sign(scheme, data, out),
                _ => Err(SignError::UnsupportedScheme),
            }
        }
    }

    #[test]
    fn a_device_that_knows_sha256_alone() {
        let subject = "CN=hub".parse().unwrap();
        for kind in [KeyType::P256, KeyType::P384, KeyType::P521] {
            let mut signer = Sha256Only(signer(kind));
            let der = CertificateRequest::sign(&subject, &[], &mut signer).unwrap();
            assert!(CertificateRequest::from_der(&der).is_ok(), "{kind}");
        }
        let refused =
            CertificateRequest::sign(&subject, &[], &mut Sha256Only(signer(KeyType::MlDsa44)));
        assert_eq!(
            refused,
            Err(SigningError::Sign(SignError::UnsupportedScheme))
        );
    }

    #[test]
    fn a_request_that_was_changed_is_refused() {
        let subject = "CN=hub-17".parse().unwrap();
        let mut der = CertificateRequest::sign(&subject, &[], &mut signer(KeyType::P256)).unwrap();
        let at = der.windows(6).position(|bytes| bytes == b"hub-17").unwrap();
        der[at + 5] = b'8';
        assert!(matches!(
            CertificateRequest::from_der(&der),
            Err(RequestError::Signature(VerifyError::Invalid))
        ));
    }

    fn alternative_name() -> impl Strategy<Value = AlternativeName> {
        prop_oneof![
            "dns:[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,3}",
            "uri:[a-z]{1,8}:[!-~]{1,40}",
            "email:[!-?A-~]{1,20}@[a-z]{1,10}",
            any::<core::net::IpAddr>().prop_map(|address| format!("ip:{address}")),
        ]
        .prop_map(|text| text.parse().unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_asked_for_is_read_again(
            common_name in "[^\\pC]{1,64}",
            names in list(alternative_name(), 0..5),
        ) {
            let escaped: String = common_name.bytes().map(|byte| format!("\\{byte:02x}")).collect();
            let subject: Subject = format!("CN={escaped},C=DE").parse().unwrap();
            let mut signer = signer(KeyType::P256);
            let der = CertificateRequest::sign(&subject, &names, &mut signer).unwrap();
            let read = CertificateRequest::from_der(&der).unwrap();
            prop_assert_eq!(read.subject, Some(subject));
            for name in &names {
                prop_assert_eq!(name.to_string().parse(), Ok(name.clone()));
            }
            prop_assert_eq!(read.alternative_names, names);
            prop_assert_eq!(read.public_key, signer.public_key());
        }
    }
}
