//! Response codes of TPMs (TPM 2.0 Part 2, section 6.6.3) and of libtss2 (TSS 2.0 Overview and Common
//! Structures, section 3), by name.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A response code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseCode(pub u32);

/// The bit that says that a code names a handle, session or parameter (format one).
const FORMAT_ONE: u32 = 0x80;

/// The bit that says that a code of format one is about a session, where it is not about a parameter.
const SESSION: u32 = 0x800;

/// The bit that says that a code of format one is about a parameter.
const PARAMETER: u32 = 0x40;

/// The layers of software that codes come from.
const LAYERS: u32 = 0xff_0000;

/// The layer of a resource manager that speaks for the TPM (TSS2_RESMGR_TPM_RC_LAYER).
const RESOURCE_MANAGERS: u32 = 0xb_0000;

/// The layer of what is between libtss2 and the TPM (TSS2_TCTI_RC_LAYER).
const TCTI: u32 = 0xa_0000;

impl ResponseCode {
    /// The code without the number of the handle, session or parameter that it is about, and as the TPM
    /// would have it where a resource manager speaks for it.
    pub const fn bare(self) -> u32 {
        let code = match self.0 & LAYERS {
            RESOURCE_MANAGERS => self.0 & !LAYERS,
            0 => self.0,
            // libtss2's own codes have no numbers.
            _ => return self.0,
        };
        if code & FORMAT_ONE == 0 {
            code
        } else {
            code & (FORMAT_ONE | 0x3f)
        }
    }

    /// Whether it is about a session.
    pub const fn is_of_session(self) -> bool {
        self.is_of_tpm()
            && (matches!(self.bare(), REFERENCE_S0..=REFERENCE_S6 | CONTEXT_GAP)
                || self.0 & (FORMAT_ONE | PARAMETER | SESSION) == FORMAT_ONE | SESSION)
    }

    /// Whether the TPM was not reached.
    pub const fn is_of_connection(self) -> bool {
        self.0 & LAYERS == TCTI
    }

    /// Whether the TPM itself has said it, or a resource manager for it.
    pub const fn is_of_tpm(self) -> bool {
        matches!(self.0 & LAYERS, 0 | RESOURCE_MANAGERS)
    }

    /// Its name; empty if it has none here.
    pub fn name(self) -> &'static str {
        let bare = self.bare();
        let mut known = NAMES.iter().chain(LIBRARYS);
        known
            .find(|(code, _)| *code == bare)
            .map_or("", |(_, name)| name)
    }

    /// Whether the TPM has no place for what was to be loaded.
    pub const fn is_full(self) -> bool {
        matches!(
            self.bare(),
            OBJECT_MEMORY | SESSION_MEMORY | OBJECT_HANDLES | SESSION_HANDLES
        )
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
    REFERENCE_S0 = 0x918, REFERENCE_S1 = 0x919, REFERENCE_S2 = 0x91a, REFERENCE_S6 = 0x91e, NV_RATE = 0x920, LOCKOUT = 0x921,
    RETRY = 0x922, NV_UNAVAILABLE = 0x923,
}

/// What libtss2 says where an argument is none (TSS2_ESYS_RC_BAD_VALUE).
pub const BAD_VALUE: ResponseCode = ResponseCode(0x7_000b);

/// What libtss2 says where an answer is none (TSS2_ESYS_RC_MALFORMED_RESPONSE).
pub const MALFORMED_RESPONSE: ResponseCode = ResponseCode(0x7_0011);

/// What libtss2 says where an answer's HMAC is wrong (TSS2_ESYS_RC_RSP_AUTH_FAILED).
pub const RSP_AUTH_FAILED: ResponseCode = ResponseCode(0x7_001b);

/// What libtss2 says after a call that was not ended (TSS2_ESYS_RC_BAD_SEQUENCE).
pub const BAD_SEQUENCE: ResponseCode = ResponseCode(0x7_0007);

/// What libtss2 says where nothing can be written or read (TSS2_TCTI_RC_IO_ERROR).
pub const IO_ERROR: ResponseCode = ResponseCode(0xa_000a);

const LIBRARYS: &[(u32, &str)] = &[
    (BAD_VALUE.0, "TSS2_ESYS_RC_BAD_VALUE"),
    (MALFORMED_RESPONSE.0, "TSS2_ESYS_RC_MALFORMED_RESPONSE"),
    (RSP_AUTH_FAILED.0, "TSS2_ESYS_RC_RSP_AUTH_FAILED"),
    (BAD_SEQUENCE.0, "TSS2_ESYS_RC_BAD_SEQUENCE"),
    (IO_ERROR.0, "TSS2_TCTI_RC_IO_ERROR"),
    (0xa_0008, "TSS2_TCTI_RC_NO_CONNECTION"),
];

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
            (0xb0922, "TPM_RC_RETRY (0xB0922)"),
            (0xa000a, "TSS2_TCTI_RC_IO_ERROR (0xA000A)"),
            (0x7008e, "0x7008E"),
        ] {
            assert_eq!(ResponseCode(code).to_string(), text);
        }
        assert!(ResponseCode(0x922).is_passing());
        assert!(ResponseCode(0xb0922).is_passing());
        assert!(!ResponseCode(0x921).is_passing());
        for (code, is_of_session) in [
            (0x918, true),
            (0x98e, true),
            (0x98b, true),
            (0xb0918, true),
            (0x18b, false),
            (0x2d5, false),
            (0x8c4, false),
            (0x910, false),
            (0x70018, false),
        ] {
            assert_eq!(
                ResponseCode(code).is_of_session(),
                is_of_session,
                "{code:#x}"
            );
        }
        assert!(IO_ERROR.is_of_connection());
        assert!(!BAD_SEQUENCE.is_of_connection());
    }
}
