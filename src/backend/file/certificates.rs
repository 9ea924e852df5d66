//! Certificates in PEM and DER, one or many.

use std::vec;
use std::vec::Vec;

use der::{Reader as _, SliceReader};

use super::contents::DerKind;
use super::error::Reason;
use crate::backend::pem;
use crate::core::x509::Certificate;

/// Every certificate in the contents of a file, in the file's order.
pub fn certificates(contents: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    let certificates = if pem::is_pem(contents) {
        from_pem(contents)?
    } else {
        match DerKind::of(contents) {
            Some(DerKind::Certificate) => from_der(contents)?,
            Some(DerKind::Pkcs12) => return Err(Reason::Pkcs12),
            Some(_) => vec![],
            None => return Err(Reason::Unrecognised),
        }
    };
    if certificates.is_empty() {
        return Err(Reason::NoCertificate);
    }
    for (index, certificate) in certificates.iter().enumerate() {
        Certificate::from_der(certificate)
            .map_err(|error| Reason::Certificate(index + 1, error))?;
    }
    Ok(certificates)
}

fn from_pem(text: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    let mut certificates = Vec::new();
    for block in pem::blocks(text) {
        let block = block?;
        match block.label {
            "CERTIFICATE" | "X509 CERTIFICATE" => certificates.push(block.decode()?.to_vec()),
            "PKCS7" | "CMS" => return Err(Reason::Pkcs7),
            _ => {}
        }
    }
    Ok(certificates)
}

/// One DER certificate, or several, one after the other.
fn from_der(contents: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    fn split(contents: &[u8]) -> der::Result<Vec<Vec<u8>>> {
        let mut reader = SliceReader::new(contents)?;
        let mut certificates = Vec::new();
        while !reader.is_finished() {
            certificates.push(reader.tlv_bytes()?.to_vec());
        }
        Ok(certificates)
    }
    split(contents).map_err(|_| Reason::Malformed("DER certificate"))
}
