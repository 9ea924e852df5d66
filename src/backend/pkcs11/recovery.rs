//! The steps by which a module that failed comes back.

use core::time::Duration;
use std::string::String;
use std::sync::Arc;
use std::thread;

use cryptoki_sys::*;

use super::call::{Call, CallError};
use super::error::TokenError;
use super::module::Module;
use super::uri::Uri;

/// The steps of recovery. Each begins with a new session, a login where one is needed, and another look
/// for the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing but the new session.
    Session,
    /// C_Finalize and C_Initialize.
    Reinitialize,
    /// The library is loaded anew.
    Reload,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Session, Self::Reinitialize, Self::Reload];

    /// How long to wait before it: what was in the way may be gone by itself.
    fn pause(self) -> Duration {
        Duration::from_millis(match self {
            Self::Session => 0,
            Self::Reinitialize => 20,
            Self::Reload => 200,
        })
    }

    /// Takes the step, unless somebody else has taken one since the generation `used`.
    ///
    /// # Errors
    /// [`TokenError::Module`] or [`TokenError::Call`].
    pub fn take(self, module: &Module, used: u64) -> Result<(), TokenError> {
        match self {
            Self::Session => Ok(()),
            Self::Reinitialize => module
                .reinitialize(used)
                .map_err(|error| module.error(error)),
            Self::Reload => module.reload(used),
        }
    }
}

/// Looks for something in a module until it is found, or no step is left. A module that `was_in_use` may
/// show what there was before: then what is missing is looked for again, too.
///
/// # Errors
/// What `look` gave last.
pub fn look_again<T>(
    module: &Arc<Module>,
    was_in_use: bool,
    mut look: impl FnMut() -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let mut used = module.generation();
    let mut result = look();
    for step in Step::ALL {
        let helps = match &result {
            // To load the library anew shows no token that was not plugged in.
            Err(TokenError::NoToken { uri, present }) if is_blink(uri, present) => {
                step != Step::Reload
            }
            Err(TokenError::NoToken { .. } | TokenError::NoObject { .. }) => {
                was_in_use && step != Step::Reload
            }
            Err(error) => is_recoverable(error),
            Ok(_) => false,
        };
        if !helps {
            break;
        }
        thread::sleep(step.pause());
        if step.take(module, used).is_ok() {
            used = module.generation();
            result = look();
        }
    }
    result
}

/// Whether a token that was not there may be there at the next look: SoftHSM writes a token's file anew at
/// each login, and to other processes it is none meanwhile.
fn is_blink(uri: &Uri, present: &[Uri]) -> bool {
    let is_meant = |one: &Uri| {
        let same = |wanted: &Option<String>, found| wanted.is_none() || wanted == found;
        same(&uri.token, &one.token) && same(&uri.serial, &one.serial)
    };
    present.is_empty() || present.iter().any(is_meant)
}

/// Whether a new session, or a module begun anew, may help.
pub fn is_recoverable(error: &TokenError) -> bool {
    match error {
        TokenError::Call { error, .. } if error.call == Call::Login => has_not_judged(*error),
        TokenError::Call { error, .. } => ![
            CKR_BUFFER_TOO_SMALL,
            CKR_DATA_INVALID,
            CKR_DATA_LEN_RANGE,
            CKR_FUNCTION_CANCELED,
            CKR_FUNCTION_NOT_SUPPORTED,
            CKR_FUNCTION_REJECTED,
            CKR_KEY_FUNCTION_NOT_PERMITTED,
            CKR_KEY_TYPE_INCONSISTENT,
            CKR_MECHANISM_INVALID,
            CKR_MECHANISM_PARAM_INVALID,
        ]
        .into_iter()
        .any(|code| error.is(code)),
        TokenError::NoToken { .. } | TokenError::NoObject { .. } | TokenError::Module { .. } => {
            true
        }
        _ => false,
    }
}

/// Whether a C_Login surely did not come as far as the PIN. After any other failure it may have cost a try,
/// so that it is not repeated until somebody calls again.
fn has_not_judged(error: CallError) -> bool {
    [
        CKR_CRYPTOKI_NOT_INITIALIZED,
        CKR_DEVICE_REMOVED,
        CKR_OPERATION_NOT_INITIALIZED,
        CKR_SESSION_CLOSED,
        CKR_SESSION_HANDLE_INVALID,
        CKR_SLOT_ID_INVALID,
        CKR_TOKEN_NOT_PRESENT,
        CKR_TOKEN_NOT_RECOGNIZED,
    ]
    .into_iter()
    .any(|code| error.is(code))
}
