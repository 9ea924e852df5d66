//! The functions of PKCS#11 and what they return, by name.

use core::fmt;

use cryptoki_sys::*;
use serde::{Deserialize, Serialize};

/// A function of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is documented in PKCS#11, section 5")]
pub enum Call {
    Initialize,
    Finalize,
    GetInfo,
    GetFunctionList,
    GetSlotList,
    GetSlotInfo,
    GetTokenInfo,
    GetMechanismList,
    OpenSession,
    CloseSession,
    GetSessionInfo,
    Login,
    Logout,
    CreateObject,
    DestroyObject,
    GetAttributeValue,
    SetAttributeValue,
    FindObjectsInit,
    FindObjects,
    FindObjectsFinal,
    GenerateKeyPair,
    SignInit,
    Sign,
}

impl Call {
    /// Its name in the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Initialize => "C_Initialize",
            Self::Finalize => "C_Finalize",
            Self::GetInfo => "C_GetInfo",
            Self::GetFunctionList => "C_GetFunctionList",
            Self::GetSlotList => "C_GetSlotList",
            Self::GetSlotInfo => "C_GetSlotInfo",
            Self::GetTokenInfo => "C_GetTokenInfo",
            Self::GetMechanismList => "C_GetMechanismList",
            Self::OpenSession => "C_OpenSession",
            Self::CloseSession => "C_CloseSession",
            Self::GetSessionInfo => "C_GetSessionInfo",
            Self::Login => "C_Login",
            Self::Logout => "C_Logout",
            Self::CreateObject => "C_CreateObject",
            Self::DestroyObject => "C_DestroyObject",
            Self::GetAttributeValue => "C_GetAttributeValue",
            Self::SetAttributeValue => "C_SetAttributeValue",
            Self::FindObjectsInit => "C_FindObjectsInit",
            Self::FindObjects => "C_FindObjects",
            Self::FindObjectsFinal => "C_FindObjectsFinal",
            Self::GenerateKeyPair => "C_GenerateKeyPair",
            Self::SignInit => "C_SignInit",
            Self::Sign => "C_Sign",
        }
    }
}

/// A function did not return CKR_OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    /// The function.
    pub call: Call,
    /// What it returned (CK_RV). No value that is defined needs more than 32 bits.
    pub code: u32,
}

impl CallError {
    pub(super) const fn new(call: Call, code: CK_RV) -> Self {
        Self {
            call,
            code: code as u32,
        }
    }

    /// Whether this is what the function returned.
    #[allow(
        clippy::useless_conversion,
        reason = "CK_RV is as long as the platform's `long`"
    )]
    pub(super) fn is(self, code: CK_RV) -> bool {
        CK_RV::from(self.code) == code
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = return_value_name(self.code);
        match name {
            "" => write!(f, "{}: {:#x}", self.call.name(), self.code),
            _ => write!(f, "{}: {name}", self.call.name()),
        }
    }
}

impl core::error::Error for CallError {}

macro_rules! names {
    ($($name:ident,)*) => {
        /// The name of a return value (`CKR_DEVICE_REMOVED`); empty if it has none.
        pub fn return_value_name(code: u32) -> &'static str {
            match CK_RV::from(code) {
                $($name => stringify!($name),)*
                _ => "",
            }
        }
    };
}

names! {
    CKR_OK,
    CKR_CANCEL,
    CKR_HOST_MEMORY,
    CKR_SLOT_ID_INVALID,
    CKR_GENERAL_ERROR,
    CKR_FUNCTION_FAILED,
    CKR_ARGUMENTS_BAD,
    CKR_NO_EVENT,
    CKR_NEED_TO_CREATE_THREADS,
    CKR_CANT_LOCK,
    CKR_ATTRIBUTE_READ_ONLY,
    CKR_ATTRIBUTE_SENSITIVE,
    CKR_ATTRIBUTE_TYPE_INVALID,
    CKR_ATTRIBUTE_VALUE_INVALID,
    CKR_ACTION_PROHIBITED,
    CKR_DATA_INVALID,
    CKR_DATA_LEN_RANGE,
    CKR_DEVICE_ERROR,
    CKR_DEVICE_MEMORY,
    CKR_DEVICE_REMOVED,
    CKR_ENCRYPTED_DATA_INVALID,
    CKR_ENCRYPTED_DATA_LEN_RANGE,
    CKR_AEAD_DECRYPT_FAILED,
    CKR_FUNCTION_CANCELED,
    CKR_FUNCTION_NOT_PARALLEL,
    CKR_FUNCTION_NOT_SUPPORTED,
    CKR_KEY_HANDLE_INVALID,
    CKR_KEY_SIZE_RANGE,
    CKR_KEY_TYPE_INCONSISTENT,
    CKR_KEY_NOT_NEEDED,
    CKR_KEY_CHANGED,
    CKR_KEY_NEEDED,
    CKR_KEY_INDIGESTIBLE,
    CKR_KEY_FUNCTION_NOT_PERMITTED,
    CKR_KEY_NOT_WRAPPABLE,
    CKR_KEY_UNEXTRACTABLE,
    CKR_MECHANISM_INVALID,
    CKR_MECHANISM_PARAM_INVALID,
    CKR_OBJECT_HANDLE_INVALID,
    CKR_OPERATION_ACTIVE,
    CKR_OPERATION_NOT_INITIALIZED,
    CKR_PIN_INCORRECT,
    CKR_PIN_INVALID,
    CKR_PIN_LEN_RANGE,
    CKR_PIN_EXPIRED,
    CKR_PIN_LOCKED,
    CKR_SESSION_CLOSED,
    CKR_SESSION_COUNT,
    CKR_SESSION_HANDLE_INVALID,
    CKR_SESSION_PARALLEL_NOT_SUPPORTED,
    CKR_SESSION_READ_ONLY,
    CKR_SESSION_EXISTS,
    CKR_SESSION_READ_ONLY_EXISTS,
    CKR_SESSION_READ_WRITE_SO_EXISTS,
    CKR_SIGNATURE_INVALID,
    CKR_SIGNATURE_LEN_RANGE,
    CKR_TEMPLATE_INCOMPLETE,
    CKR_TEMPLATE_INCONSISTENT,
    CKR_TOKEN_NOT_PRESENT,
    CKR_TOKEN_NOT_RECOGNIZED,
    CKR_TOKEN_WRITE_PROTECTED,
    CKR_UNWRAPPING_KEY_HANDLE_INVALID,
    CKR_UNWRAPPING_KEY_SIZE_RANGE,
    CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
    CKR_USER_ALREADY_LOGGED_IN,
    CKR_USER_NOT_LOGGED_IN,
    CKR_USER_PIN_NOT_INITIALIZED,
    CKR_USER_TYPE_INVALID,
    CKR_USER_ANOTHER_ALREADY_LOGGED_IN,
    CKR_USER_TOO_MANY_TYPES,
    CKR_WRAPPED_KEY_INVALID,
    CKR_WRAPPED_KEY_LEN_RANGE,
    CKR_WRAPPING_KEY_HANDLE_INVALID,
    CKR_WRAPPING_KEY_SIZE_RANGE,
    CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
    CKR_RANDOM_SEED_NOT_SUPPORTED,
    CKR_RANDOM_NO_RNG,
    CKR_DOMAIN_PARAMS_INVALID,
    CKR_CURVE_NOT_SUPPORTED,
    CKR_BUFFER_TOO_SMALL,
    CKR_SAVED_STATE_INVALID,
    CKR_INFORMATION_SENSITIVE,
    CKR_STATE_UNSAVEABLE,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_CRYPTOKI_ALREADY_INITIALIZED,
    CKR_MUTEX_BAD,
    CKR_MUTEX_NOT_LOCKED,
    CKR_NEW_PIN_MODE,
    CKR_NEXT_OTP,
    CKR_EXCEEDED_MAX_ITERATIONS,
    CKR_FIPS_SELF_TEST_FAILED,
    CKR_LIBRARY_LOAD_FAILED,
    CKR_PIN_TOO_WEAK,
    CKR_PUBLIC_KEY_INVALID,
    CKR_FUNCTION_REJECTED,
    CKR_TOKEN_RESOURCE_EXCEEDED,
    CKR_OPERATION_CANCEL_FAILED,
    CKR_KEY_EXHAUSTED,
    CKR_PENDING,
    CKR_SESSION_ASYNC_NOT_SUPPORTED,
    CKR_SEED_RANDOM_REQUIRED,
    CKR_OPERATION_NOT_VALIDATED,
    CKR_TOKEN_NOT_INITIALIZED,
    CKR_PARAMETER_SET_NOT_SUPPORTED,
    CKR_VENDOR_DEFINED,
}
