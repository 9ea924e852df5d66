//! The way from a device certificate to the trust anchor that the request names.

use std::format;
use std::string::String;
use std::vec::Vec;

use der::Decode as _;
use x509_cert::name::Name;

use super::Refusal;
use crate::backend::path::{self, NoPath};
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;
use crate::sandbox::account::TrustAnchor;

/// Finds the path from `leaf` to a certificate of `anchor`; gives it leaf first, the anchor's last.
///
/// `intermediates` may come in any order, repeat the leaf, hold the anchor itself, or hold what
/// belongs to no path: clients in the field send all of these. A leaf that is the anchor itself needs
/// no path; the rules for device certificates refuse it before, as it is an authority.
///
/// # Errors
/// [`Refusal`], with what stopped the path that came furthest.
pub(super) fn path<'a>(
    leaf: &Certificate<'a>,
    intermediates: &'a [Vec<u8>],
    anchor: &'a TrustAnchor,
    now: UnixTime,
) -> Result<Vec<Certificate<'a>>, Refusal> {
    let mut candidates = Vec::new();
    for der in intermediates {
        let certificate = Certificate::from_der(der).map_err(|error| {
            Refusal::untrusted(format!("a certificate in X-Amz-X509-Chain: {error}"))
        })?;
        candidates.push(certificate);
    }
    let mut anchors = Vec::new();
    for der in &anchor.certificates {
        let certificate = Certificate::from_der(der)
            .map_err(|error| Refusal::untrusted(format!("the trust anchor: {error}")))?;
        anchors.push(certificate);
    }
    path::find(leaf, candidates, anchors, now).map_err(|NoPath { issuer, obstacle }| {
        let issuer = readable(&issuer);
        Refusal::untrusted(match obstacle {
            Some(obstacle) => format!("{issuer}: {obstacle}"),
            None => format!("no certificate of the issuer {issuer} was sent or is an anchor"),
        })
    })
}

/// A DER `Name` as RFC 4514 writes it.
pub(super) fn readable(name: &[u8]) -> String {
    Name::from_der(name).map_or_else(|_| "(unreadable)".into(), |name| format!("{name}"))
}
