//! Objects that are hidden or told wrong, and signatures.

use std::{ptr, slice};

use cryptoki_sys::*;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::slot::HASHING;
use crate::state::{Context, Subject, call, state};

pub unsafe extern "C" fn C_FindObjects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    room: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    call("C_FindObjects", Subject::Session(session), "", |context| {
        let Some(find) = context.real.C_FindObjects else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        loop {
            // SAFETY: the arguments are the caller's, who keeps to the same interface.
            let result = unsafe { find(session, objects, room, count) };
            if result != CKR_OK || context.plan.hidden_classes.is_empty() {
                return result;
            }
            // SAFETY: the call above succeeded, and wrote that many handles.
            let found = unsafe { slice::from_raw_parts_mut(objects, *count as usize) };
            let mut kept = 0;
            for place in 0..found.len() {
                let class = class(context, session, found[place]);
                if !class.is_some_and(|class| context.plan.hidden_classes.contains(&class)) {
                    found[kept] = found[place];
                    kept += 1;
                }
            }
            // None at all would be the end of the search.
            if kept > 0 || found.is_empty() {
                // SAFETY: the caller gives a place for the count.
                unsafe { *count = kept as CK_ULONG };
                return CKR_OK;
            }
        }
    })
}

fn class(
    context: &Context,
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
) -> Option<CK_OBJECT_CLASS> {
    let mut class: CK_OBJECT_CLASS = 0;
    let mut attribute = CK_ATTRIBUTE {
        type_: CKA_CLASS,
        pValue: (&raw mut class).cast(),
        ulValueLen: size_of::<CK_OBJECT_CLASS>() as CK_ULONG,
    };
    let get = context.real.C_GetAttributeValue?;
    // SAFETY: one attribute, with room for its value.
    let result = unsafe { get(session, object, &raw mut attribute, 1) };
    (result == CKR_OK).then_some(class)
}

pub unsafe extern "C" fn C_GetAttributeValue(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    len: CK_ULONG,
) -> CK_RV {
    call(
        "C_GetAttributeValue",
        Subject::Session(session),
        "",
        |context| {
            let Some(get) = context.real.C_GetAttributeValue else {
                return CKR_FUNCTION_NOT_SUPPORTED;
            };
            let overrides = &context.plan.attributes;
            if overrides.is_empty() {
                // SAFETY: the arguments are the caller's, who keeps to the same interface.
                return unsafe { get(session, object, template, len) };
            }
            let class = class(context, session, object);
            // SAFETY: the caller gives an array of that length.
            let template = unsafe { slice::from_raw_parts_mut(template, len as usize) };
            let mut result = CKR_OK;
            for attribute in template {
                let told = overrides
                    .iter()
                    .find(|other| Some(other.class) == class && other.kind == attribute.type_);
                let one = match told {
                    // SAFETY: one of the caller's attributes.
                    None => unsafe { get(session, object, attribute, 1) },
                    // SAFETY: the attribute's place is the caller's, and as long as it says.
                    Some(told) => unsafe { tell(attribute, told.value.as_deref()) },
                };
                if one != CKR_OK {
                    result = one;
                }
            }
            result
        },
    )
}

/// # Safety
/// `attribute.pValue` is null, or a place of `attribute.ulValueLen` bytes.
unsafe fn tell(attribute: &mut CK_ATTRIBUTE, value: Option<&[u8]>) -> CK_RV {
    let room = attribute.ulValueLen;
    let Some(value) = value else {
        attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return CKR_ATTRIBUTE_TYPE_INVALID;
    };
    let needed = value.len() as CK_ULONG;
    if attribute.pValue.is_null() {
        attribute.ulValueLen = needed;
        return CKR_OK;
    }
    if room < needed {
        attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
        return CKR_BUFFER_TOO_SMALL;
    }
    // SAFETY: there is room, as was just checked.
    unsafe { ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast(), value.len()) };
    attribute.ulValueLen = needed;
    CKR_OK
}

pub unsafe extern "C" fn C_SignInit(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    key: CK_OBJECT_HANDLE,
) -> CK_RV {
    // SAFETY: a mechanism is null or there.
    let kind = unsafe { mechanism.as_ref() }.map_or(CK_UNAVAILABLE_INFORMATION, |m| m.mechanism);
    let detail = format!("{kind:#x} {key}");
    call("C_SignInit", Subject::Session(session), detail, |context| {
        let Some(init) = context.real.C_SignInit else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        if context.plan.hidden_mechanisms.contains(&kind) {
            return CKR_MECHANISM_INVALID;
        }
        let hashing = (context.plan.hashes_ecdsa && HASHING.contains(&kind)).then_some(kind);
        let mut ecdsa = CK_MECHANISM {
            mechanism: CKM_ECDSA,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let mechanism = match hashing {
            Some(_) => &raw mut ecdsa,
            None => mechanism,
        };
        // SAFETY: the arguments are the caller's, or a mechanism that lives until the call returns.
        let result = unsafe { init(session, mechanism, key) };
        if let Some(session) = state().sessions.get_mut(&session) {
            session.hashing = hashing;
        }
        result
    })
}

pub unsafe extern "C" fn C_Sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    len: CK_ULONG,
    out: *mut CK_BYTE,
    out_len: *mut CK_ULONG,
) -> CK_RV {
    call("C_Sign", Subject::Session(session), "", |context| {
        let Some(sign) = context.real.C_Sign else {
            return CKR_FUNCTION_NOT_SUPPORTED;
        };
        let hashing = state()
            .sessions
            .get(&session)
            .and_then(|session| session.hashing);
        let Some(hashing) = hashing else {
            // SAFETY: the arguments are the caller's, who keeps to the same interface.
            return unsafe { sign(session, data, len, out, out_len) };
        };
        // SAFETY: the caller gives that many bytes.
        let data = unsafe { slice::from_raw_parts(data, len as usize) };
        let mut digest = match hashing {
            CKM_ECDSA_SHA256 => Sha256::digest(data).to_vec(),
            CKM_ECDSA_SHA384 => Sha384::digest(data).to_vec(),
            _ => Sha512::digest(data).to_vec(),
        };
        // SAFETY: the digest lives until the call returns; the rest is the caller's.
        unsafe {
            sign(
                session,
                digest.as_mut_ptr(),
                digest.len() as CK_ULONG,
                out,
                out_len,
            )
        }
    })
}
