//! Why a key in a TPM did not sign, for people.

use std::format;
use std::string::{String, ToString as _};

use super::place::TpmPlace;
use crate::cli::error::{CliError, Exit};
use crate::core::key::SignError;

/// The error for a key that did not sign.
pub fn signature(error: SignError, key: &TpmPlace) -> CliError {
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
        SignError::Device { name, .. } => {
            let (exit, remedy) = of_code(name);
            return CliError::new(exit, format!("{key} did not sign: {error}"), remedy);
        }
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

/// What to do about a response code (TPM 2.0 Part 2, section 6.6.3).
fn of_code(name: &str) -> (Exit, &'static str) {
    match name {
        "TPM_RC_AUTH_FAIL" | "TPM_RC_BAD_AUTH" => {
            (Exit::Pin, "correct the key's auth value where it is stored")
        }
        "TPM_RC_POLICY_FAIL" | "TPM_RC_VALUE" | "TPM_RC_PCR_CHANGED" | "TPM_RC_POLICY" => (
            Exit::Key,
            "a key that is bound to PCRs signs only while they are what they were when it was made",
        ),
        "TPM_RC_OBJECT_MEMORY"
        | "TPM_RC_SESSION_MEMORY"
        | "TPM_RC_OBJECT_HANDLES"
        | "TPM_RC_SESSION_HANDLES" => (
            Exit::Key,
            "other programs have filled the TPM; through /dev/tpmrm0 each has a place of its own",
        ),
        "TPM_RC_FAILURE" => (
            Exit::Key,
            "the TPM has failed its self-test: only a restart of the machine may help",
        ),
        _ => (Exit::Key, ""),
    }
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
        let device = |name| SignError::Device {
            call: "TPM2_Sign",
            code: 0x99d,
            name,
        };
        for (error, says) in [
            (SignError::PinNeeded, "its auth value is needed"),
            (SignError::PinRefused, "its auth value was refused"),
            (SignError::PinLocked, "TPM_RC_LOCKOUT"),
            (SignError::KeyGone, "no longer in the TPM"),
            (
                device("TPM_RC_POLICY_FAIL"),
                "TPM2_Sign: TPM_RC_POLICY_FAIL",
            ),
        ] {
            let error = signature(error, &key);
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
