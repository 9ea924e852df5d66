//! The function list: every function that only forwards is written here.

use std::ffi::c_void;

use cryptoki_sys::*;

use crate::state::{Subject, call, state};
use crate::{object, session, slot};

/// The one symbol that a module has to export.
///
/// # Safety
/// `list` is a place for a pointer, as PKCS#11 has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    if list.is_null() {
        return CKR_ARGUMENTS_BAD;
    }
    state().load();
    // SAFETY: the caller gives a place for a pointer. Nobody writes through it: the list is constant.
    unsafe { *list = (&raw const LIST).cast_mut() };
    CKR_OK
}

/// Functions whose first argument is a session, and which only forward.
macro_rules! of_session {
    ($($name:ident($($argument:ident: $kind:ty),*);)*) => {
        $(unsafe extern "C" fn $name(session: CK_SESSION_HANDLE $(, $argument: $kind)*) -> CK_RV {
            call(stringify!($name), Subject::Session(session), "", |context| {
                match context.real.$name {
                    // SAFETY: the arguments are the caller's, who keeps to the same interface.
                    Some(function) => unsafe { function(session $(, $argument)*) },
                    None => CKR_FUNCTION_NOT_SUPPORTED,
                }
            })
        })*
    };
}

type Bytes = *mut CK_BYTE;
type Text = *mut CK_UTF8CHAR;
type Length = *mut CK_ULONG;
type Handle = *mut CK_OBJECT_HANDLE;

of_session! {
    C_InitPIN(pin: Text, len: CK_ULONG);
    C_SetPIN(old: Text, old_len: CK_ULONG, new: Text, new_len: CK_ULONG);
    C_GetOperationState(state: Bytes, len: Length);
    C_SetOperationState(state: Bytes, len: CK_ULONG, key: CK_OBJECT_HANDLE, other: CK_OBJECT_HANDLE);
    C_Logout();
    C_CreateObject(template: *mut CK_ATTRIBUTE, len: CK_ULONG, object: Handle);
    C_CopyObject(from: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG, to: Handle);
    C_DestroyObject(object: CK_OBJECT_HANDLE);
    C_GetObjectSize(object: CK_OBJECT_HANDLE, size: Length);
    C_SetAttributeValue(object: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG);
    C_FindObjectsInit(template: *mut CK_ATTRIBUTE, len: CK_ULONG);
    C_FindObjectsFinal();
    C_EncryptInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Encrypt(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_EncryptUpdate(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_EncryptFinal(out: Bytes, out_len: Length);
    C_DecryptInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Decrypt(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_DecryptUpdate(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_DecryptFinal(out: Bytes, out_len: Length);
    C_DigestInit(mechanism: *mut CK_MECHANISM);
    C_Digest(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_DigestUpdate(data: Bytes, len: CK_ULONG);
    C_DigestKey(key: CK_OBJECT_HANDLE);
    C_DigestFinal(out: Bytes, out_len: Length);
    C_SignUpdate(data: Bytes, len: CK_ULONG);
    C_SignFinal(out: Bytes, out_len: Length);
    C_SignRecoverInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_SignRecover(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_VerifyInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_Verify(data: Bytes, len: CK_ULONG, signature: Bytes, signature_len: CK_ULONG);
    C_VerifyUpdate(data: Bytes, len: CK_ULONG);
    C_VerifyFinal(signature: Bytes, len: CK_ULONG);
    C_VerifyRecoverInit(mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE);
    C_VerifyRecover(signature: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_DigestEncryptUpdate(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_DecryptDigestUpdate(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_SignEncryptUpdate(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_DecryptVerifyUpdate(data: Bytes, len: CK_ULONG, out: Bytes, out_len: Length);
    C_GenerateKey(mechanism: *mut CK_MECHANISM, template: *mut CK_ATTRIBUTE, len: CK_ULONG, key: Handle);
    C_GenerateKeyPair(
        mechanism: *mut CK_MECHANISM, public: *mut CK_ATTRIBUTE, public_len: CK_ULONG,
        private: *mut CK_ATTRIBUTE, private_len: CK_ULONG, public_key: Handle, private_key: Handle
    );
    C_WrapKey(
        mechanism: *mut CK_MECHANISM, with: CK_OBJECT_HANDLE, key: CK_OBJECT_HANDLE, out: Bytes,
        out_len: Length
    );
    C_UnwrapKey(
        mechanism: *mut CK_MECHANISM, with: CK_OBJECT_HANDLE, wrapped: Bytes, wrapped_len: CK_ULONG,
        template: *mut CK_ATTRIBUTE, len: CK_ULONG, key: Handle
    );
    C_DeriveKey(
        mechanism: *mut CK_MECHANISM, from: CK_OBJECT_HANDLE, template: *mut CK_ATTRIBUTE, len: CK_ULONG,
        key: Handle
    );
    C_SeedRandom(seed: Bytes, len: CK_ULONG);
    C_GenerateRandom(out: Bytes, len: CK_ULONG);
    C_GetFunctionStatus();
    C_CancelFunction();
}

unsafe extern "C" fn C_GetInfo(info: *mut CK_INFO) -> CK_RV {
    call("C_GetInfo", Subject::Module, "", |context| {
        match context.real.C_GetInfo {
            // SAFETY: the argument is the caller's, who keeps to the same interface.
            Some(function) => unsafe { function(info) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    })
}

unsafe extern "C" fn C_WaitForSlotEvent(
    flags: CK_FLAGS,
    slot: *mut CK_SLOT_ID,
    reserved: *mut c_void,
) -> CK_RV {
    call("C_WaitForSlotEvent", Subject::Module, "", |context| {
        match context.real.C_WaitForSlotEvent {
            // SAFETY: the arguments are the caller's, who keeps to the same interface.
            Some(function) => unsafe { function(flags, slot, reserved) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    })
}

static LIST: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
    version: CK_VERSION {
        major: 2,
        minor: 40,
    },
    C_Initialize: Some(session::C_Initialize),
    C_Finalize: Some(session::C_Finalize),
    C_GetInfo: Some(C_GetInfo),
    C_GetFunctionList: Some(C_GetFunctionList),
    C_GetSlotList: Some(slot::C_GetSlotList),
    C_GetSlotInfo: Some(slot::C_GetSlotInfo),
    C_GetTokenInfo: Some(slot::C_GetTokenInfo),
    C_GetMechanismList: Some(slot::C_GetMechanismList),
    C_GetMechanismInfo: Some(slot::C_GetMechanismInfo),
    C_InitToken: Some(slot::C_InitToken),
    C_InitPIN: Some(C_InitPIN),
    C_SetPIN: Some(C_SetPIN),
    C_OpenSession: Some(session::C_OpenSession),
    C_CloseSession: Some(session::C_CloseSession),
    C_CloseAllSessions: Some(slot::C_CloseAllSessions),
    C_GetSessionInfo: Some(session::C_GetSessionInfo),
    C_GetOperationState: Some(C_GetOperationState),
    C_SetOperationState: Some(C_SetOperationState),
    C_Login: Some(session::C_Login),
    C_Logout: Some(C_Logout),
    C_CreateObject: Some(C_CreateObject),
    C_CopyObject: Some(C_CopyObject),
    C_DestroyObject: Some(C_DestroyObject),
    C_GetObjectSize: Some(C_GetObjectSize),
    C_GetAttributeValue: Some(object::C_GetAttributeValue),
    C_SetAttributeValue: Some(C_SetAttributeValue),
    C_FindObjectsInit: Some(C_FindObjectsInit),
    C_FindObjects: Some(object::C_FindObjects),
    C_FindObjectsFinal: Some(C_FindObjectsFinal),
    C_EncryptInit: Some(C_EncryptInit),
    C_Encrypt: Some(C_Encrypt),
    C_EncryptUpdate: Some(C_EncryptUpdate),
    C_EncryptFinal: Some(C_EncryptFinal),
    C_DecryptInit: Some(C_DecryptInit),
    C_Decrypt: Some(C_Decrypt),
    C_DecryptUpdate: Some(C_DecryptUpdate),
    C_DecryptFinal: Some(C_DecryptFinal),
    C_DigestInit: Some(C_DigestInit),
    C_Digest: Some(C_Digest),
    C_DigestUpdate: Some(C_DigestUpdate),
    C_DigestKey: Some(C_DigestKey),
    C_DigestFinal: Some(C_DigestFinal),
    C_SignInit: Some(object::C_SignInit),
    C_Sign: Some(object::C_Sign),
    C_SignUpdate: Some(C_SignUpdate),
    C_SignFinal: Some(C_SignFinal),
    C_SignRecoverInit: Some(C_SignRecoverInit),
    C_SignRecover: Some(C_SignRecover),
    C_VerifyInit: Some(C_VerifyInit),
    C_Verify: Some(C_Verify),
    C_VerifyUpdate: Some(C_VerifyUpdate),
    C_VerifyFinal: Some(C_VerifyFinal),
    C_VerifyRecoverInit: Some(C_VerifyRecoverInit),
    C_VerifyRecover: Some(C_VerifyRecover),
    C_DigestEncryptUpdate: Some(C_DigestEncryptUpdate),
    C_DecryptDigestUpdate: Some(C_DecryptDigestUpdate),
    C_SignEncryptUpdate: Some(C_SignEncryptUpdate),
    C_DecryptVerifyUpdate: Some(C_DecryptVerifyUpdate),
    C_GenerateKey: Some(C_GenerateKey),
    C_GenerateKeyPair: Some(C_GenerateKeyPair),
    C_WrapKey: Some(C_WrapKey),
    C_UnwrapKey: Some(C_UnwrapKey),
    C_DeriveKey: Some(C_DeriveKey),
    C_SeedRandom: Some(C_SeedRandom),
    C_GenerateRandom: Some(C_GenerateRandom),
    C_GetFunctionStatus: Some(C_GetFunctionStatus),
    C_CancelFunction: Some(C_CancelFunction),
    C_WaitForSlotEvent: Some(C_WaitForSlotEvent),
};
