//! A module: loaded, initialised once in the process, and called through one function list. This is the
//! foreign interface, and the only place with `unsafe`.
//!
//! Why not `cryptoki`'s own contexts: `Session::sign` makes three calls, and leaves no place for the
//! login that some keys want between C_SignInit and C_Sign; and a second function list beside its own
//! fails through p11-kit. So every call goes through the list here, and `cryptoki` gives the types of
//! attributes and mechanisms.
#![expect(unsafe_code, reason = "PKCS#11 modules are C libraries")]

use core::mem::ManuallyDrop;
use core::ptr;
use std::borrow::ToOwned as _;
use std::path::{Path, PathBuf};
use std::string::ToString as _;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, Weak};
use std::vec::Vec;

use cryptoki_sys::*;
use libloading::Library;

use super::call::{Call, CallError};
use super::error::TokenError;

/// The modules of this process: a second C_Initialize on one that is in use has crashed. Each stays here
/// until its C_Finalize has returned.
static MODULES: Mutex<Vec<Known>> = Mutex::new(Vec::new());

/// One of them is gone.
static CLOSED: Condvar = Condvar::new();

struct Known {
    path: PathBuf,
    module: Weak<Module>,
}

/// A module.
pub struct Module {
    path: PathBuf,
    state: RwLock<State>,
}

struct State {
    /// `None` after a reload that failed.
    loaded: Option<Loaded>,
    /// How often it was initialised. What belongs to an earlier generation (sessions, handles) means
    /// nothing any more, or something else.
    generation: u64,
}

struct Loaded {
    functions: CK_FUNCTION_LIST,
    /// Whose C_Initialize it is in use by.
    initialized: Initialized,
    /// Whose turn it is, with a module that cannot lock by itself.
    turn: Option<Mutex<()>>,
    /// Not unloaded at the end: modules leave threads and exit handlers behind.
    library: ManuallyDrop<Library>,
}

/// Whose C_Initialize returned CKR_OK: only after our own, C_Finalize is ours to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Initialized {
    Not,
    ByUs,
    ByOthers,
}

impl Module {
    /// The module of that path (or name that the dynamic linker finds), loaded and initialised.
    ///
    /// # Errors
    /// [`TokenError::Module`] or [`TokenError::Call`].
    pub fn open(path: &Path) -> Result<Arc<Self>, TokenError> {
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(known) = modules.iter().find(|known| known.path == path) {
            match known.module.upgrade() {
                Some(module) => return Ok(module),
                // Another thread is about to finalize it.
                None => {
                    modules = CLOSED.wait(modules).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
        let mut loaded = Loaded::load(path)?;
        loaded.initialize().map_err(|error| TokenError::Call {
            module: path.to_owned(),
            error,
        })?;
        let module = Arc::new(Self {
            path: path.to_owned(),
            state: RwLock::new(State {
                loaded: Some(loaded),
                generation: 0,
            }),
        });
        modules.push(Known {
            path: path.to_owned(),
            module: Arc::downgrade(&module),
        });
        Ok(module)
    }

    /// The error of a call, with the module's name.
    pub fn error(&self, error: CallError) -> TokenError {
        TokenError::Call {
            module: self.path.clone(),
            error,
        }
    }

    /// How often it was initialised again.
    pub fn generation(&self) -> u64 {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .generation
    }

    /// C_Finalize and C_Initialize, unless somebody did so since `seen`, or another part of the process
    /// uses the module. Sessions of earlier generations are gone then.
    ///
    /// # Errors
    /// [`CallError`] of C_Initialize. Calls are refused until it succeeds.
    pub fn reinitialize(&self, seen: u64) -> Result<(), CallError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != seen {
            return Ok(());
        }
        let Some(loaded) = &mut state.loaded else {
            return Err(NOT_INITIALIZED);
        };
        // What others began is theirs to end; once they have, C_Initialize makes it ours.
        let was_others = loaded.initialized == Initialized::ByOthers;
        loaded.finalize();
        let result = loaded.initialize();
        if !was_others || loaded.initialized != Initialized::ByOthers {
            state.generation += 1;
        }
        result
    }

    /// As [`reinitialize`](Self::reinitialize), but the library is loaded anew in between.
    ///
    /// # Errors
    /// [`TokenError::Module`] or [`TokenError::Call`]. Calls are refused until it succeeds.
    pub fn reload(&self, seen: u64) -> Result<(), TokenError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if state.generation != seen {
            return Ok(());
        }
        match state.loaded.take() {
            Some(loaded) if loaded.initialized == Initialized::ByOthers => {
                state.loaded = Some(loaded);
                return Ok(());
            }
            Some(mut loaded) => {
                loaded.finalize();
                // It is about to be loaded again, which also proves that it is still there.
                let library = ManuallyDrop::into_inner(loaded.library);
                // An error means that it stays loaded, which does no harm.
                let _ = library.close();
            }
            None => {}
        }
        state.generation += 1;
        let mut loaded = Loaded::load(&self.path)?;
        let result = loaded.initialize();
        state.loaded = Some(loaded);
        result.map_err(|error| self.error(error))
    }

    /// Calls a function of the module; `None` from `function` means that the module has none such.
    /// `generation` is the one to which the handles belong that are going to be passed.
    fn call(
        &self,
        call: Call,
        generation: Option<u64>,
        function: impl FnOnce(&CK_FUNCTION_LIST) -> Option<CK_RV>,
    ) -> Result<(), CallError> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if generation.is_some_and(|generation| generation != state.generation) {
            return Err(CallError::new(call, CKR_SESSION_HANDLE_INVALID));
        }
        let Some(loaded) = &state.loaded else {
            return Err(NOT_INITIALIZED);
        };
        let _turn = loaded
            .turn
            .as_ref()
            .map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner));
        check(call, function(&loaded.functions))
    }

    /// C_GetInfo.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn info(&self) -> Result<CK_INFO, CallError> {
        let mut info = CK_INFO::default();
        // SAFETY: the structure is ours, writable, and outlives the call.
        self.call(Call::GetInfo, None, |list| unsafe {
            Some(list.C_GetInfo?(&mut info))
        })?;
        Ok(info)
    }

    /// C_GetSlotList: all slots, or those with a token in them.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn slots(&self, with_token: bool) -> Result<Vec<CK_SLOT_ID>, CallError> {
        self.list(Call::GetSlotList, |list, values, count| {
            let with_token = if with_token { CK_TRUE } else { CK_FALSE };
            // SAFETY: `list` passes a null pointer to learn the count, or room for `count` values.
            Some(unsafe { list.C_GetSlotList?(with_token, values, count) })
        })
    }

    /// C_GetMechanismList.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn mechanisms(&self, slot: CK_SLOT_ID) -> Result<Vec<CK_MECHANISM_TYPE>, CallError> {
        self.list(Call::GetMechanismList, |list, values, count| {
            // SAFETY: as in `slots`.
            Some(unsafe { list.C_GetMechanismList?(slot, values, count) })
        })
    }

    /// A list of which the count is asked first. Between both calls it may grow, but not forever.
    fn list(
        &self,
        call: Call,
        function: impl Fn(&CK_FUNCTION_LIST, *mut CK_ULONG, *mut CK_ULONG) -> Option<CK_RV>,
    ) -> Result<Vec<CK_ULONG>, CallError> {
        const MOST: usize = 1 << 16;
        const ATTEMPTS: usize = 16;
        let mut result = Ok(());
        for _ in 0..ATTEMPTS {
            let mut count: CK_ULONG = 0;
            self.call(call, None, |list| {
                function(list, ptr::null_mut(), &raw mut count)
            })?;
            let mut values: Vec<CK_ULONG> = std::vec![0; as_len(count).min(MOST)];
            let mut count = values.len() as CK_ULONG;
            result = self.call(call, None, |list| {
                function(list, values.as_mut_ptr(), &raw mut count)
            });
            match result {
                Err(error) if error.is(CKR_BUFFER_TOO_SMALL) => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    values.truncate(as_len(count));
                    return Ok(values);
                }
            }
        }
        result.map(|()| Vec::new())
    }

    /// C_GetSlotInfo.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn slot_info(&self, slot: CK_SLOT_ID) -> Result<CK_SLOT_INFO, CallError> {
        let mut info = CK_SLOT_INFO {
            slotDescription: [0; 64],
            manufacturerID: [0; 32],
            flags: 0,
            hardwareVersion: CK_VERSION::default(),
            firmwareVersion: CK_VERSION::default(),
        };
        // SAFETY: the structure is ours, writable, and outlives the call.
        self.call(Call::GetSlotInfo, None, |list| unsafe {
            Some(list.C_GetSlotInfo?(slot, &mut info))
        })?;
        Ok(info)
    }

    /// C_GetTokenInfo.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn token_info(&self, slot: CK_SLOT_ID) -> Result<CK_TOKEN_INFO, CallError> {
        let mut info = CK_TOKEN_INFO::default();
        // SAFETY: the structure is ours, writable, and outlives the call.
        self.call(Call::GetTokenInfo, None, |list| unsafe {
            Some(list.C_GetTokenInfo?(slot, &mut info))
        })?;
        Ok(info)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = &mut state.loaded {
            loaded.finalize();
        }
        let this = ptr::from_ref(self);
        let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
        modules.retain(|known| known.module.as_ptr() != this);
        CLOSED.notify_all();
    }
}

impl Loaded {
    fn load(path: &Path) -> Result<Self, TokenError> {
        let failed = |reason: std::string::String| TokenError::Module {
            path: path.to_owned(),
            reason,
        };
        // SAFETY: loading runs the library's initialisers. That this is a PKCS#11 module is what the
        // user says by naming it; nothing can check it.
        let library = unsafe { Library::new(path) }.map_err(|error| failed(error.to_string()))?;
        // SAFETY: the symbol has this type in every PKCS#11 module (section 5.4), and the copied pointer
        // is used no longer than the library stays loaded.
        let get_function_list = unsafe {
            library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
                b"C_GetFunctionList\0",
            )
        }
        .map(|symbol| *symbol)
        .map_err(|_| failed("it is no PKCS#11 module: it has no C_GetFunctionList".into()))?;
        let mut list = ptr::null_mut();
        // SAFETY: the pointer to be written is ours.
        let code = unsafe { get_function_list(&raw mut list) };
        check(Call::GetFunctionList, Some(code)).map_err(|error| TokenError::Call {
            module: path.to_owned(),
            error,
        })?;
        if list.is_null() {
            return Err(failed("its C_GetFunctionList gives none".into()));
        }
        Ok(Self {
            // SAFETY: the module returned CKR_OK, so that this points to its list, of which at least this
            // version is there in all versions (section 3.6). It is read once; unaligned is possible in
            // modules that pack their structures.
            functions: unsafe { list.read_unaligned() },
            initialized: Initialized::Not,
            turn: None,
            library: ManuallyDrop::new(library),
        })
    }

    fn initialize(&mut self) -> Result<(), CallError> {
        let mut arguments = CK_C_INITIALIZE_ARGS {
            CreateMutex: None,
            DestroyMutex: None,
            LockMutex: None,
            UnlockMutex: None,
            flags: CKF_OS_LOCKING_OK,
            pReserved: ptr::null_mut(),
        };
        let initialize = |arguments: *mut CK_C_INITIALIZE_ARGS| {
            let function = self.functions.C_Initialize?;
            // SAFETY: the arguments are null or a CK_C_INITIALIZE_ARGS that outlives the call.
            Some(unsafe { function(arguments.cast()) })
        };
        let mut code = initialize(&raw mut arguments);
        self.turn = None;
        if code == Some(CKR_CANT_LOCK) {
            code = initialize(ptr::null_mut());
            self.turn = Some(Mutex::new(()));
        }
        self.initialized = match code {
            Some(CKR_OK) => Initialized::ByUs,
            // Another part of the process uses it, too.
            Some(CKR_CRYPTOKI_ALREADY_INITIALIZED) => Initialized::ByOthers,
            _ => Initialized::Not,
        };
        match self.initialized {
            Initialized::ByOthers => Ok(()),
            _ => check(Call::Initialize, code),
        }
    }

    fn finalize(&mut self) {
        if self.initialized != Initialized::ByUs {
            return;
        }
        self.initialized = Initialized::Not;
        if let Some(function) = self.functions.C_Finalize {
            // SAFETY: our C_Initialize returned CKR_OK, and no other call runs: the caller has the module
            // for itself. The argument has to be null (section 5.4).
            // What it returns changes nothing: it is initialised anew, or dropped.
            let _ = unsafe { function(ptr::null_mut()) };
        }
    }
}

const NOT_INITIALIZED: CallError = CallError {
    call: Call::Initialize,
    code: CKR_CRYPTOKI_NOT_INITIALIZED as u32,
};

fn check(call: Call, code: Option<CK_RV>) -> Result<(), CallError> {
    match code.unwrap_or(CKR_FUNCTION_NOT_SUPPORTED) {
        CKR_OK => Ok(()),
        code => Err(CallError::new(call, code)),
    }
}

/// A count as the module gives it.
fn as_len(count: CK_ULONG) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

mod session;
pub use session::{Object, Session};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_always_grows_is_given_up() {
        let functions = CK_FUNCTION_LIST::default();
        let module = Module {
            path: PathBuf::new(),
            state: RwLock::new(State {
                loaded: Some(Loaded {
                    functions,
                    initialized: Initialized::Not,
                    turn: None,
                    library: ManuallyDrop::new(libloading::os::unix::Library::this().into()),
                }),
                generation: 0,
            }),
        };
        let grows = |_: &CK_FUNCTION_LIST, values: *mut CK_ULONG, _: *mut CK_ULONG| {
            Some(if values.is_null() {
                CKR_OK
            } else {
                CKR_BUFFER_TOO_SMALL
            })
        };
        let error = module.list(Call::GetSlotList, grows).unwrap_err();
        assert!(error.is(CKR_BUFFER_TOO_SMALL));
    }
}
