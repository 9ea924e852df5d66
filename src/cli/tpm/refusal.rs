//! Why a key in a TPM did not sign, for people.

use std::format;
use std::string::{String, ToString as _};

use super::TpmPlan;
use super::place::TpmPlace;
use crate::backend::tpm::sign_error;
use crate::cli::error::{CliError, Exit};
use crate::core::key::SignError;

/// The error for a key that did not sign: in all words, if they were said.
pub fn signature(error: SignError, key: &TpmPlace, plan: &TpmPlan) -> CliError {
    match plan.failure.take() {
        Some(failure) if sign_error(&failure) == error => super::error(&failure),
        _ => in_brief(error, key),
    }
}

/// The same where nothing else was said.
fn in_brief(error: SignError, key: &TpmPlace) -> CliError {
    let (exit, why, remedy) = match error {
        SignError::PinNeeded => (
            Exit::Pin,
            "its auth value is needed, and there is none to be had",
            "auth-source=… of its URI, or --password-source, says where it is: file:…, env:…, cred:… or cmd:…, \
             which can be read again",
        ),
        SignError::PinRefused => (
            Exit::Pin,
            "its auth value was refused (TPM_RC_AUTH_FAIL, TPM_RC_BAD_AUTH), now or before",
            "correct it where it is stored: one that was refused is not tried again; the folder refused-pins \
             of the state directory remembers it",
        ),
        SignError::PinLocked => (
            Exit::Pin,
            "the TPM has locked itself after too many wrong auth values (TPM_RC_LOCKOUT)",
            "`keystead tpm status` says when it unlocks by itself; `tpm2_dictionarylockout -c` unlocks it with \
             the lockout password",
        ),
        SignError::WrongKey => (
            Exit::Key,
            "it is not the certificate's",
            "give the certificate that was issued for this private key",
        ),
        SignError::KeyGone => (
            Exit::Key,
            "it is no longer in the TPM, or the TPM cannot read it any more",
            "`keystead tpm status` shows what is there; a TPM that was cleared reads none of its old keys",
        ),
        SignError::TimedOut => (
            Exit::Key,
            "the TPM did not answer in time",
            "see whether `keystead tpm status` answers; --token-timeout allows more time",
        ),
        SignError::ProcessEnded => (
            Exit::Key,
            "the process that speaks to the TPM ended",
            "see whether `keystead tpm status` answers",
        ),
        SignError::Failed => (
            Exit::Key,
            "the signature could not be made",
            "see whether `keystead tpm status` answers",
        ),
        other => {
            let what = format!("{key} did not sign: {other}");
            return CliError::new(Exit::Key, what, String::new());
        }
    };
    CliError::new(
        exit,
        format!("{key} did not sign: {why}"),
        remedy.to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::tpm::KeyName;

    #[test]
    fn a_tpm_has_auth_values_and_no_pin() {
        let key = TpmPlace {
            key: KeyName::Handle(0x8100_0011),
            tcti: None,
            auth: None,
            parent_auth: None,
            salt: None,
        };
        for (error, says) in [
            (SignError::PinNeeded, "its auth value is needed"),
            (SignError::PinRefused, "its auth value was refused"),
            (SignError::PinLocked, "TPM_RC_LOCKOUT"),
            (SignError::KeyGone, "no longer in the TPM"),
        ] {
            let error = in_brief(error, &key);
            assert!(
                error
                    .what
                    .starts_with("tpm:handle=0x81000011 did not sign: ")
            );
            assert!(error.what.contains(says), "{error}");
            assert!(!error.to_string().contains("PIN"), "{error}");
            assert!(!error.remedy.is_empty(), "{error}");
        }
    }
}
