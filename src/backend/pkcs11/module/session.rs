//! A session with a token.

use core::ptr;
use std::sync::Arc;
use std::vec::Vec;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType};
use cryptoki_sys::*;

use super::super::call::{Call, CallError};
use super::super::tokens::PinRole;
use super::{Module, as_len};
use crate::backend::secret::Secret;

/// A session. It is closed when it is dropped.
pub struct Session {
    module: Arc<Module>,
    generation: u64,
    handle: CK_SESSION_HANDLE,
    slot: CK_SLOT_ID,
}

/// The handle of an object, valid in the sessions of one generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object(CK_OBJECT_HANDLE);

impl Session {
    /// C_OpenSession.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn open(
        module: &Arc<Module>,
        slot: CK_SLOT_ID,
        read_write: bool,
    ) -> Result<Self, CallError> {
        let generation = module.generation();
        let write = if read_write { CKF_RW_SESSION } else { 0 };
        let mut handle = 0;
        module.call(Call::OpenSession, Some(generation), |list| {
            let function = list.C_OpenSession?;
            // SAFETY: there is no callback, and the handle to be written is ours.
            Some(unsafe {
                function(
                    slot,
                    CKF_SERIAL_SESSION | write,
                    ptr::null_mut(),
                    None,
                    &raw mut handle,
                )
            })
        })?;
        Ok(Self {
            module: module.clone(),
            generation,
            handle,
            slot,
        })
    }

    /// The module.
    pub fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// The slot of its token.
    pub fn slot(&self) -> CK_SLOT_ID {
        self.slot
    }

    /// The module's generation that it belongs to.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    fn call(
        &self,
        call: Call,
        function: impl FnOnce(&CK_FUNCTION_LIST) -> Option<CK_RV>,
    ) -> Result<(), CallError> {
        self.module.call(call, Some(self.generation), function)
    }

    /// Who is logged in (C_GetSessionInfo), for all sessions of this process with the token.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn logged_in(&self) -> Result<Option<PinRole>, CallError> {
        let mut info = CK_SESSION_INFO {
            slotID: 0,
            state: 0,
            flags: 0,
            ulDeviceError: 0,
        };
        self.call(Call::GetSessionInfo, |list| {
            // SAFETY: the structure is ours, writable, and outlives the call.
            Some(unsafe { list.C_GetSessionInfo?(self.handle, &raw mut info) })
        })?;
        Ok(match info.state {
            CKS_RO_USER_FUNCTIONS | CKS_RW_USER_FUNCTIONS => Some(PinRole::User),
            CKS_RW_SO_FUNCTIONS => Some(PinRole::SecurityOfficer),
            _ => None,
        })
    }

    /// C_Login. Without a PIN the token asks for it on its own keys.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn login(&self, role: PinRole, pin: Option<&Secret>) -> Result<(), CallError> {
        let user = match role {
            PinRole::SecurityOfficer => CKU_SO,
            PinRole::User => CKU_USER,
            PinRole::Signature => CKU_CONTEXT_SPECIFIC,
        };
        let (pin, len) = match pin {
            Some(pin) => (pin.expose().as_ptr().cast_mut(), pin.expose().len()),
            None => (ptr::null_mut(), 0),
        };
        self.call(Call::Login, |list| {
            // SAFETY: the PIN is null or `len` bytes that outlive the call, and are only read (the C
            // interface lacks `const`).
            Some(unsafe { list.C_Login?(self.handle, user, pin, len as CK_ULONG) })
        })
    }

    /// C_Logout.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn logout(&self) -> Result<(), CallError> {
        self.call(Call::Logout, |list| {
            // SAFETY: takes nothing but the handle.
            Some(unsafe { list.C_Logout?(self.handle) })
        })
    }

    /// The objects that have all of these attributes.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn find(&self, template: &[Attribute]) -> Result<Vec<Object>, CallError> {
        const AT_ONCE: usize = 32;
        const MOST: usize = 1 << 14;
        let mut template = raw(template);
        self.call(Call::FindObjectsInit, |list| {
            let count = template.len() as CK_ULONG;
            // SAFETY: the template has `count` attributes, whose values outlive the call.
            Some(unsafe { list.C_FindObjectsInit?(self.handle, template.as_mut_ptr(), count) })
        })?;
        let mut found = Vec::new();
        let result = loop {
            let mut handles = [0; AT_ONCE];
            let mut count = 0;
            let result = self.call(Call::FindObjects, |list| {
                let function = list.C_FindObjects?;
                let most = AT_ONCE as CK_ULONG;
                // SAFETY: there is room for `most` handles, and the count to be written is ours.
                Some(unsafe { function(self.handle, handles.as_mut_ptr(), most, &raw mut count) })
            });
            let count = as_len(count).min(AT_ONCE);
            found.extend(handles[..count].iter().copied().map(Object));
            // A module that never comes to an end must not take us with it.
            if result.is_err() || count == 0 || found.len() >= MOST {
                break result;
            }
        };
        let end = self.call(Call::FindObjectsFinal, |list| {
            // SAFETY: takes nothing but the handle.
            Some(unsafe { list.C_FindObjectsFinal?(self.handle) })
        });
        result.and(end)?;
        Ok(found)
    }

    /// The values of attributes; `None` for those that the object does not have or the token does not
    /// show.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn attributes<const N: usize>(
        &self,
        object: Object,
        types: [AttributeType; N],
    ) -> Result<[Option<Vec<u8>>; N], CallError> {
        let codes = types.map(CK_ATTRIBUTE_TYPE::from);
        let mut values = [const { None }; N];
        match self.read(object, &codes, &mut values) {
            Ok(true) => Ok(values),
            Err(error) => Err(error),
            // Not all modules look on after the first one that is missing.
            Ok(false) => {
                for (code, value) in codes.iter().zip(&mut values) {
                    self.read(
                        object,
                        core::slice::from_ref(code),
                        core::slice::from_mut(value),
                    )?;
                }
                Ok(values)
            }
        }
    }

    /// Whether all were there. If not, what is in `values` says nothing.
    fn read(
        &self,
        object: Object,
        codes: &[CK_ATTRIBUTE_TYPE],
        values: &mut [Option<Vec<u8>>],
    ) -> Result<bool, CallError> {
        /// Nearly every value is shorter, so that nobody has to ask how long they are.
        const USUAL: usize = 2048;
        /// Longer than every certificate.
        const MOST: usize = 1 << 20;
        let usual = codes.iter().map(|_| std::vec![0; USUAL]).collect();
        let read = match self.get_attributes(object, codes, usual) {
            Err(error) if error.is(CKR_BUFFER_TOO_SMALL) => {
                self.attribute_lens(object, codes).and_then(|lens| {
                    if lens.iter().any(|&len| len > MOST) {
                        return Err(error);
                    }
                    let exact = lens.iter().map(|&len| std::vec![0; len]).collect();
                    self.get_attributes(object, codes, exact)
                })
            }
            read => read,
        };
        match read {
            Ok(read) => {
                for (value, read) in values.iter_mut().zip(read) {
                    *value = Some(read);
                }
                Ok(true)
            }
            Err(error)
                if error.is(CKR_ATTRIBUTE_TYPE_INVALID)
                    || error.is(CKR_ATTRIBUTE_SENSITIVE)
                    || error.is(CKR_BUFFER_TOO_SMALL) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// C_GetAttributeValue into buffers, one for each attribute, which come back cut to what is in them.
    fn get_attributes(
        &self,
        object: Object,
        codes: &[CK_ATTRIBUTE_TYPE],
        mut buffers: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, CallError> {
        let places = codes.iter().zip(&mut buffers);
        let mut template: Vec<CK_ATTRIBUTE> = places
            .map(|(&type_, buffer)| CK_ATTRIBUTE {
                type_,
                pValue: buffer.as_mut_ptr().cast(),
                ulValueLen: buffer.len() as CK_ULONG,
            })
            .collect();
        self.get_attribute_value(object, &mut template)?;
        for (one, buffer) in template.iter().zip(&mut buffers) {
            // Some modules say CK_UNAVAILABLE_INFORMATION and CKR_OK.
            if as_len(one.ulValueLen) > buffer.len() {
                let missing = CKR_ATTRIBUTE_TYPE_INVALID;
                return Err(CallError::new(Call::GetAttributeValue, missing));
            }
            buffer.truncate(as_len(one.ulValueLen));
            buffer.shrink_to_fit();
        }
        Ok(buffers)
    }

    /// How long the values of attributes are.
    fn attribute_lens(
        &self,
        object: Object,
        codes: &[CK_ATTRIBUTE_TYPE],
    ) -> Result<Vec<usize>, CallError> {
        let mut template: Vec<CK_ATTRIBUTE> = codes
            .iter()
            .map(|&type_| CK_ATTRIBUTE {
                type_,
                pValue: ptr::null_mut(),
                ulValueLen: 0,
            })
            .collect();
        self.get_attribute_value(object, &mut template)?;
        Ok(template.iter().map(|one| as_len(one.ulValueLen)).collect())
    }

    /// C_GetAttributeValue: each attribute has a null pointer, or room for as many bytes as it says.
    fn get_attribute_value(
        &self,
        object: Object,
        template: &mut [CK_ATTRIBUTE],
    ) -> Result<(), CallError> {
        self.call(Call::GetAttributeValue, |list| {
            let function = list.C_GetAttributeValue?;
            let count = template.len() as CK_ULONG;
            // SAFETY: the template has `count` attributes; both callers give it no pointer but null and
            // to buffers of the length that is said, which outlive the call.
            Some(unsafe { function(self.handle, object.0, template.as_mut_ptr(), count) })
        })
    }

    /// C_SignInit.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn sign_init(&self, mechanism: &Mechanism<'_>, key: Object) -> Result<(), CallError> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        self.call(Call::SignInit, |list| {
            // SAFETY: the mechanism's parameters outlive the call: `Mechanism` is borrowed for it.
            Some(unsafe { list.C_SignInit?(self.handle, &raw mut mechanism, key.0) })
        })
    }

    /// C_Sign, in one call. Gives how many bytes of `out` were written.
    ///
    /// # Errors
    /// [`CallError`]; CKR_BUFFER_TOO_SMALL if `out` is too short.
    pub fn sign(&self, data: &[u8], out: &mut [u8]) -> Result<usize, CallError> {
        let mut len = out.len() as CK_ULONG;
        self.call(Call::Sign, |list| {
            let function = list.C_Sign?;
            // SAFETY: the data are only read, `out` has room for `len` bytes.
            Some(unsafe {
                function(
                    self.handle,
                    data.as_ptr().cast_mut(),
                    data.len() as CK_ULONG,
                    out.as_mut_ptr(),
                    &raw mut len,
                )
            })
        })?;
        Ok(as_len(len).min(out.len()))
    }

    /// C_CreateObject.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn create(&self, template: &[Attribute]) -> Result<Object, CallError> {
        let mut template = raw(template);
        let mut handle = 0;
        self.call(Call::CreateObject, |list| {
            let function = list.C_CreateObject?;
            let count = template.len() as CK_ULONG;
            // SAFETY: the template has `count` attributes, whose values outlive the call.
            Some(unsafe { function(self.handle, template.as_mut_ptr(), count, &raw mut handle) })
        })?;
        Ok(Object(handle))
    }

    /// C_DestroyObject.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn destroy(&self, object: Object) -> Result<(), CallError> {
        self.call(Call::DestroyObject, |list| {
            // SAFETY: takes nothing but handles.
            Some(unsafe { list.C_DestroyObject?(self.handle, object.0) })
        })
    }

    /// C_SetAttributeValue.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn set(&self, object: Object, template: &[Attribute]) -> Result<(), CallError> {
        let mut template = raw(template);
        self.call(Call::SetAttributeValue, |list| {
            let function = list.C_SetAttributeValue?;
            let count = template.len() as CK_ULONG;
            // SAFETY: the template has `count` attributes, whose values outlive the call.
            Some(unsafe { function(self.handle, object.0, template.as_mut_ptr(), count) })
        })
    }

    /// C_GenerateKeyPair: the public key and the private key.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn generate_key_pair(
        &self,
        mechanism: &Mechanism<'_>,
        public: &[Attribute],
        private: &[Attribute],
    ) -> Result<(Object, Object), CallError> {
        let mut mechanism = CK_MECHANISM::from(mechanism);
        let (mut public, mut private) = (raw(public), raw(private));
        let (mut public_key, mut private_key) = (0, 0);
        self.call(Call::GenerateKeyPair, |list| {
            let function = list.C_GenerateKeyPair?;
            // SAFETY: each template has as many attributes as is said, and their values and the mechanism's
            // parameters outlive the call; the handles to be written are ours.
            Some(unsafe {
                function(
                    self.handle,
                    &raw mut mechanism,
                    public.as_mut_ptr(),
                    public.len() as CK_ULONG,
                    private.as_mut_ptr(),
                    private.len() as CK_ULONG,
                    &raw mut public_key,
                    &raw mut private_key,
                )
            })
        })?;
        Ok((Object(public_key), Object(private_key)))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Nothing to be done if it is gone already.
        let _ = self.call(Call::CloseSession, |list| {
            // SAFETY: takes nothing but the handle.
            Some(unsafe { list.C_CloseSession?(self.handle) })
        });
    }
}

/// The attributes as the interface takes them. They point into `template`, which has to live on.
fn raw(template: &[Attribute]) -> Vec<CK_ATTRIBUTE> {
    template.iter().map(CK_ATTRIBUTE::from).collect()
}
