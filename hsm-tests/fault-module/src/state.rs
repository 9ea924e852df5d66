//! What the module knows, and the way of each call through it.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, process, ptr, thread};

use cryptoki_sys::*;
use libloading::Library;

use crate::journal;
use crate::plan::{Effect, Plan, Renewal, Stage};

/// The module that does the work.
pub type Real = &'static CK_FUNCTION_LIST;

#[derive(Default)]
pub struct State {
    real: Option<Real>,
    pub sessions: HashMap<CK_SESSION_HANDLE, Session>,
    /// The newest mishap when the module was loaded and initialised, and the newest of all that was seen.
    loaded: u64,
    initialized: u64,
    seen: u64,
}

/// A session that is open.
#[derive(Default)]
pub struct Session {
    /// The newest mishap when it was opened.
    opened: u64,
    /// The mechanism of a signature whose digest is made here.
    pub hashing: Option<CK_MECHANISM_TYPE>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

/// The folder in which this library lies.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(folder);

pub fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call on its way.
pub struct Context {
    pub plan: Plan,
    pub real: Real,
}

/// Whom a call is about.
pub enum Subject {
    Module,
    Slot,
    Session(CK_SESSION_HANDLE),
}

/// One call: written down, spoiled by what the plan has for it, else done by `work`.
pub fn call(
    function: &'static str,
    subject: Subject,
    detail: impl fmt::Display,
    work: impl FnOnce(&Context) -> CK_RV,
) -> CK_RV {
    let plan = match Plan::read(&FOLDER) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("fault module: no plan in {}: {error}", FOLDER.display());
            return CKR_GENERAL_ERROR;
        }
    };
    let has_faults = plan.faults.iter().any(|fault| fault.function == function);
    let number = match journal::record(&FOLDER, function, detail, plan.since, has_faults) {
        Ok(number) => number,
        Err(error) => {
            eprintln!("fault module: no journal in {}: {error}", FOLDER.display());
            return CKR_GENERAL_ERROR;
        }
    };
    if let Some(code) = strike(&plan, function, number, Stage::Before) {
        return code;
    }
    let real = match state().admit(&plan, function, &subject) {
        Ok(real) => real,
        Err(code) => return code,
    };
    let context = Context { plan, real };
    let result = work(&context);
    strike(&context.plan, function, number, Stage::After).unwrap_or(result)
}

/// What the plan has for this call; the value that is returned instead, if one is.
fn strike(plan: &Plan, function: &str, number: usize, stage: Stage) -> Option<CK_RV> {
    let due = plan.faults.iter().filter(|fault| {
        fault.function == function && fault.stage == stage && fault.when.is_now(number)
    });
    due.map(|fault| act(&fault.effect)).fold(None, Option::or)
}

impl State {
    /// Whether a call gets as far as the token.
    fn admit(&mut self, plan: &Plan, function: &str, subject: &Subject) -> Result<Real, CK_RV> {
        let real = self.real(plan)?;
        let mishap = &plan.mishap;
        if self.seen != mishap.number {
            self.seen = mishap.number;
            self.suffer(mishap.renewal, real);
        }
        let is_life_cycle = matches!(function, "C_Initialize" | "C_Finalize");
        match mishap.renewal {
            Renewal::Load if self.loaded < mishap.number && function != "C_Finalize" => {
                return Err(mishap.code);
            }
            Renewal::Initialize if self.initialized < mishap.number && !is_life_cycle => {
                return Err(mishap.code);
            }
            _ => {}
        }
        match (subject, plan.removed) {
            (Subject::Session(_), Some(code)) => return Err(code),
            (Subject::Slot, Some(_)) if function != "C_GetSlotInfo" => {
                return Err(CKR_TOKEN_NOT_PRESENT);
            }
            _ => {}
        }
        if let Subject::Session(handle) = subject
            && mishap.renewal == Renewal::Session
            && let Some(session) = self.sessions.get(handle)
            && session.opened < mishap.number
        {
            return Err(mishap.code);
        }
        Ok(real)
    }

    /// What a mishap does to the token itself.
    fn suffer(&mut self, renewal: Renewal, real: Real) {
        for handle in self.sessions.keys() {
            let function = match renewal {
                Renewal::Session => real.C_CloseSession,
                Renewal::Login => real.C_Logout,
                Renewal::Initialize | Renewal::Load => None,
            };
            if let Some(function) = function {
                // SAFETY: a function of the real module, with a session that it opened.
                unsafe { function(*handle) };
            }
        }
    }

    fn real(&mut self, plan: &Plan) -> Result<Real, CK_RV> {
        if let Some(real) = self.real {
            return Ok(real);
        }
        let real = load(&plan.module).map_err(|error| {
            eprintln!("fault module: {}: {error}", plan.module.display());
            CKR_GENERAL_ERROR
        })?;
        self.real = Some(real);
        Ok(real)
    }

    /// The module was loaded, perhaps again.
    pub fn load(&mut self) {
        if let Ok(plan) = Plan::read(&FOLDER) {
            self.loaded = plan.mishap.number;
        }
    }

    pub fn initialize(&mut self, plan: &Plan) {
        self.initialized = plan.mishap.number;
        self.sessions.clear();
    }

    pub fn open(&mut self, handle: CK_SESSION_HANDLE, plan: &Plan) {
        let session = Session {
            opened: plan.mishap.number,
            hashing: None,
        };
        self.sessions.insert(handle, session);
    }
}

fn act(effect: &Effect) -> Option<CK_RV> {
    match effect {
        Effect::Return(code) => return Some(*code),
        Effect::Abort => process::abort(),
        // Again, since the first handler to hear of it (Rust's) may put the default back and return.
        Effect::Segfault => loop {
            // SAFETY: this is meant to end the process, as a bad module does.
            unsafe { libc::raise(libc::SIGSEGV) };
        },
        Effect::WaitFor(file) => {
            while !fs::exists(file).unwrap_or(false) {
                thread::sleep(Duration::from_millis(2));
            }
        }
        Effect::Delay(milliseconds) => thread::sleep(Duration::from_millis(*milliseconds)),
        Effect::Leak(len) => {
            let mut memory = Vec::<u8>::new();
            if memory.try_reserve_exact(*len).is_err() {
                return Some(CKR_HOST_MEMORY);
            }
            std::mem::forget(memory);
        }
        Effect::Noise(text) => {
            let mut stdout = std::io::stdout();
            // Nobody may be there to hear it.
            let _ = stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush());
        }
    }
    None
}

fn load(module: &Path) -> Result<Real, libloading::Error> {
    // SAFETY: loading a PKCS#11 module runs its constructors, which is what it is for; the symbol has
    // the type that the specification gives it.
    let get_list = unsafe {
        // It stays for good: its function list is handed out.
        let library: &'static Library = Box::leak(Box::new(Library::new(module)?));
        library.get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
            b"C_GetFunctionList\0",
        )?
    };
    let mut list = ptr::null_mut();
    // SAFETY: the argument is a place for a pointer; the list lives as long as the library, for good.
    let real = unsafe {
        get_list(&raw mut list);
        list.as_ref()
    };
    Ok(real.expect("C_GetFunctionList gives a list"))
}

fn folder() -> PathBuf {
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: the address is one of this library's own, and the answer has its place.
    let found = unsafe { libc::dladdr((&raw const STATE).cast(), &raw mut info) };
    assert!(
        found != 0 && !info.dli_fname.is_null(),
        "a library has a file"
    );
    // SAFETY: dladdr gave a C string that lives as long as the library.
    let file = unsafe { CStr::from_ptr(info.dli_fname) };
    let file = Path::new(OsStr::from_bytes(file.to_bytes()));
    file.parent().unwrap_or(Path::new(".")).to_owned()
}
