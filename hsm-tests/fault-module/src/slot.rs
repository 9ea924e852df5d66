//! Slots, tokens, mechanisms.

use std::slice;

use cryptoki_sys::*;

use crate::state::{Context, Subject, call};

/// The mechanisms whose digest is made here, for a token that has CKM_ECDSA alone.
pub const HASHING: [CK_MECHANISM_TYPE; 3] = [CKM_ECDSA_SHA256, CKM_ECDSA_SHA384, CKM_ECDSA_SHA512];

pub unsafe extern "C" fn C_GetSlotList(
    with_token: CK_BBOOL,
    list: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetSlotList", Subject::Module, "", |context| {
        let Some(get) = context.real.C_GetSlotList else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        if context.plan.removed.is_some() && with_token != CK_FALSE {
            // SAFETY: the caller gives a place for the count.
            unsafe { *count = 0 };
            return CKR_OK;
        }
        // SAFETY: the arguments are the caller's, who keeps to the same interface.
        let result = unsafe { get(with_token, list, count) };
        if result == CKR_OK && !list.is_null() {
            // SAFETY: the call above succeeded, and wrote that many identifiers.
            let slots = unsafe { slice::from_raw_parts_mut(list, *count as usize) };
            for slot in slots {
                *slot = slot.wrapping_add(context.plan.slot_offset);
            }
        }
        result
    })
}

pub unsafe extern "C" fn C_GetSlotInfo(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    call("C_GetSlotInfo", Subject::Slot, "", |context| {
        let Some(get) = context.real.C_GetSlotInfo else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        // SAFETY: the arguments are the caller's, who keeps to the same interface.
        let result = unsafe { get(slot.wrapping_sub(context.plan.slot_offset), info) };
        if result == CKR_OK {
            let (set, cleared) = context.plan.slot_flags;
            let gone = match context.plan.removed {
                Some(_) => CKF_TOKEN_PRESENT,
                None => 0,
            };
            // SAFETY: the call above succeeded, so that the structure is there.
            unsafe { (*info).flags = ((*info).flags | set) & !cleared & !gone };
        }
        result
    })
}

pub unsafe extern "C" fn C_GetTokenInfo(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    call("C_GetTokenInfo", Subject::Slot, "", |context| {
        let Some(get) = context.real.C_GetTokenInfo else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        // SAFETY: the arguments are the caller's, who keeps to the same interface.
        let result = unsafe { get(slot.wrapping_sub(context.plan.slot_offset), info) };
        if result == CKR_OK {
            let (set, cleared) = context.plan.token_flags;
            let pad = match context.plan.pin_pad {
                Some(_) => CKF_PROTECTED_AUTHENTICATION_PATH,
                None => 0,
            };
            // SAFETY: the call above succeeded, so that the structure is there.
            unsafe { (*info).flags = ((*info).flags | set | pad) & !cleared };
        }
        result
    })
}

pub unsafe extern "C" fn C_GetMechanismList(
    slot: CK_SLOT_ID,
    list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_GetMechanismList", Subject::Slot, "", |context| {
        let offered = match mechanisms(context, slot) {
            Ok(offered) => offered,
            Err(code) => return code,
        };
        let needed = offered.len() as CK_ULONG;
        // SAFETY: the caller gives a place for the count, and as many places as it says.
        unsafe {
            let room = count.replace(needed);
            if list.is_null() {
                return CKR_OK;
            }
            if room < needed {
                return CKR_BUFFER_TOO_SMALL;
            }
            slice::from_raw_parts_mut(list, offered.len()).copy_from_slice(&offered);
        }
        CKR_OK
    })
}

fn mechanisms(context: &Context, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>, CK_RV> {
    let get = context
        .real
        .C_GetMechanismList
        .ok_or(CKR_FUNCTION_NOT_SUPPORTED)?;
    let slot = slot.wrapping_sub(context.plan.slot_offset);
    let mut count = 0;
    // SAFETY: without a list the function only counts.
    let result = unsafe { get(slot, std::ptr::null_mut(), &raw mut count) };
    if result != CKR_OK {
        return Err(result);
    }
    let mut list = vec![0; count as usize];
    // SAFETY: the list has as many places as the count says.
    let result = unsafe { get(slot, list.as_mut_ptr(), &raw mut count) };
    if result != CKR_OK {
        return Err(result);
    }
    list.truncate(count as usize);
    list.retain(|mechanism| !context.plan.hidden_mechanisms.contains(mechanism));
    if context.plan.hashes_ecdsa {
        list.extend(HASHING);
    }
    Ok(list)
}

pub unsafe extern "C" fn C_GetMechanismInfo(
    slot: CK_SLOT_ID,
    mechanism: CK_MECHANISM_TYPE,
    info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    call("C_GetMechanismInfo", Subject::Slot, "", |context| {
        let Some(get) = context.real.C_GetMechanismInfo else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        if context.plan.hidden_mechanisms.contains(&mechanism) {
            return CKR_MECHANISM_INVALID;
        }
        let known = match context.plan.hashes_ecdsa && HASHING.contains(&mechanism) {
            true => CKM_ECDSA,
            false => mechanism,
        };
        // SAFETY: the arguments are the caller's, who keeps to the same interface.
        unsafe { get(slot.wrapping_sub(context.plan.slot_offset), known, info) }
    })
}

pub unsafe extern "C" fn C_InitToken(
    slot: CK_SLOT_ID,
    pin: *mut CK_UTF8CHAR,
    len: CK_ULONG,
    label: *mut CK_UTF8CHAR,
) -> CK_RV {
    call("C_InitToken", Subject::Slot, "", |context| {
        let slot = slot.wrapping_sub(context.plan.slot_offset);
        match context.real.C_InitToken {
            // SAFETY: the arguments are the caller's, who keeps to the same interface.
            Some(function) => unsafe { function(slot, pin, len, label) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    })
}

pub unsafe extern "C" fn C_CloseAllSessions(slot: CK_SLOT_ID) -> CK_RV {
    call("C_CloseAllSessions", Subject::Slot, "", |context| {
        let slot = slot.wrapping_sub(context.plan.slot_offset);
        match context.real.C_CloseAllSessions {
            // SAFETY: the argument is the caller's, who keeps to the same interface.
            Some(function) => unsafe { function(slot) },
            None => CKR_FUNCTION_NOT_SUPPORTED,
        }
    })
}
