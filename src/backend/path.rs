//! The way from a certificate up to one that is trusted (RFC 5280 section 6.1).

use std::borrow::ToOwned as _;
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::signature;
use crate::core::time::UnixTime;
use crate::core::x509::Certificate;

/// The most certificates above the leaf, the anchor's among them. Makers of TPMs, and IAM Roles Anywhere,
/// do with fewer.
const MAX_ISSUERS: usize = 8;

/// The most signatures that are looked at. Who sends certificates may send many that sign each other: there
/// are more ways through those than anybody can try.
const MAX_SIGNATURES: usize = 100;

/// Finds the path from `leaf` to one of `anchors`; gives it leaf first, the anchor's last.
///
/// `candidates` may come in any order, repeat the leaf, hold the anchor itself, or hold what
/// belongs to no path. A leaf that is the anchor itself needs no path. What the leaf is for, and
/// whether it is valid, is not looked at. A path has at most 8 certificates above the leaf, and the search
/// for it ends after 100 signatures.
///
/// # Errors
/// [`NoPath`], with what stopped the path that came furthest.
pub fn find<'a>(
    leaf: &Certificate<'a>,
    mut candidates: Vec<Certificate<'a>>,
    anchors: Vec<Certificate<'a>>,
    now: UnixTime,
) -> Result<Vec<Certificate<'a>>, NoPath> {
    if anchors.iter().any(|anchor| anchor.der == leaf.der) {
        return Ok(vec![*leaf]);
    }
    // Each is tried once, the anchors as such.
    let mut seen: BTreeSet<_> = anchors.iter().map(|anchor| anchor.der).collect();
    seen.insert(leaf.der);
    candidates.retain(|candidate| seen.insert(candidate.der));
    let mut search = Search {
        candidates,
        anchors,
        now,
        signatures_left: MAX_SIGNATURES,
        obstacle: None,
    };
    let mut path = vec![*leaf];
    if search.extend(&mut path) {
        return Ok(path);
    }
    Err(search.obstacle.unwrap_or_else(|| NoPath {
        issuer: leaf.issuer.to_owned(),
        obstacle: None,
    }))
}

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPath {
    /// The issuer where it ended, a DER `Name`.
    pub issuer: Vec<u8>,
    /// What is wrong with the issuer's certificate; `None` if there is none of it.
    pub obstacle: Option<String>,
}

struct Search<'a> {
    candidates: Vec<Certificate<'a>>,
    anchors: Vec<Certificate<'a>>,
    now: UnixTime,
    /// How many may still be looked at.
    signatures_left: usize,
    /// Why the last certificate that bore the issuer's name was not taken.
    obstacle: Option<NoPath>,
}

impl<'a> Search<'a> {
    /// Extends a path until it ends in an anchor; leaves it as it was if there is no way.
    fn extend(&mut self, path: &mut Vec<Certificate<'a>>) -> bool {
        if path.len() > MAX_ISSUERS {
            self.obstacle = path.last().map(|last| NoPath {
                issuer: last.issuer.to_owned(),
                obstacle: Some(format!(
                    "more than {MAX_ISSUERS} certificates would have to lead up to a root"
                )),
            });
            return false;
        }
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
        let obstacle =
            obstacle(path, issuer, self.now).or_else(|| self.signature_obstacle(subject, issuer));
        match obstacle {
            None => true,
            Some(obstacle) => {
                self.obstacle = Some(NoPath {
                    issuer: issuer.subject.to_owned(),
                    obstacle: Some(obstacle),
                });
                false
            }
        }
    }

    /// What is wrong with the issuer's signature on `subject`.
    fn signature_obstacle(
        &mut self,
        subject: &Certificate<'_>,
        issuer: &Certificate<'_>,
    ) -> Option<String> {
        let Some(left) = self.signatures_left.checked_sub(1) else {
            return Some(format!(
                "none of the first {MAX_SIGNATURES} signatures that were looked at led up to a root"
            ));
        };
        self.signatures_left = left;
        signature::verify_with(
            issuer.public_key,
            &subject.signature_algorithm,
            subject.tbs,
            subject.signature,
        )
        .err()
        .map(|error| format!("its signature on the certificate below it: {error}"))
    }
}

/// What keeps a certificate that bears the issuer's name from being the issuer (RFC 5280 section 6.1.4),
/// but for its signature.
fn obstacle(path: &[Certificate<'_>], issuer: &Certificate<'_>, now: UnixTime) -> Option<String> {
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
    None
}
