//! The policy in a key file (draft-bottomley-tpm2-keys, section 4): the commands that bring a policy
//! session to the policy of the key.

use core::fmt;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::KeyFileError;

/// TPM2_PolicyAuthValue (TPM 2.0 Part 2, section 6.5.2).
const AUTH_VALUE: u32 = 0x16b;
/// TPM2_PolicyCommandCode.
const COMMAND_CODE: u32 = 0x16c;
/// TPM2_PolicyPCR.
const PCR: u32 = 0x17f;
/// TPM2_PolicyPassword.
const PASSWORD: u32 = 0x18c;

/// The others, which are refused by name.
const OTHERS: [(u32, &str); 15] = [
    (0x149, "TPM2_PolicyNV"),
    (0x151, "TPM2_PolicySecret"),
    (0x160, "TPM2_PolicySigned"),
    (0x16a, "TPM2_PolicyAuthorize"),
    (0x16d, "TPM2_PolicyCounterTimer"),
    (0x16e, "TPM2_PolicyCpHash"),
    (0x16f, "TPM2_PolicyLocality"),
    (0x170, "TPM2_PolicyNameHash"),
    (0x171, "TPM2_PolicyOR"),
    (0x172, "TPM2_PolicyTicket"),
    (0x187, "TPM2_PolicyPhysicalPresence"),
    (0x188, "TPM2_PolicyDuplicationSelect"),
    (0x18f, "TPM2_PolicyNvWritten"),
    (0x190, "TPM2_PolicyTemplate"),
    (0x192, "TPM2_PolicyAuthorizeNV"),
];

/// The most banks in a selection (TPM2_NUM_PCR_BANKS), and the most bytes for each (PCR_SELECT_MAX).
const MOST_BANKS: u32 = 16;
const MOST_SELECT: u8 = 4;

/// A policy command, as it is in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCommand {
    /// The command's code.
    pub code: u32,
    /// Its parameters.
    pub body: Vec<u8>,
}

/// A policy that was signed for a key (TPMAuthPolicy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPolicy {
    /// What it is called.
    pub name: Option<String>,
    /// Its commands.
    pub commands: Vec<PolicyCommand>,
}

/// A policy command that can be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyStep {
    /// The auth value has to be given, by HMAC (TPM2_PolicyAuthValue).
    AuthValue,
    /// The auth value has to be given, in clear (TPM2_PolicyPassword).
    Password,
    /// PCRs have to have these values (TPM2_PolicyPCR).
    Pcr {
        /// Which.
        banks: Vec<PcrBank>,
        /// The hash of their values.
        digest: Vec<u8>,
    },
    /// The key serves this command only (TPM2_PolicyCommandCode).
    CommandCode(u32),
}

/// PCRs of a bank (TPMS_PCR_SELECTION).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcrBank {
    /// The bank's hash algorithm, as a TPM has it.
    pub hash: u16,
    /// A bit for each PCR, from the least significant bit of the first byte on; at most four bytes.
    pub select: Vec<u8>,
}

impl PolicyCommand {
    /// The auth value has to be given.
    pub fn auth_value() -> Self {
        Self {
            code: AUTH_VALUE,
            body: Vec::new(),
        }
    }

    /// PCRs have to have the values that this is the hash of. The draft has the parameters in the order of the
    /// command, its author's programs have them as they go into the policy's hash. Signing keys with a policy
    /// are read by the latter.
    pub fn pcr(banks: &[PcrBank], digest: &[u8]) -> Self {
        let mut body = Vec::new();
        body.extend((banks.len() as u32).to_be_bytes());
        for bank in banks {
            body.extend(bank.hash.to_be_bytes());
            body.push(bank.select.len() as u8);
            body.extend(&bank.select);
        }
        body.extend(digest);
        Self { code: PCR, body }
    }

    /// What is to be done.
    ///
    /// # Errors
    /// [`KeyFileError`] for a command that cannot be carried out, by name.
    pub fn step(&self) -> Result<PolicyStep, KeyFileError> {
        let wrong = |name| KeyFileError::new(format!("policy: {name} has no such parameters"));
        match (self.code, &*self.body) {
            (AUTH_VALUE, []) => Ok(PolicyStep::AuthValue),
            (PASSWORD, []) => Ok(PolicyStep::Password),
            (PCR, body) => pcr(body).ok_or_else(|| wrong("TPM2_PolicyPCR")),
            (COMMAND_CODE, body) => match body.try_into() {
                Ok(code) => Ok(PolicyStep::CommandCode(u32::from_be_bytes(code))),
                Err(_) => Err(wrong("TPM2_PolicyCommandCode")),
            },
            (AUTH_VALUE, _) => Err(wrong("TPM2_PolicyAuthValue")),
            (PASSWORD, _) => Err(wrong("TPM2_PolicyPassword")),
            (code, _) => {
                let known = OTHERS.iter().find(|(known, _)| *known == code);
                let name =
                    known.map_or_else(|| format!("command {code:#x}"), |(_, name)| (*name).into());
                Err(KeyFileError::with_remedy(
                    format!("policy: {name} cannot be carried out"),
                    "policies of TPM2_PolicyPCR, TPM2_PolicyAuthValue, TPM2_PolicyPassword and \
                     TPM2_PolicyCommandCode can",
                ))
            }
        }
    }
}

/// Either order of the parameters: neither can be taken for the other, since each has to end where the
/// bytes do.
fn pcr(body: &[u8]) -> Option<PolicyStep> {
    let hashed = selection(body).filter(|(_, digest)| matches!(digest.len(), 20 | 32 | 48 | 64));
    let (banks, digest) = hashed.or_else(|| {
        let (len, rest) = body.split_first_chunk()?;
        let (digest, rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
        let (banks, end) = selection(rest)?;
        end.is_empty().then_some((banks, digest))
    })?;
    let digest = digest.into();
    Some(PolicyStep::Pcr { banks, digest })
}

/// A TPML_PCR_SELECTION, and what follows it.
fn selection(bytes: &[u8]) -> Option<(Vec<PcrBank>, &[u8])> {
    let (count, mut rest) = bytes.split_first_chunk()?;
    let count = u32::from_be_bytes(*count);
    if !(1..=MOST_BANKS).contains(&count) {
        return None;
    }
    let mut banks = Vec::new();
    for _ in 0..count {
        let ([high, low, len], tail) = rest.split_first_chunk()?;
        let hash = u16::from_be_bytes([*high, *low]);
        if *len > MOST_SELECT {
            return None;
        }
        let (select, tail) = tail.split_at_checked(usize::from(*len))?;
        let select = select.into();
        banks.push(PcrBank { hash, select });
        rest = tail;
    }
    Some((banks, rest))
}

impl PcrBank {
    /// These PCRs of a bank.
    pub fn new(hash: u16, pcrs: &[u8]) -> Self {
        // No fewer than three bytes: PCRs 0 to 23, which every PC's TPM has (PCR_SELECT_MIN).
        let mut select = Vec::from([0; 3]);
        for pcr in pcrs {
            if let Some(byte) = select.get_mut(usize::from(pcr / 8)) {
                *byte |= 1 << (pcr % 8);
            }
        }
        Self { hash, select }
    }
}

impl fmt::Display for PcrBank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // TPM 2.0 Part 2, section 6.3.
        match self.hash {
            0x04 => f.write_str("sha1:")?,
            0x0b => f.write_str("sha256:")?,
            0x0c => f.write_str("sha384:")?,
            0x0d => f.write_str("sha512:")?,
            other => write!(f, "{other:#06x}:")?,
        }
        let bits = self
            .select
            .iter()
            .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
        let mut separator = "";
        for (pcr, _) in bits.enumerate().filter(|(_, bit)| *bit == 1) {
            write!(f, "{separator}{pcr}")?;
            separator = ",";
        }
        Ok(())
    }
}
