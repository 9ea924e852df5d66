//! Keys in swtpm, and keystead before them, in this process: in the way that the test program is about.

use hsm_tests::Swtpm;
use hsm_tests::operator::StoredAuth;
use keystead::backend::BoxedSigner;
use keystead::backend::signature::verify;
use keystead::backend::tpm::{Device as _, KeyPlace, OpenKey, OpenedKey, TpmError};
use keystead::core::key::{SignError, Signer as _};

/// Where the tests' keys are.
pub const HANDLE: u32 = 0x8100_0011;

/// The auth value of those that have one.
pub const AUTH: &str = "the-auth-value";

/// A TPM with a P-256 key whose failures do not count.
pub fn with_key() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign|noda", AUTH, HANDLE);
    tpm
}

/// The same with a key whose failures do.
pub fn with_key_that_counts() -> Swtpm {
    let tpm = Swtpm::new();
    tpm.make_storage_root();
    tpm.make_key("ecc256:null:null", "|sign", AUTH, HANDLE);
    tpm
}

/// A key file under the storage root key, `device.tss2`.
pub fn file(tpm: &Swtpm) -> KeyPlace {
    tpm.tool(&format!(
        "create -Q -C 0x81000001 -G ecc256:null:null -p {AUTH} -u f.pub -r f.priv -a \
         fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda"
    ));
    tpm.tool("flushcontext -t");
    tpm.tool("encodeobject -C 0x81000001 -u f.pub -r f.priv -o device.tss2");
    // It leaves its session there.
    tpm.tool("flushcontext -l");
    KeyPlace::File {
        name: "device.tss2".to_owned(),
        contents: std::fs::read(tpm.folder().join("device.tss2")).unwrap(),
    }
}

/// Opens a key with a stored auth value.
pub fn try_open(tpm: &Swtpm, key: &KeyPlace, auth: &str) -> Result<OpenedKey, TpmError> {
    let request = OpenKey {
        key: key.clone(),
        certificates: Vec::new(),
        salt: None,
    };
    crate::device(tpm.access()).open(&request, Box::new(StoredAuth::new(auth)))
}

/// Opens the key at [`HANDLE`] with its auth value.
#[track_caller]
pub fn open(tpm: &Swtpm) -> BoxedSigner {
    let opened = try_open(tpm, &KeyPlace::Handle(HANDLE), AUTH);
    opened.unwrap_or_else(|error| panic!("{error}")).signer
}

/// Signs, and verifies the signature.
pub fn sign(signer: &mut BoxedSigner) -> Result<(), SignError> {
    let scheme = signer.key().roles_anywhere_scheme();
    let message = b"what is to be signed";
    let mut signature = [0; 512];
    let len = signer.sign(scheme, message, &mut signature)?;
    verify(signer.public_key(), scheme, message, &signature[..len])
        .expect("the signature is one of the key's");
    Ok(())
}
