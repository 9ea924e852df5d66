//! Response codes of TPMs (TPM 2.0 Part 2, section 6.6.3), by name.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A response code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseCode(pub u32);

/// The bit that says that a code names a handle, session or parameter (format one).
const FORMAT_ONE: u32 = 0x80;

impl ResponseCode {
    /// The code without the number of the handle, session or parameter that it is about.
    pub const fn bare(self) -> u32 {
        if self.0 & FORMAT_ONE == 0 {
            self.0
        } else {
            self.0 & (FORMAT_ONE | 0x3f)
        }
    }

    /// Its name; empty if it has none here.
    pub fn name(self) -> &'static str {
        let bare = self.bare();
        let known = NAMES.iter().find(|(code, _)| *code == bare);
        known.map_or("", |(_, name)| name)
    }

    /// Whether the same command is going to be taken in a moment (section 6.6.3, warnings).
    pub fn is_passing(self) -> bool {
        matches!(self.bare(), YIELDED | TESTING | RETRY | NV_RATE)
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "" => write!(f, "{:#05X}", self.0),
            name => write!(f, "{name} ({:#05X})", self.0),
        }
    }
}

macro_rules! codes {
    ($($name:ident = $code:literal),* $(,)?) => {
        $(#[doc = concat!("TPM_RC_", stringify!($name), ".")] pub const $name: u32 = $code;)*
        const NAMES: &[(u32, &str)] = &[$(($code, concat!("TPM_RC_", stringify!($name)))),*];
    };
}

codes! {
    INITIALIZE = 0x100, FAILURE = 0x101, SEQUENCE = 0x103, PRIVATE = 0x10b, HMAC = 0x119, DISABLED = 0x120,
    EXCLUSIVE = 0x121, AUTH_TYPE = 0x124, AUTH_MISSING = 0x125, POLICY = 0x126, PCR = 0x127,
    PCR_CHANGED = 0x128, UPGRADE = 0x12d, TOO_MANY_CONTEXTS = 0x12e, AUTH_UNAVAILABLE = 0x12f,
    REBOOT = 0x130, UNBALANCED = 0x131, COMMAND_SIZE = 0x142, COMMAND_CODE = 0x143, AUTHSIZE = 0x144,
    AUTH_CONTEXT = 0x145, NV_RANGE = 0x146, NV_SIZE = 0x147, NV_LOCKED = 0x148, NV_AUTHORIZATION = 0x149,
    NV_UNINITIALIZED = 0x14a, NV_SPACE = 0x14b, NV_DEFINED = 0x14c, BAD_CONTEXT = 0x150, CPHASH = 0x151,
    PARENT = 0x152, NEEDS_TEST = 0x153, NO_RESULT = 0x154, SENSITIVE = 0x155,
    ASYMMETRIC = 0x081, ATTRIBUTES = 0x082, HASH = 0x083, VALUE = 0x084, HIERARCHY = 0x085,
    KEY_SIZE = 0x087, MGF = 0x088, MODE = 0x089, TYPE = 0x08a, HANDLE = 0x08b, KDF = 0x08c, RANGE = 0x08d,
    AUTH_FAIL = 0x08e, NONCE = 0x08f, PP = 0x090, SCHEME = 0x092, SIZE = 0x095, SYMMETRIC = 0x096,
    TAG = 0x097, SELECTOR = 0x098, INSUFFICIENT = 0x09a, SIGNATURE = 0x09b, KEY = 0x09c,
    POLICY_FAIL = 0x09d, INTEGRITY = 0x09f, TICKET = 0x0a0, RESERVED_BITS = 0x0a1, BAD_AUTH = 0x0a2,
    EXPIRED = 0x0a3, POLICY_CC = 0x0a4, BINDING = 0x0a5, CURVE = 0x0a6, ECC_POINT = 0x0a7,
    CONTEXT_GAP = 0x901, OBJECT_MEMORY = 0x902, SESSION_MEMORY = 0x903, MEMORY = 0x904,
    SESSION_HANDLES = 0x905, OBJECT_HANDLES = 0x906, LOCALITY = 0x907, YIELDED = 0x908, CANCELED = 0x909,
    TESTING = 0x90a, REFERENCE_H0 = 0x910, REFERENCE_H1 = 0x911, REFERENCE_H2 = 0x912,
    REFERENCE_S0 = 0x918, REFERENCE_S1 = 0x919, REFERENCE_S2 = 0x91a, NV_RATE = 0x920, LOCKOUT = 0x921,
    RETRY = 0x922, NV_UNAVAILABLE = 0x923,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn codes_have_the_names_that_the_specification_gives_them() {
        for (code, text) in [
            (0x98e, "TPM_RC_AUTH_FAIL (0x98E)"),
            (0x9a2, "TPM_RC_BAD_AUTH (0x9A2)"),
            (0x921, "TPM_RC_LOCKOUT (0x921)"),
            (0x18b, "TPM_RC_HANDLE (0x18B)"),
            (0x2d5, "TPM_RC_SIZE (0x2D5)"),
            (0x902, "TPM_RC_OBJECT_MEMORY (0x902)"),
            (0xa000a, "0xA000A"),
        ] {
            assert_eq!(ResponseCode(code).to_string(), text);
        }
        assert!(ResponseCode(0x922).is_passing());
        assert!(!ResponseCode(0x921).is_passing());
    }
}
