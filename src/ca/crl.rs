//! Certificate revocation lists (RFC 5280 section 5).

use core::fmt;
use std::vec;
use std::vec::Vec;

use der::asn1::Uint;
use serde::{Deserialize, Serialize};
use x509_cert::Version;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::{CrlNumber, CrlReason};
use x509_cert::serial_number::SerialNumber;

use super::Error;
use super::certificate::{Issuer, authority_key_identifier, extension};
use super::validity::asn1_time;
use crate::core::time::UnixTime;

/// A certificate that is no longer to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number, big-endian.
    pub serial: Vec<u8>,
    /// Since when.
    pub at: UnixTime,
    /// Why.
    pub reason: Reason,
}

/// Why a certificate is revoked (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not said.
    #[default]
    Unspecified,
    /// Someone else has the private key, or may have it.
    KeyCompromise,
    /// The subject belongs elsewhere now.
    AffiliationChanged,
    /// There is a newer certificate.
    Superseded,
    /// The subject is out of service.
    CessationOfOperation,
    /// The subject may no longer do what the certificate let it do.
    PrivilegeWithdrawn,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
    ];

    /// Its name on the command line and in the index.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "key-compromise",
            Self::AffiliationChanged => "affiliation-changed",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessation-of-operation",
            Self::PrivilegeWithdrawn => "privilege-withdrawn",
        }
    }

    /// What a CRL says; an unspecified reason is left out (RFC 5280 section 5.3.1).
    fn code(self) -> Option<CrlReason> {
        match self {
            Self::Unspecified => None,
            Self::KeyCompromise => Some(CrlReason::KeyCompromise),
            Self::AffiliationChanged => Some(CrlReason::AffiliationChanged),
            Self::Superseded => Some(CrlReason::Superseded),
            Self::CessationOfOperation => Some(CrlReason::CessationOfOperation),
            Self::PrivilegeWithdrawn => Some(CrlReason::PrivilegeWithdrawn),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a CRL says: `number` grows with each one that an issuer writes.
pub(super) fn content(
    number: u64,
    revoked: &[Revoked],
    this_update: UnixTime,
    next_update: UnixTime,
    issuer: &Issuer<'_>,
) -> Result<TbsCertList, Error> {
    let entries: Vec<_> = revoked.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(TbsCertList {
        version: Version::V2,
        signature: issuer.algorithm.clone(),
        issuer: issuer.name.clone(),
        this_update: asn1_time(this_update)?,
        next_update: Some(asn1_time(next_update)?),
        // An empty list must be left out (RFC 5280 section 5.1.2.6).
        revoked_certificates: Some(entries).filter(|entries| !entries.is_empty()),
        crl_extensions: Some(vec![
            authority_key_identifier(issuer.public_key)?,
            extension(&CrlNumber(Uint::new(&number.to_be_bytes())?))?,
        ]),
    })
}

fn entry(revoked: &Revoked) -> Result<RevokedCert, Error> {
    let reason = revoked.reason.code();
    Ok(RevokedCert {
        serial_number: SerialNumber::new(&revoked.serial)?,
        revocation_date: asn1_time(revoked.at)?,
        crl_entry_extensions: reason
            .map(|reason| Ok::<_, Error>(vec![extension(&reason)?]))
            .transpose()?,
    })
}
