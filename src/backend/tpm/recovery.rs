//! The steps by which a key that was open comes back: after the TPM was reset, its machine slept, or a
//! resource manager was started again.

use core::time::Duration;

use super::code::{self, ResponseCode};
use super::error::TpmError;

/// A step of recovery. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A new session.
    Session,
    /// The key is found again, or loaded again.
    Key,
    /// A new connection.
    Connection,
}

/// The steps that are taken at most, in order, and how long to wait before each: what was in the way may be
/// gone by itself.
pub const LADDER: [(Step, Duration); 6] = [
    (Step::Session, Duration::ZERO),
    (Step::Key, Duration::ZERO),
    (Step::Connection, Duration::ZERO),
    (Step::Connection, Duration::from_millis(50)),
    (Step::Connection, Duration::from_millis(250)),
    (Step::Connection, Duration::from_millis(1000)),
];

impl Step {
    /// The first step that may help against an error.
    pub fn against(error: &TpmError) -> Option<Self> {
        match error {
            TpmError::Unreachable { .. } | TpmError::Unanswered { .. } => Some(Self::Connection),
            TpmError::Call { error, .. } => against(error.code),
            _ => None,
        }
    }
}

fn against(code: ResponseCode) -> Option<Step> {
    if code.is_of_connection() {
        return Some(Step::Connection);
    }
    match code.bare() {
        // The auth value is what is wrong, and not the session.
        code::AUTH_FAIL | code::BAD_AUTH | code::LOCKOUT => None,
        // It was reset, and is going to be started.
        code::INITIALIZE => Some(Step::Connection),
        code::HANDLE | code::REFERENCE_H0 | code::REFERENCE_H1 | code::REFERENCE_H2
            if !code.is_of_session() =>
        {
            Some(Step::Key)
        }
        // What this connection has left in the TPM goes with it.
        code::OBJECT_MEMORY
        | code::OBJECT_HANDLES
        | code::SESSION_MEMORY
        | code::SESSION_HANDLES => Some(Step::Connection),
        // A PCR was extended after the policy was carried out: it may still be fulfilled.
        code::PCR_CHANGED => Some(Step::Session),
        _ if code.is_of_session() || code == code::RSP_AUTH_FAILED => Some(Step::Session),
        _ if code == code::BAD_SEQUENCE || code == code::MALFORMED_RESPONSE => {
            Some(Step::Connection)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_its_first_step() {
        for (code, step) in [
            // TPM_RC_REFERENCE_S0, TPM_RC_HANDLE and TPM_RC_VALUE of the first session
            (0x918, Some(Step::Session)),
            (0x98b, Some(Step::Session)),
            (0x984, Some(Step::Session)),
            (0x7_001b, Some(Step::Session)),
            // TPM_RC_REFERENCE_H0, TPM_RC_HANDLE of the first handle
            (0x910, Some(Step::Key)),
            (0x18b, Some(Step::Key)),
            (0xb_018b, Some(Step::Key)),
            // TPM_RC_PCR_CHANGED
            (0x128, Some(Step::Session)),
            // TPM_RC_OBJECT_MEMORY, TPM_RC_SESSION_MEMORY
            (0x902, Some(Step::Connection)),
            (0x903, Some(Step::Connection)),
            // TSS2_TCTI_RC_IO_ERROR, TPM_RC_INITIALIZE
            (0xa_000a, Some(Step::Connection)),
            (0x100, Some(Step::Connection)),
            // TPM_RC_AUTH_FAIL, TPM_RC_BAD_AUTH, TPM_RC_LOCKOUT, TPM_RC_SCHEME of a parameter
            (0x98e, None),
            (0x9a2, None),
            (0x921, None),
            (0x2d2, None),
        ] {
            assert_eq!(against(ResponseCode(code)), step, "{code:#x}");
        }
        assert!(LADDER.is_sorted_by_key(|(step, _)| *step));
    }
}
