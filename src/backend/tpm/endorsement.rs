//! The endorsement key of a TPM: what its maker certified.

use core::fmt;
use std::vec::Vec;

use serde::{Deserialize, Serialize};

use super::device::{Device, Done, Operator, Task, other_answer};
use super::error::TpmError;

/// How an endorsement key is made: the same template gives the same key, as long as the TPM's
/// endorsement seed is the same (TCG EK Credential Profile 2.5, appendix B.3 and B.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EkTemplate {
    /// RSA 2048, low range.
    L1,
    /// NIST P-256, low range.
    L2,
    /// RSA 2048, high range.
    H1,
    /// NIST P-256, high range.
    H2,
    /// NIST P-384.
    H3,
    /// NIST P-521.
    H4,
    /// RSA 3072.
    H6,
    /// RSA 4096.
    H7,
}

impl EkTemplate {
    /// All of them, those first whose keys a TPM makes fast.
    pub const ALL: [Self; 8] = [
        Self::L2,
        Self::H2,
        Self::H3,
        Self::H4,
        Self::L1,
        Self::H1,
        Self::H6,
        Self::H7,
    ];

    /// Where the certificate is in the TPM's NV memory (sections 2.2.1.4 and 2.2.1.5).
    pub fn certificate_index(self) -> u32 {
        match self {
            Self::L1 => 0x01c0_0002,
            Self::L2 => 0x01c0_000a,
            Self::H1 => 0x01c0_0012,
            Self::H2 => 0x01c0_0014,
            Self::H3 => 0x01c0_0016,
            Self::H4 => 0x01c0_0018,
            Self::H6 => 0x01c0_001c,
            Self::H7 => 0x01c0_001e,
        }
    }
}

impl fmt::Display for EkTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L1 => "RSA 2048 (L-1)",
            Self::L2 => "EC P-256 (L-2)",
            Self::H1 => "RSA 2048 (H-1)",
            Self::H2 => "EC P-256 (H-2)",
            Self::H3 => "EC P-384 (H-3)",
            Self::H4 => "EC P-521 (H-4)",
            Self::H6 => "RSA 3072 (H-6)",
            Self::H7 => "RSA 4096 (H-7)",
        })
    }
}

/// An endorsement key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorsementKey {
    /// How it is made.
    pub template: EkTemplate,
    /// Its persistent handle, or the endorsement hierarchy (0x4000000B), where it is made anew each time.
    pub handle: u32,
    /// Its maker's certificate (DER), which is for this key; `None` if the TPM has none in it.
    pub certificate: Option<Vec<u8>>,
    /// The certificates above it (DER), in no order; empty where the TPM has none in it.
    pub chain: Vec<Vec<u8>>,
    /// The public area, a TPMT_PUBLIC as it is marshalled.
    pub public_area: Vec<u8>,
    /// Its public key, a DER `SubjectPublicKeyInfo`.
    pub public_key: Vec<u8>,
    /// Its name.
    pub name: Vec<u8>,
}

/// A TPM's endorsement key: that of a template, or the first that has a certificate.
///
/// # Errors
/// [`TpmError`]; also if the TPM's certificate is not the key's.
pub fn endorsement_key(
    device: &mut dyn Device,
    template: Option<EkTemplate>,
    operator: &mut dyn Operator,
) -> Result<EndorsementKey, TpmError> {
    match device.perform(&Task::EndorsementKey(template), operator)? {
        Done::EndorsementKey(key) => Ok(key),
        _ => Err(other_answer()),
    }
}
