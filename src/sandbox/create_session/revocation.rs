//! Revocation by the CRLs of a trust anchor.

use std::format;
use std::path::PathBuf;
use std::string::{String, ToString as _};
use std::vec::Vec;

use der::pem::PemLabel as _;
use der::{Decode as _, Encode as _, Header, Reader as _, SliceReader};
use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;

use super::Refusal;
use crate::backend::file::read_document;
use crate::backend::signature;
use crate::core::text::Hex;
use crate::core::x509::{AlgorithmIdentifier, Certificate};

/// Checks each certificate of `path` (leaf first, the anchor's last) against the CRLs of its issuer.
/// A CRL whose `nextUpdate` has passed still counts; one of another issuer says nothing.
///
/// # Errors
/// [`Refusal`] if one is revoked, or if a CRL cannot be used: revocation must not fail silently.
pub(super) fn check(path: &[Certificate<'_>], crls: &[PathBuf]) -> Result<(), Refusal> {
    // A file that is not there revokes nothing: an authority's first list may be still to come.
    for file in crls.iter().filter(|file| file.try_exists().unwrap_or(true)) {
        let unusable = |error: String| {
            let reason = format!("the CRL {} cannot be used: {error}", file.display());
            Refusal::untrusted(reason)
        };
        let der = read_document(file, CertificateList::<Rfc5280>::PEM_LABEL)
            .map_err(|error| unusable(error.to_string()))?;
        let crl = Crl::from_der(&der).map_err(|error| unusable(error.to_string()))?;
        let links = path.iter().zip(path.iter().skip(1));
        for (certificate, issuer) in links.filter(|(_, issuer)| crl.issuer == issuer.subject) {
            crl.verify(issuer)
                .map_err(|error| unusable(error.to_string()))?;
            if crl.revokes(certificate) {
                let serial = Hex(certificate.serial);
                let reason = format!("{} lists the serial number {serial}", file.display());
                return Err(Refusal::access_denied("Certificate revoked", reason));
            }
        }
    }
    Ok(())
}

struct Crl<'a> {
    list: CertificateList,
    /// The issuer's DER `Name`.
    issuer: Vec<u8>,
    /// What was signed, as it was sent.
    tbs: &'a [u8],
}

impl<'a> Crl<'a> {
    fn from_der(der: &'a [u8]) -> der::Result<Self> {
        let list = CertificateList::from_der(der)?;
        let mut reader = SliceReader::new(der)?;
        Header::decode(&mut reader)?;
        Ok(Self {
            issuer: list.tbs_cert_list.issuer.to_der()?,
            tbs: reader.tlv_bytes()?,
            list,
        })
    }

    fn verify(&self, issuer: &Certificate<'_>) -> Result<(), String> {
        if issuer.key_usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err("its issuer's key usage lacks cRLSign".into());
        }
        let algorithm = &self.list.signature_algorithm;
        let parameters = match &algorithm.parameters {
            Some(parameters) => parameters.to_der().map_err(|error| format!("{error}"))?,
            None => Vec::new(),
        };
        let algorithm = AlgorithmIdentifier {
            oid: algorithm.oid,
            parameters: &parameters,
        };
        let signature = self.list.signature.raw_bytes();
        signature::verify_with(issuer.public_key, &algorithm, self.tbs, signature)
            .map_err(|error| format!("{error}"))
    }

    fn revokes(&self, certificate: &Certificate<'_>) -> bool {
        let revoked = self.list.tbs_cert_list.revoked_certificates.iter();
        revoked.flatten().any(|entry| {
            let serial = entry.serial_number.as_bytes();
            let leading = serial.iter().take_while(|&&byte| byte == 0).count();
            serial[leading..] == *certificate.serial
        })
    }
}
