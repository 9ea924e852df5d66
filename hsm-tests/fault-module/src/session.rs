//! Initialisation, sessions, login.

use std::ffi::{CString, c_void};
use std::ptr;

use cryptoki_sys::*;

use crate::state::{Subject, call, state};

pub unsafe extern "C" fn C_Initialize(arguments: *mut c_void) -> CK_RV {
    call("C_Initialize", Subject::Module, "", |context| {
        let Some(initialize) = context.real.C_Initialize else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        let result = match &context.plan.reserved {
            // SAFETY: the argument is the caller's, who keeps to the same interface.
            None => unsafe { initialize(arguments) },
            Some(reserved) => {
                let mut ours = CK_C_INITIALIZE_ARGS {
                    CreateMutex: None,
                    DestroyMutex: None,
                    LockMutex: None,
                    UnlockMutex: None,
                    flags: CKF_OS_LOCKING_OK,
                    pReserved: ptr::null_mut(),
                };
                if !arguments.is_null() {
                    // SAFETY: C_Initialize's argument is null or points to such a structure.
                    ours = unsafe { *arguments.cast() };
                }
                let text = CString::new(reserved.as_str()).expect("a plan's text has no NUL");
                ours.pReserved = text.as_ptr().cast_mut().cast();
                // SAFETY: the structure and its text live until the call returns.
                unsafe { initialize((&raw mut ours).cast()) }
            }
        };
        if result == CKR_OK {
            state().initialize(&context.plan);
        }
        result
    })
}

pub unsafe extern "C" fn C_Finalize(reserved: *mut c_void) -> CK_RV {
    call("C_Finalize", Subject::Module, "", |context| {
        match context.real.C_Finalize {
            // SAFETY: the argument is the caller's, who keeps to the same interface.
            Some(function) => unsafe { function(reserved) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    })
}

pub unsafe extern "C" fn C_OpenSession(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    application: *mut c_void,
    notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    let kind = if flags & CKF_RW_SESSION == 0 {
        "read-only"
    } else {
        "read-write"
    };
    call("C_OpenSession", Subject::Slot, kind, |context| {
        let Some(open) = context.real.C_OpenSession else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        let slot = slot.wrapping_sub(context.plan.slot_offset);
        // SAFETY: the arguments are the caller's, who keeps to the same interface.
        let result = unsafe { open(slot, flags, application, notify, session) };
        if result == CKR_OK {
            // SAFETY: the call above succeeded, so that the handle was written to.
            state().open(unsafe { *session }, &context.plan);
        }
        result
    })
}

pub unsafe extern "C" fn C_CloseSession(session: CK_SESSION_HANDLE) -> CK_RV {
    call("C_CloseSession", Subject::Session(session), "", |context| {
        state().sessions.remove(&session);
        match context.real.C_CloseSession {
            // SAFETY: the argument is the caller's, who keeps to the same interface.
            Some(function) => unsafe { function(session) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    })
}

pub unsafe extern "C" fn C_GetSessionInfo(
    session: CK_SESSION_HANDLE,
    info: *mut CK_SESSION_INFO,
) -> CK_RV {
    call(
        "C_GetSessionInfo",
        Subject::Session(session),
        "",
        |context| {
            let Some(get) = context.real.C_GetSessionInfo else {
                return CKR_FUNCTION_NOT_SUPPORTED;
            };
            // SAFETY: the arguments are the caller's, who keeps to the same interface.
            let result = unsafe { get(session, info) };
            if result == CKR_OK {
                // SAFETY: the call above succeeded, so that the structure is there.
                unsafe { (*info).slotID = (*info).slotID.wrapping_add(context.plan.slot_offset) };
            }
            result
        },
    )
}

pub unsafe extern "C" fn C_Login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    len: CK_ULONG,
) -> CK_RV {
    let who = match user {
        CKU_SO => "so",
        CKU_USER => "user",
        CKU_CONTEXT_SPECIFIC => "context",
        _ => "?",
    };
    call("C_Login", Subject::Session(session), who, |context| {
        let Some(login) = context.real.C_Login else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        let Some(typed) = &context.plan.pin_pad else {
            // SAFETY: the arguments are the caller's, who keeps to the same interface.
            return unsafe { login(session, user, pin, len) };
        };
        // With a PIN pad the application has no PIN to give.
        if !pin.is_null() {
            return CKR_ARGUMENTS_BAD;
        }
        let mut typed = typed.clone().into_bytes();
        // SAFETY: the PIN lives until the call returns.
        unsafe { login(session, user, typed.as_mut_ptr(), typed.len() as CK_ULONG) }
    })
}
