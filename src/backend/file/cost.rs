//! What the password of a file may cost: a damaged or hostile one must not take all memory, or minutes.

use pkcs8::pkcs5::pbes2::{Kdf, Parameters, ScryptParams};

use super::error::Reason;

/// For PBKDF2. OpenSSL writes 2,048, NIST advises 10 million at most, and this is ten seconds of a small hub.
const MAX_PBKDF2_ITERATIONS: u64 = 10_000_000;
/// For all lanes of scrypt together: their number counts for time, and of small ones for memory as well.
/// OpenSSL writes 16 MiB and reads no more than 32.
const MAX_SCRYPT_BYTES: u64 = 256 << 20;
/// For the derivation of PKCS#12 itself. OpenSSL writes 2,048, and other programs up to 600,000.
const MAX_PKCS12_ITERATIONS: u64 = 1_000_000;

/// The most that one derivation may cost.
const ONE: u64 = 1_000_000;
/// How many of the most costly ones a file may have. PKCS#12 has three by nature: of the MAC, of the certificates'
/// key and of the key's.
const FILE: u64 = 4 * ONE;

/// What all derivations of a file may still cost together.
#[derive(Debug)]
pub struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(FILE)
    }
}

impl Budget {
    /// In millionths of the most that one derivation may cost.
    #[cfg(test)]
    pub fn of(left: u64) -> Self {
        Self(left)
    }

    /// Takes a derivation with PBES2's parameters from it. With those that cannot be it is `malformed`.
    pub fn take_pbes2(&mut self, parameters: &Parameters, malformed: Reason) -> Result<(), Reason> {
        let kdf = &parameters.kdf;
        let wanted = kdf.key_length().map(usize::from);
        if wanted.is_some_and(|size| size != parameters.encryption.key_size()) {
            return Err(malformed);
        }
        match kdf {
            Kdf::Pbkdf2(parameters) => {
                self.take(parameters.iteration_count.into(), MAX_PBKDF2_ITERATIONS)
            }
            Kdf::Scrypt(parameters) if !is_scrypt(parameters) => Err(malformed),
            Kdf::Scrypt(parameters) => {
                let bytes = parameters
                    .cost_parameter
                    .saturating_mul(u64::from(parameters.block_size))
                    .saturating_mul(u64::from(parameters.parallelization))
                    .saturating_mul(128);
                self.take(bytes, MAX_SCRYPT_BYTES)
            }
            _ => Ok(()),
        }
    }

    /// Takes a derivation as RFC 7292 appendix B has it.
    pub fn take_pkcs12(&mut self, iterations: u32) -> Result<(), Reason> {
        self.take(iterations.into(), MAX_PKCS12_ITERATIONS)
    }

    fn take(&mut self, cost: u64, most: u64) -> Result<(), Reason> {
        let share = (cost <= most).then(|| (cost * ONE).div_ceil(most));
        let left = share.and_then(|share| self.0.checked_sub(share));
        self.0 = left.ok_or(Reason::TooCostly)?;
        Ok(())
    }
}

/// Whether the cost is one (RFC 7914 section 2): a power of two above 1. At 0, `pkcs5` panics.
fn is_scrypt(parameters: &ScryptParams) -> bool {
    parameters.cost_parameter > 1 && parameters.cost_parameter.is_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_derivation_and_of_a_file() {
        let is_too_much = |result| matches!(result, Err(Reason::TooCostly));
        assert!(is_too_much(Budget::default().take_pkcs12(1_000_001)));
        let mut budget = Budget::default();
        for _ in 0..4 {
            budget.take_pkcs12(1_000_000).unwrap();
        }
        assert!(is_too_much(budget.take_pkcs12(1)));
    }
}
