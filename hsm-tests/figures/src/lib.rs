//! What the programs share that signatures are measured with; and PKCS#11 by hand: what there is to do
//! for a signature, and nothing else. No error is told apart, and nothing is found out that the caller can
//! say.

use std::ffi::OsStr;
use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::ptr;
use std::time::Instant;

use cryptoki_sys::*;
use libloading::Library;

/// What `softhsm2-util` and the scripts use everywhere.
pub const PIN: &str = "1234";

/// As long as the string to sign of `CreateSession`.
pub const MESSAGE: [u8; 160] = [b'm'; 160];

/// A session in which the user is logged in, and a key.
pub struct Straight {
    functions: CK_FUNCTION_LIST,
    session: CK_SESSION_HANDLE,
    key: CK_OBJECT_HANDLE,
    /// The functions are in it.
    _library: Library,
}

impl Straight {
    /// dlopen, C_Initialize, C_OpenSession, C_Login, and C_FindObjects for the private key with a CKA_ID.
    pub fn open(module: &OsStr, slot: CK_SLOT_ID, id: u8) -> Self {
        // SAFETY: the script names a PKCS#11 module, whose C_GetFunctionList has this type.
        let (library, functions) = unsafe {
            let library = Library::new(module).expect("the module loads");
            let get = library
                .get::<unsafe extern "C" fn(*mut *mut CK_FUNCTION_LIST) -> CK_RV>(
                    b"C_GetFunctionList\0",
                )
                .expect("a PKCS#11 module");
            let mut functions = ptr::null_mut();
            assert_eq!(get(&raw mut functions), CKR_OK);
            (library, *functions)
        };
        let (session, key) = find(&functions, slot, id);
        Self {
            functions,
            session,
            key,
            _library: library,
        }
    }

    /// C_SignInit and C_Sign. Gives the length of the signature.
    pub fn sign(&self, mechanism: CK_MECHANISM_TYPE, data: &[u8], out: &mut [u8]) -> usize {
        let mut mechanism = CK_MECHANISM {
            mechanism,
            pParameter: ptr::null_mut(),
            ulParameterLen: 0,
        };
        let mut len = out.len() as CK_ULONG;
        // SAFETY: all pointers are to what outlives the calls; `out` has room for `len` bytes.
        unsafe {
            let init = self.functions.C_SignInit.expect("a module that signs");
            assert_eq!(init(self.session, &raw mut mechanism, self.key), CKR_OK);
            let sign = self.functions.C_Sign.expect("a module that signs");
            let data_ptr = data.as_ptr().cast_mut();
            let count = data.len() as CK_ULONG;
            let code = sign(
                self.session,
                data_ptr,
                count,
                out.as_mut_ptr(),
                &raw mut len,
            );
            assert_eq!(code, CKR_OK);
        }
        len as usize
    }
}

fn find(
    functions: &CK_FUNCTION_LIST,
    slot: CK_SLOT_ID,
    id: u8,
) -> (CK_SESSION_HANDLE, CK_OBJECT_HANDLE) {
    let mut arguments = CK_C_INITIALIZE_ARGS {
        CreateMutex: None,
        DestroyMutex: None,
        LockMutex: None,
        UnlockMutex: None,
        flags: CKF_OS_LOCKING_OK,
        pReserved: ptr::null_mut(),
    };
    let (mut class, mut id) = (CKO_PRIVATE_KEY, id);
    let mut template = [
        CK_ATTRIBUTE {
            type_: CKA_CLASS,
            pValue: (&raw mut class).cast(),
            ulValueLen: size_of::<CK_OBJECT_CLASS>() as CK_ULONG,
        },
        CK_ATTRIBUTE {
            type_: CKA_ID,
            pValue: (&raw mut id).cast(),
            ulValueLen: 1,
        },
    ];
    let (mut session, mut key, mut found) = (0, 0, 0);
    // SAFETY: all pointers are to what outlives the calls, and say how long it is.
    unsafe {
        let initialize = functions.C_Initialize.expect("a whole module");
        assert_eq!(initialize((&raw mut arguments).cast()), CKR_OK);
        let open = functions.C_OpenSession.expect("a whole module");
        let code = open(
            slot,
            CKF_SERIAL_SESSION,
            ptr::null_mut(),
            None,
            &raw mut session,
        );
        assert_eq!(code, CKR_OK);
        let login = functions.C_Login.expect("a whole module");
        let pin = PIN.as_ptr().cast_mut();
        assert_eq!(login(session, CKU_USER, pin, PIN.len() as CK_ULONG), CKR_OK);
        let init = functions.C_FindObjectsInit.expect("a whole module");
        assert_eq!(init(session, template.as_mut_ptr(), 2), CKR_OK);
        let next = functions.C_FindObjects.expect("a whole module");
        assert_eq!(next(session, &raw mut key, 1, &raw mut found), CKR_OK);
        let end = functions.C_FindObjectsFinal.expect("a whole module");
        assert_eq!(end(session), CKR_OK);
    }
    assert_eq!(found, 1, "the key is in the token");
    (session, key)
}

/// Does what standard input says, until it ends. The first signature is made before that.
pub fn serve(mut sign: impl FnMut() -> usize) {
    assert_ne!(sign(), 0);
    let mut answer = stdout();
    let mut say = |nanoseconds: u128| {
        writeln!(answer, "{nanoseconds}").expect("somebody reads");
        answer.flush().expect("somebody reads");
    };
    say(0);
    for line in stdin().lock().lines() {
        let count: u32 = line.expect("UTF-8").parse().expect("a number");
        let start = Instant::now();
        for _ in 0..count {
            assert_ne!(sign(), 0);
        }
        say(start.elapsed().as_nanos());
    }
}
