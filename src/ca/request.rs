//! Certificate requests (PKCS#10, RFC 2986).

use core::fmt;
use std::vec::Vec;

use der::asn1::BitStringRef;
use der::{Decode as _, Encode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::request::{CertReqInfo, ExtensionReq};

use super::{AlternativeName, Subject};
use crate::backend::signature::{VerifyError, verify_with};
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

impl CertificateRequest {
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

fn alternative_names(request: &CertReqInfo) -> der::Result<Vec<AlternativeName>> {
    let mut names = Vec::new();
    for attribute in request.attributes.iter() {
        if attribute.oid != <ExtensionReq as der::oid::AssociatedOid>::OID {
            continue;
        }
        for value in attribute.values.iter() {
            for extension in value.decode_as::<ExtensionReq>()?.0 {
                if extension.extn_id == <SubjectAltName as der::oid::AssociatedOid>::OID {
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
