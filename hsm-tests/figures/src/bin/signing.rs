//! Signs as often as it is told: `signing WAY MODULE SLOT ID KIND FOLDER`. For each number on standard
//! input it makes as many signatures, and says on standard output how many nanoseconds that took.
//! FOLDER is for what keystead remembers.

use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use cryptoki_sys::{CKM_ECDSA, CKM_SHA256_RSA_PKCS};
use figures::{MESSAGE, PIN, Straight, serve};
use keystead::backend::isolated::{Environment, Isolated, Starter};
use keystead::backend::pkcs11::{
    Access, Leaf, Local, Notice, OpenKey, Operator, PinRequest, Tokens,
};
use keystead::backend::secret::{Secret, SecretError};
use keystead::core::key::{Scheme, Signer as _};

/// What a token is given in place of a message that it cannot hash. Nobody hashes it for those who call
/// the module straight; keystead's signer does.
const DIGEST: [u8; 32] = [7; 32];

struct StoredPin;

impl Operator for StoredPin {
    fn pin(&mut self, _: &PinRequest) -> Result<Option<Secret>, SecretError> {
        Ok(Some(Secret::new(PIN.into())))
    }

    fn is_person(&self) -> bool {
        false
    }

    fn notify(&mut self, _: &Notice) {}
}

fn main() {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [way, module, slot, id, kind, folder] = &arguments[..] else {
        panic!("signing WAY MODULE SLOT ID KIND FOLDER");
    };
    let number = |text: &OsStr| text.to_str().and_then(|text| text.parse::<u64>().ok());
    let slot = number(slot).expect("CK_SLOT_ID");
    let id = number(id)
        .and_then(|id| id.try_into().ok())
        .expect("CKA_ID");
    let is_rsa = kind == "rsa";
    let access = || Access {
        module: module.into(),
        state: Some(folder.into()),
        reuse_pin: false,
        timeout: Duration::from_secs(30),
    };
    match way.to_str() {
        Some("straight") => straight(module, slot, id, is_rsa),
        Some("cryptoki") => through_cryptoki(module, slot, id, is_rsa),
        Some("in process") => through_keystead(&mut Local::new(access()), slot, id, is_rsa),
        Some("isolated") => {
            let this = env::current_exe().expect("a program knows its own file");
            let starter = Starter::direct(Starter::beside(&this), Environment::default());
            let mut tokens = Isolated::new(starter, access());
            through_keystead(&mut tokens, slot, id, is_rsa);
        }
        _ => panic!("WAY is straight, cryptoki, in process or isolated"),
    }
}

fn straight(module: &OsStr, slot: u64, id: u8, is_rsa: bool) {
    let straight = Straight::open(module, slot, id);
    let (mechanism, data) = match is_rsa {
        true => (CKM_SHA256_RSA_PKCS, &MESSAGE[..]),
        false => (CKM_ECDSA, &DIGEST[..]),
    };
    let mut out = [0; 512];
    serve(|| straight.sign(mechanism, data, &mut out));
}

fn through_cryptoki(module: &OsStr, slot: u64, id: u8, is_rsa: bool) {
    let library = Pkcs11::new(module).expect("the module loads");
    let threads = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    library.initialize(threads).expect("C_Initialize");
    let slot = slot.try_into().expect("CK_SLOT_ID");
    let session = library.open_ro_session(slot).expect("C_OpenSession");
    let pin = AuthPin::new(PIN.into());
    session.login(UserType::User, Some(&pin)).expect("C_Login");
    let template = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::Id(vec![id]),
    ];
    let key = session.find_objects(&template).expect("C_FindObjects")[0];
    let (mechanism, data) = match is_rsa {
        true => (Mechanism::Sha256RsaPkcs, &MESSAGE[..]),
        false => (Mechanism::Ecdsa, &DIGEST[..]),
    };
    serve(|| session.sign(&mechanism, key, data).expect("C_Sign").len());
}

fn through_keystead(tokens: &mut dyn Tokens, slot: u64, id: u8, is_rsa: bool) {
    let uri = format!("pkcs11:slot-id={slot};id=%{id:02x};type=private");
    let request = OpenKey {
        key: Some(uri.parse().expect("a URI")),
        leaf: Leaf::None,
        require_hardware: false,
    };
    let opened = tokens.open(&request, Box::new(StoredPin));
    let mut signer = opened.expect("the key is in the token").signer;
    let scheme = match is_rsa {
        true => Scheme::RsaPkcs1Sha256,
        false => Scheme::EcdsaSha256,
    };
    let mut out = [0; 512];
    serve(|| {
        signer
            .sign(scheme, &MESSAGE, &mut out)
            .expect("a signature")
    });
}
