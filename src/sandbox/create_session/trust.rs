//! The way from a device certificate to the trust anchor that the request names.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use der::Decode as _;
use x509_cert::name::Name;

use super::Refusal;
use crate::backend::signature;
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
    if anchors.iter().any(|anchor| anchor.der == leaf.der) {
        return Ok(vec![*leaf]);
    }
    let mut search = Search {
        candidates,
        anchors,
        now,
        obstacle: None,
    };
    let mut path = vec![*leaf];
    if search.extend(&mut path) {
        return Ok(path);
    }
    let issuer = readable(leaf.issuer);
    let reason = search.obstacle.unwrap_or_else(|| {
        format!("no certificate of the issuer {issuer} was sent or is an anchor")
    });
    Err(Refusal::untrusted(reason))
}

struct Search<'a> {
    candidates: Vec<Certificate<'a>>,
    anchors: Vec<Certificate<'a>>,
    now: UnixTime,
    /// Why the last certificate that bore the issuer's name was not taken.
    obstacle: Option<String>,
}

impl<'a> Search<'a> {
    /// Extends a path until it ends in an anchor; leaves it as it was if there is no way.
    fn extend(&mut self, path: &mut Vec<Certificate<'a>>) -> bool {
        for index in 0..self.anchors.len() + self.candidates.len() {
            let is_anchor = index < self.anchors.len();
            let issuer = if is_anchor {
                self.anchors[index]
            } else {
                self.candidates[index - self.anchors.len()]
            };
            if path.iter().any(|used| used.der == issuer.der) || !self.continues(path, &issuer) {
                continue;
            }
            path.push(issuer);
            if is_anchor || self.extend(path) {
                return true;
            }
            path.pop();
        }
        false
    }

    /// Whether `issuer` issued the last certificate of the path.
    fn continues(&mut self, path: &[Certificate<'a>], issuer: &Certificate<'a>) -> bool {
        let Some(subject) = path.last() else {
            return false;
        };
        if issuer.subject != subject.issuer {
            return false;
        }
        match obstacle(path, subject, issuer, self.now) {
            None => true,
            Some(obstacle) => {
                self.obstacle = Some(format!("{}: {obstacle}", readable(issuer.subject)));
                false
            }
        }
    }
}

/// What keeps a certificate that bears the issuer's name from being the issuer (RFC 5280 section 6.1.4).
fn obstacle(
    path: &[Certificate<'_>],
    subject: &Certificate<'_>,
    issuer: &Certificate<'_>,
    now: UnixTime,
) -> Option<String> {
    let constraints = issuer
        .basic_constraints
        .filter(|constraints| constraints.ca);
    let Some(constraints) = constraints else {
        return Some("it is not a certificate authority".into());
    };
    if issuer.key_usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return Some("its key usage lacks keyCertSign".into());
    }
    let below = path.iter().skip(1).filter(|below| !below.is_self_issued());
    let below = below.count();
    if constraints
        .path_len
        .is_some_and(|most| below > usize::from(most))
    {
        return Some(format!(
            "its path length does not allow {below} authorities below it"
        ));
    }
    if now < issuer.not_before || now > issuer.not_after {
        let (from, to) = (issuer.not_before, issuer.not_after);
        return Some(format!("it is valid from {from} to {to}"));
    }
    signature::verify_with(
        issuer.public_key,
        &subject.signature_algorithm,
        subject.tbs,
        subject.signature,
    )
    .err()
    .map(|error| format!("its signature on the certificate below it: {error}"))
}

/// A DER `Name` as RFC 4514 writes it.
pub(super) fn readable(name: &[u8]) -> String {
    Name::from_der(name).map_or_else(|_| "(unreadable)".into(), |name| format!("{name}"))
}
